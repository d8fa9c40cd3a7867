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

    /// Streams that may be off by their own names at the request of clients: each is kept, and shown.
    pub const MOST_OFF: usize = 10_000;

    /// Whether there is room for one more stream that is off by its own name.
    #[must_use]
    pub fn has_room(&self, stream: &str) -> bool {
        self.off.len() < Self::MOST_OFF || self.off.contains(stream)
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
    fn a_flood_of_names_finds_no_room() {
        let mut switch = Switch::default();
        for number in 0..Switch::MOST_OFF {
            assert!(switch.has_room(&number.to_string()));
            switch.set(Some(number.to_string()), false);
        }
        assert!(switch.has_room("7") && !switch.has_room("orders"));
        switch.set(Some("7".to_owned()), true);
        assert!(switch.has_room("orders"));
    }

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
