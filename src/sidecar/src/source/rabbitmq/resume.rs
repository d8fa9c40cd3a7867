//! What a restart goes on with.
//!
//! A stream has offsets: it is read on from the last one that is kept, and what was read before is
//! left out. A queue has no positions, so those that were given to its messages must not be given
//! again. What was read of it and not kept yet is not in it any more, and nobody knows how much that
//! was: the first position of a run lies so far above the last one kept that the views see that
//! something was passed over, and what lies between is unknown (paused).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::settings::TapKind;
use crate::state::Resumed;

/// More than any run reads of a queue between two instants that are kept.
const APART: u64 = 1 << 32;

/// How far a stream was read.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Reached {
    /// A message's position is this and its offset: positions go on where a stream is made anew.
    pub(super) base: u64,
    /// The offset that is read next.
    pub(super) next: u64,
    /// What the message before it was, which tells the stream from another one of its name; `None`:
    /// there was none.
    pub(super) mark: Option<u32>,
}

/// What is kept of a place.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Kept {
    /// One above its last message's position.
    pub(super) next: u64,
    /// The stream is an exchange of which the tap's bindings may not take everything.
    pub(super) partial: bool,
}

/// What a source goes on with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resume {
    /// The position of this run's first message, where a run was before it that it cannot read on.
    pub(super) first: Option<u64>,
    /// Where it reads on.
    pub(super) reached: Option<Reached>,
    /// The places by their streams.
    pub(super) places: BTreeMap<String, Kept>,
}

/// The record's name of a queue's tap: the next position, as text.
pub(super) fn queue(tap: usize) -> String {
    format!("read/{tap}")
}

/// The record's name of a stream's tap.
pub(super) fn stream(tap: usize) -> String {
    format!("stream/{tap}")
}

/// The record's name of a place.
pub(super) fn place(stream: &str) -> String {
    format!("place/{stream}")
}

impl Resume {
    /// Reads what so many taps wrote; what is none of theirs is left out.
    pub(super) fn read(records: Option<&Resumed>, kind: TapKind, taps: usize) -> Self {
        let Some(records) = records else { return Self::default() };
        let mut reached: Vec<Reached> = Vec::new();
        let mut places = BTreeMap::new();
        let mut highest = None;
        for (name, value) in records {
            let next = if let Some(stream) = name.strip_prefix("place/") {
                let Ok(kept) = serde_json::from_slice::<Kept>(value) else { continue };
                places.insert(stream.to_owned(), kept);
                kept.next
            } else if name.starts_with("stream/") {
                let Ok(read) = serde_json::from_slice::<Reached>(value) else { continue };
                reached.push(read);
                read.base.saturating_add(read.next)
            } else {
                let Ok(next) = serde_json::from_slice(value) else { continue };
                next
            };
            highest = highest.max(Some(next));
        }
        let first = reached.iter().copied().min_by_key(|reached| reached.next);
        let same = reached.iter().all(|other| first.is_some_and(|first| first.base == other.base));
        match first {
            // A tap that was told later leaves out what it has read.
            Some(first) if kind == TapKind::Stream && same && reached.len() == taps => {
                Self { first: None, reached: Some(first), places }
            }
            _ => Self {
                first: highest.map(|highest: u64| highest.saturating_add(APART)),
                ..Self::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(all: &[(String, String)]) -> Resumed {
        all.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect()
    }

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn a_queue_s_run_begins_far_above_all_that_were_before_it() {
        let read = |kept: &Resumed| Resume::read(Some(kept), TapKind::Queue, 2);
        assert_eq!(Resume::read(None, TapKind::Queue, 2), Resume::default());
        assert_eq!(read(&Resumed::new()), Resume::default());
        let kept = records(&[(queue(0), "17".to_owned()), (queue(1), "4".to_owned())]);
        assert_eq!(read(&kept), Resume { first: Some(17 + APART), ..Resume::default() });
    }

    #[test]
    fn a_stream_is_read_on_from_where_the_last_tap_was() {
        let reached = |next| Reached { base: 5, next, mark: Some(9) };
        let orders = Kept { next: 40, partial: false };
        let all = [
            (queue(0), "30".to_owned()),
            (stream(0), json(&reached(39))),
            (stream(1), json(&reached(36))),
            (place("shop/orders"), json(&orders)),
        ];
        let read = Resume::read(Some(&records(&all)), TapKind::Stream, 2);
        let places = [("shop/orders".to_owned(), orders)].into();
        assert_eq!(read, Resume { first: None, reached: Some(reached(36)), places });
        // One of them had not begun, it is another tap, or another stream.
        let apart = Resume { first: Some(44 + APART), ..Resume::default() };
        assert_eq!(Resume::read(Some(&records(&all)), TapKind::Stream, 3), apart);
        assert_eq!(Resume::read(Some(&records(&all)), TapKind::Queue, 2), apart);
        let mut other = all;
        other[2].1 = json(&Reached { base: 6, ..reached(36) });
        assert_eq!(Resume::read(Some(&records(&other)), TapKind::Stream, 2), apart);
    }
}
