//! The broker: one list of records a partition, some of which are gone.

use std::collections::BTreeMap;

use crate::line::{LaneKey, Mark, Why};

/// What stands at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// A message.
    Held(Mark),
    /// Nothing any more, or a control record.
    Gone(Option<Why>),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    pub(super) slots: Vec<Slot>,
    /// What is below was deleted by retention.
    pub(super) begin: usize,
    /// Rises whenever the log is cut back or made anew.
    pub(super) generation: u64,
}

/// How a message's transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transaction {
    Open,
    Committed,
    Aborted,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Broker {
    pub(super) logs: Vec<Log>,
    pub(super) transactions: BTreeMap<(LaneKey, u64), Transaction>,
}

impl Broker {
    pub(super) fn transaction(&self, mark: Mark) -> Option<Transaction> {
        match mark {
            Mark::Of(lane, n) => self.transactions.get(&(lane, n)).copied(),
            Mark::None | Mark::Malformed(_) | Mark::Unsupported(_) | Mark::Foreign(..) => None,
        }
    }
}
