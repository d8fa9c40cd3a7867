//! Where the state is kept.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use super::layers::Layers;
use super::types::State;
use crate::duration::Millis;
use crate::state::Bounds;

/// `None`: something is missing, for which there is a mistake.
pub(super) fn take(layers: &mut Layers) -> Option<Option<State>> {
    let mut section = layers.section(&["state"]);
    let place = section.place("path");
    let path = section.parsed::<String>("path");
    let interval = section.parsed::<Millis>("interval");
    let count = section.number("history");
    let age = section.parsed::<Millis>("history_age");
    let dir = match path?.as_str() {
        "" | "none" => None,
        "default" => match default_dir(|name| env::var_os(name).map(PathBuf::from)) {
            Some(dir) => Some(dir),
            None => {
                let what = "there is no default place: neither HOME nor XDG_STATE_HOME is set; name \
                            a directory, or none";
                section.mistake(place, "path", what.to_owned());
                return None;
            }
        },
        path => Some(PathBuf::from(path)),
    };
    let interval = Duration::from_millis(interval?.0);
    let history = Bounds { count: count?, age_ms: age?.0 };
    Some(dir.map(|dir| State { dir, interval, history }))
}

/// The directory that the service manager gave, root's, or the user's own.
pub(crate) fn default_dir(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|path| path.is_absolute());
    if let Some(given) = set("STATE_DIRECTORY") {
        return Some(given);
    }
    let home = set("HOME");
    if home.as_deref().is_none_or(|home| home == "/root") {
        let root = PathBuf::from("/var/lib");
        return (home.is_some() || root.is_dir()).then(|| root.join("lacuna"));
    }
    let state = set("XDG_STATE_HOME").or_else(|| Some(home?.join(".local/state")));
    state.map(|state| state.join("lacuna"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_place_is_the_manager_s_then_root_s_then_the_user_s() {
        let place = |set: &[(&str, &str)]| {
            let value = |name: &str| set.iter().find(|(known, _)| *known == name);
            default_dir(|name| value(name).map(|(_, value)| PathBuf::from(value)))
                .map(|dir| dir.display().to_string())
        };
        let home = ("HOME", "/home/ada");
        assert_eq!(place(&[("STATE_DIRECTORY", "/x"), home]).as_deref(), Some("/x"));
        assert_eq!(place(&[("HOME", "/root")]).as_deref(), Some("/var/lib/lacuna"));
        assert_eq!(place(&[home]).as_deref(), Some("/home/ada/.local/state/lacuna"));
        assert_eq!(place(&[("XDG_STATE_HOME", "/s"), home]).as_deref(), Some("/s/lacuna"));
        assert_eq!(place(&[("XDG_STATE_HOME", "s"), home]), place(&[home]));
    }
}
