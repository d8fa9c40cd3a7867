//! A view of one partition: reads the log from some place on, and not always well.

use crate::line::Place;

#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) place: Place,
    pub(super) partition: usize,
    /// By how many ms its clock is behind.
    pub(super) behind: u64,
    /// The next position to read.
    pub(super) next: usize,
    /// The highest position read, and one.
    pub(super) reached: usize,
    /// Left for later: this view promises no order.
    pub(super) deferred: Vec<usize>,
    /// The step at which it begins.
    pub(super) joins_at: u64,
    pub(super) watching: bool,
    pub(super) committed: bool,
    pub(super) ordered: bool,
    /// It does not read before this step.
    pub(super) stalled_until: u64,
    /// When it was last seen to have read all there was, and how much that was.
    pub(super) caught_up: Option<(u64, usize)>,
    /// The log as it knows it.
    pub(super) generation: u64,
}

impl Reader {
    /// Its own time.
    pub(super) fn clock(&self, now: u64) -> u64 {
        now - self.behind
    }
}
