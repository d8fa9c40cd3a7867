//! What the control thread and the taps tell each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use lapin::types::LongString;

use super::places::Place;
use super::resume::Reached;
use crate::engine::{Source, SourceStatus};
use crate::record;
use crate::source::health::Health;

/// What the control thread tells a tap.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// Another stream; its number is the order of these.
    Place(Place),
    /// Messages, in the order in which they were read.
    Messages(Vec<Entry>),
    /// All that was routed before `asked` has been read; so many messages are all that were.
    End { asked: u64, read: u64 },
    /// The business queue has held nothing of what was there when it was asked.
    GroupEnd { asked: u64 },
    /// Something was not read.
    Missed,
    /// The broker was away; all was read that was routed meanwhile.
    Back,
    /// All that it was told before is what a stream holds up to there.
    Reached(Reached),
    /// Producers said this.
    Ledger(Arc<Vec<record::Ledger>>),
    /// All that producers had said at this time, ms since the Unix epoch, has been told.
    LedgerRead(u64),
}

/// A message for a checker.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) position: u64,
    pub(super) stamp: Option<LongString>,
    pub(super) redelivered: Option<bool>,
    pub(super) time: Option<u64>,
}

/// What a tap tells the control thread.
#[derive(Debug)]
pub(super) enum Note {
    /// Something waits to be judged at an end.
    Ask,
    /// A group of the business queue's name waits for its end.
    AskGroup,
    /// A ledger speaks of these streams, and nobody looks at them.
    Unwatched(Vec<String>),
}

/// What both sides and those who ask see.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) health: Health,
    pub(super) lag: AtomicU64,
    pub(super) places: AtomicUsize,
    /// Messages of streams that have none.
    pub(super) unplaced: AtomicU64,
}

impl Shared {
    pub(super) fn new(name: &str) -> Self {
        let health = Health::new(name, "rabbitmq");
        Self {
            health,
            lag: AtomicU64::new(0),
            places: AtomicUsize::new(0),
            unplaced: AtomicU64::new(0),
        }
    }
}

impl Source for Arc<Shared> {
    fn status(&self) -> SourceStatus {
        let lag = self.lag.load(Ordering::Relaxed);
        let status = self.health.status(lag, self.places.load(Ordering::Relaxed));
        SourceStatus { unplaced: self.unplaced.load(Ordering::Relaxed), ..status }
    }
}
