use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What is checked: everything, but for the streams that are switched off.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Switch {
    all: bool,
    off: BTreeSet<String>,
    /// How often it was moved.
    moved: u64,
}

impl Default for Switch {
    /// Everything is checked.
    fn default() -> Self {
        Self { all: true, off: BTreeSet::new(), moved: 0 }
    }
}

impl Switch {
    /// Whether this stream is checked; without one: whether checking is on at all.
    #[must_use]
    pub fn is_on(&self, stream: Option<&str>) -> bool {
        self.all && stream.is_none_or(|stream| !self.off.contains(stream))
    }

    /// The streams that are off by their own name.
    pub fn off(&self) -> impl Iterator<Item = &str> {
        self.off.iter().map(String::as_str)
    }

    /// How often it was moved.
    #[must_use]
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// Turns one stream, or all of it, on or off. A stream that was turned off by its name stays
    /// off when all is turned on.
    pub fn set(&mut self, stream: Option<String>, on: bool) {
        self.moved += 1;
        match (stream, on) {
            (None, on) => self.all = on,
            (Some(stream), true) => {
                self.off.remove(&stream);
            }
            (Some(stream), false) => {
                self.off.insert(stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_turned_off_by_name_stays_off() {
        let mut switch = Switch::default();
        switch.set(Some("orders".to_owned()), false);
        assert!(switch.is_on(None) && switch.is_on(Some("bills")) && !switch.is_on(Some("orders")));
        switch.set(None, false);
        assert!(!switch.is_on(None) && !switch.is_on(Some("bills")));
        switch.set(None, true);
        assert!(switch.is_on(Some("bills")) && !switch.is_on(Some("orders")));
        switch.set(Some("orders".to_owned()), true);
        assert!(switch.is_on(Some("orders")));
    }
}
