//! The configuration: file, environment, flags, in that order, over the embedded default one.

mod layers;
mod sources;
mod take;
mod types;

pub use layers::{ConfigError, Layers, Mistake, Place};
pub use sources::parse_from;
pub use types::{Config, Http, Log, LogFormat, Stream};

/// The default configuration, which explains every key.
pub const DEFAULT: &str = include_str!("../../default.toml");
