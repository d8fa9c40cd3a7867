//! One partition as one view reads it: its clock, how it is watched, and every position.

use std::collections::{BTreeMap, BTreeSet};

use crate::line::{LaneKey, Why};

/// How it is watched now.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    /// All of it was watched, since this `since`.
    pub(super) start: bool,
    pub(super) since: u64,
    /// It is not the first one.
    pub(super) again: bool,
    /// It was paused once.
    pub(super) paused: bool,
    /// Where reading began.
    pub(super) begin: Option<u64>,
    pub(super) committed: bool,
    pub(super) ordered: bool,
}

/// A second watch of which it is not known yet where it goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Undecided {
    pub(super) start: bool,
    pub(super) at: u64,
}

/// What was read at a position: a number, or something that is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) what: Option<(LaneKey, u64)>,
    pub(super) at: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    pub(super) valid: u64,
    pub(super) absent: u64,
    pub(super) malformed: u64,
    pub(super) unsupported: u64,
    pub(super) foreign: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub(super) clock: u64,
    pub(super) watch: Option<Watch>,
    pub(super) undecided: Option<Undecided>,
    pub(super) reads: BTreeMap<u64, Read>,
    /// Read without a record there: passed over in one forward run, or below an end.
    pub(super) passed: BTreeSet<u64>,
    pub(super) named: BTreeMap<u64, Why>,
    /// Where the present run goes on.
    pub(super) run: Option<u64>,
    /// One above the highest position read and not cut.
    pub(super) frontier: Option<u64>,
    /// The newest end's `at` and the newest position.
    pub(super) end_at: Option<u64>,
    pub(super) end_position: Option<u64>,
    pub(super) observed: Observed,
    pub(super) cuts: u64,
}

impl Part {
    pub(super) fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    /// Whether a watch that begins here leaves nothing out.
    pub(super) fn goes_on_at(&self, position: u64) -> bool {
        let begin = self.watch.as_ref().and_then(|w| w.begin);
        self.frontier.max(begin).is_some_and(|frontier| position <= frontier)
    }

    /// A record was read there.
    pub(super) fn read(&mut self, position: u64, read: Read) {
        self.pass_to(position);
        self.run = Some(position + 1);
        self.passed.remove(&position);
        self.reads.entry(position).or_insert(read);
        self.frontier = self.frontier.max(Some(position + 1));
    }

    /// All positions up to here were passed in the present run.
    fn pass_to(&mut self, position: u64) {
        if let Some(run) = self.run {
            for skipped in run..position {
                if !self.reads.contains_key(&skipped) {
                    self.passed.insert(skipped);
                }
            }
        }
    }

    /// All below counts as read, in the present run.
    pub(super) fn read_to(&mut self, end: u64) {
        self.pass_to(end);
        self.run = self.run.max(Some(end));
        self.frontier = self.frontier.max(Some(end));
        self.end_position = self.end_position.max(Some(end));
    }

    /// What stood at or above is gone.
    pub(super) fn cut(&mut self, position: u64) {
        self.reads.split_off(&position);
        self.passed.split_off(&position);
        self.named.split_off(&position);
        self.end_position = self.end_position.map(|e| e.min(position));
        if self.frontier.is_some_and(|frontier| frontier > position) {
            let last = self.reads.keys().chain(&self.passed).max();
            self.frontier = self.end_position.max(last.map(|last| last + 1));
        }
        if let Some(watch) = &mut self.watch {
            watch.begin = watch.begin.map(|begin| begin.min(position));
        }
        if self.run.is_some_and(|run| run > position) {
            self.run = Some(position);
        }
    }

    /// Positions begin again.
    pub(super) fn forget_positions(&mut self) {
        self.reads.clear();
        self.passed.clear();
        self.named.clear();
        self.run = None;
        self.frontier = None;
        self.end_position = None;
    }

    pub(super) fn has_ended_after(&self, at: u64) -> bool {
        self.end_at.is_some_and(|end| end > at)
    }
}
