//! All that a lane's ledger records say, added up (contracts §2).

use std::collections::BTreeSet;

use crate::line::Entry;

/// The records of one lane and when each arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    records: Vec<Entry>,
    /// When the first arrived.
    pub(super) first_arrival: u64,
    /// When the last arrived.
    pub(super) last_arrival: u64,
}

impl Book {
    pub(super) fn add(&mut self, entry: Entry, arrival: u64) {
        if self.records.is_empty() {
            self.first_arrival = arrival;
        }
        self.last_arrival = arrival;
        self.records.push(entry);
    }

    /// The greatest `rev`, then `next`, then `at`; of equals the one that came last.
    pub(super) fn newest(&self) -> Option<&Entry> {
        self.records.iter().max_by_key(|r| (r.rev, r.next, r.at))
    }

    /// All numbers below are taken.
    pub(super) fn taken(&self) -> u64 {
        self.records.iter().map(|r| r.next).max().unwrap_or(0)
    }

    pub(super) fn pending(&self) -> BTreeSet<u64> {
        self.newest().map(|r| r.pending.clone()).unwrap_or_default()
    }

    pub(super) fn is_pending(&self, n: u64) -> bool {
        self.newest().is_some_and(|r| r.pending.contains(&n))
    }

    pub(super) fn said_refused(&self, n: u64) -> bool {
        self.records.iter().any(|r| r.refused.contains(&n))
    }

    pub(super) fn said_aborted(&self, n: u64) -> bool {
        self.records.iter().any(|r| r.aborted.contains(&n))
    }

    pub(super) fn said_unanswered(&self, n: u64) -> bool {
        self.records.iter().any(|r| r.unanswered.contains(&n))
    }

    /// Some record covers it and does not list it.
    pub(super) fn acknowledged(&self, n: u64) -> bool {
        self.records.iter().any(|r| {
            (r.from..r.next).contains(&n)
                && ![&r.pending, &r.unanswered, &r.refused, &r.aborted]
                    .iter()
                    .any(|list| list.contains(&n))
        })
    }
}
