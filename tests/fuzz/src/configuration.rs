//! Configuration files: whatever they hold, mistakes are told in plain text, and what is taken holds
//! its own bounds.

use lacuna::config::{Config, Layers};

pub(crate) fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut layers = Layers::embedded();
    layers.file("fuzz.toml", text);
    match Config::parse(layers) {
        Ok(config) => {
            assert!((1..=256).contains(&config.workers));
            assert!(config.http.limits.max_connections > 0);
        }
        Err(error) => {
            let told = error.to_string();
            assert!(!told.is_empty());
            let odd = told.chars().find(|&c| c.is_control() && c != '\n');
            assert_eq!(odd, None, "{told:?}");
        }
    }
}
