//! By what a sidecar is told: shared memory, or HTTP.

use lacuna_ring::{Reading, Record, Writer};

use crate::check::CheckOptions;
use crate::poster::Poster;

/// A way to a sidecar.
#[derive(Debug)]
pub(crate) enum Way {
    /// Through memory that outlives this process.
    Ring(Writer),
    /// By posting.
    Post(Poster),
}

impl Way {
    /// `None`: there is none.
    pub(crate) fn find(view: &str, reading: Reading, options: &CheckOptions) -> Option<Self> {
        let ring = |dir| Writer::create(dir, view, reading, options.ring_bytes).ok();
        let post = |address: &String| Poster::start(address, view, reading);
        let ring = options.ring_dir.as_deref().and_then(ring).map(Self::Ring);
        ring.or_else(|| options.sidecar.as_ref().and_then(post).map(Self::Post))
    }

    /// How many readers have begun; a new one knows nothing of what was told before.
    #[inline]
    pub(crate) fn readers(&self) -> u64 {
        match self {
            Self::Ring(ring) => ring.readers(),
            // Who posts hears of a new one, and tells it.
            Self::Post(_) => 0,
        }
    }

    /// Tells it, if there is room.
    #[inline]
    pub(crate) fn add(&mut self, record: &Record<'_>) -> bool {
        match self {
            Self::Ring(ring) => ring.add(record),
            Self::Post(poster) => poster.add(record),
        }
    }

    /// Tells all of them, if there is room for all.
    pub(crate) fn add_all(&mut self, records: &[Record<'_>]) -> bool {
        match self {
            Self::Ring(ring) => ring.add_all(records),
            Self::Post(poster) => poster.add_all(records),
        }
    }

    /// Says whether there is something that was not told.
    pub(crate) fn set_behind(&self, behind: bool) {
        match self {
            Self::Ring(ring) => ring.set_behind(behind),
            Self::Post(poster) => poster.set_behind(behind),
        }
    }

    /// Says whether something that was sent here may not have been handed over yet.
    pub(crate) fn set_busy(&self, busy: bool) {
        match self {
            Self::Ring(ring) => ring.set_busy(busy),
            Self::Post(poster) => poster.set_busy(busy),
        }
    }

    /// Its end waits for nothing.
    pub(crate) fn give_up(&mut self) {
        match self {
            Self::Ring(_) => {}
            Self::Post(poster) => poster.give_up(),
        }
    }

    /// Messages that were told and that the sidecar refused.
    pub(crate) fn refused(&self) -> u64 {
        match self {
            Self::Ring(_) => 0,
            Self::Post(poster) => poster.refused(),
        }
    }
}
