//! Whether stamping, or checking, is on: by environment at start, by call at any time.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The environment's switch for producers: `LACUNA_STAMP=off` starts with stamping off.
pub const STAMP_ENV: &str = "LACUNA_STAMP";
/// The environment's switch for consumers: `LACUNA_CHECK=off` starts with checking off.
pub const CHECK_ENV: &str = "LACUNA_CHECK";

/// A switch that may be turned at run time. Its clones are the same switch, so one may govern any
/// number of clients.
///
/// Numbers are not used up while it is off, so turning it opens no gap.
#[derive(Clone, Debug)]
pub struct Switch(Arc<AtomicBool>);

impl Switch {
    /// A switch in this position.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self(Arc::new(AtomicBool::new(on)))
    }

    /// A switch that is on unless this environment variable says `off`, `false`, `no` or `0`.
    #[must_use]
    pub fn from_env(variable: &str) -> Self {
        Self::new(env::var(variable).map_or(true, |value| says_on(&value)))
    }

    /// Turns it; takes effect with the next message of every client that shares it.
    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

fn says_on(value: &str) -> bool {
    !["off", "false", "no", "0"].iter().any(|off| value.trim().eq_ignore_ascii_case(off))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_no_turns_it_off() {
        for off in ["off", "OFF", " off ", "false", "no", "0"] {
            assert!(!says_on(off), "{off:?}");
        }
        for on in ["", "on", "1", "true", "offline"] {
            assert!(says_on(on), "{on:?}");
        }
    }

    #[test]
    fn clones_are_one_switch() {
        let switch = Switch::new(true);
        let twin = switch.clone();
        twin.set(false);
        assert!(!switch.is_on());
        switch.set(true);
        assert!(twin.is_on());
    }
}
