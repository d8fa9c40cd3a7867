//! A producer: takes numbers, sends them in some order, and keeps its ledger.

use std::collections::BTreeSet;

use crate::line::{Entry, LaneKey};

/// A number that was taken and has not been sent yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) lane: LaneKey,
    pub(super) seq: u64,
    pub(super) partition: usize,
}

/// One lane's own book-keeping.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    pub(super) entry: Entry,
    pub(super) silent: bool,
}

impl Ledger {
    pub(super) fn new(lane: LaneKey, silent: bool) -> Self {
        let none = BTreeSet::new;
        let entry = Entry {
            lane,
            rev: 0,
            from: 0,
            next: 0,
            pending: none(),
            unanswered: none(),
            refused: none(),
            aborted: none(),
            closed: false,
            at: 0,
        };
        Self { entry, silent }
    }

    /// Takes the lane's next number.
    pub(super) fn take(&mut self) -> u64 {
        let seq = self.entry.next;
        self.entry.next += 1;
        self.entry.pending.insert(seq);
        seq
    }

    /// The next record, complete from `from` on.
    pub(super) fn record(&mut self, from: u64, at: u64) -> Entry {
        self.entry.rev += 1;
        let mut record = self.entry.clone();
        record.from = from;
        record.at = at;
        for list in
            [&mut record.pending, &mut record.unanswered, &mut record.refused, &mut record.aborted]
        {
            *list = list.split_off(&from);
        }
        record
    }
}
