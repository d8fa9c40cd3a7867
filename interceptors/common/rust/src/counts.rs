//! What was stamped, and what was not and why.

use std::sync::atomic::{AtomicU64, Ordering};

use lacuna_core::stamp::SPAN;

use crate::lane::Lane;

/// What a producer did, in messages that its client took, since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// With a stamp.
    pub stamped: u64,
    /// Of these, in lane `*`: the partition was not known when they were stamped.
    pub unknown_partition: u64,
    /// Without, because stamping was off.
    pub switched_off: u64,
    /// Without, because only the stamp made them too large.
    pub too_large: u64,
    /// Without, because no stamp can be made of the names, or no number is left.
    pub unstampable: u64,
    /// Without, because their lane would have been one too many.
    pub too_many_lanes: u64,
}

/// Counts the messages that go out unstamped; those with a stamp are their lanes' numbers.
#[derive(Debug, Default)]
pub struct Unstamped {
    /// Stamping was off.
    pub switched_off: AtomicU64,
    /// Only the stamp made them too large.
    pub too_large: AtomicU64,
    /// No stamp can be made of the names, or no number is left.
    pub unstampable: AtomicU64,
    /// Their lane would have been one too many.
    pub too_many_lanes: AtomicU64,
}

impl Unstamped {
    /// These and the numbers of all lanes.
    pub fn counts<'a>(&self, lanes: impl Iterator<Item = &'a Lane>) -> Counts {
        let mut counts = Counts {
            switched_off: self.switched_off.load(Ordering::Relaxed),
            too_large: self.too_large.load(Ordering::Relaxed),
            unstampable: self.unstampable.load(Ordering::Relaxed),
            too_many_lanes: self.too_many_lanes.load(Ordering::Relaxed),
            ..Counts::default()
        };
        for lane in lanes {
            counts.add(lane);
        }
        counts
    }
}

impl Counts {
    fn add(&mut self, lane: &Lane) {
        let next = lane.next();
        self.stamped += next;
        if lane.label() == SPAN {
            self.unknown_partition += next;
        }
    }
}
