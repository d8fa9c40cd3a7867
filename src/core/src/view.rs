//! One partition in one view: how it is watched, its clock, the positions it has read.

use alloc::collections::BinaryHeap;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::checker::MOST;
use crate::lane::{LaneView, NONE};
use crate::positions::Positions;
use crate::report::Watched;
use crate::state::Blocks;
use crate::totals::Totals;
use crate::verdict::Reason;

/// A `watch` line (contracts §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// From the partition's very first message; else from now on.
    pub from_start: bool,
    /// Where reading begins; else the first position observed.
    pub position: Option<u64>,
    /// When, in ms since the Unix epoch.
    pub at: u64,
    /// The view is a group that reads committed messages only.
    pub committed: bool,
    /// A former member's hand-over is known to be complete.
    pub handover: bool,
    /// The view promises an order; if not, a gap is judged only by an end.
    pub ordered: bool,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            from_start: false,
            position: None,
            at: 0,
            committed: false,
            handover: false,
            ordered: true,
        }
    }
}

/// Missing numbers of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) lane: u32,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// A watched partition, as lane `*` of its stream sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Part {
    pub(crate) watched: bool,
    pub(crate) from_start: bool,
    pub(crate) since: u64,
    pub(crate) last_end: Option<u64>,
    pub(crate) paused: bool,
}

/// In-order reading that is not counted yet: see [`View::flush`].
#[derive(Clone, Copy, Debug)]
struct Ahead {
    first: u64,
    /// The next position; [`NONE`]: the next message is looked at in full.
    next: u64,
    clock: u64,
    /// Nothing is due up to this time.
    until: u64,
}

impl Default for Ahead {
    fn default() -> Self {
        Self { first: NONE, next: NONE, clock: 0, until: 0 }
    }
}

/// A partition in a view; in cell `*`, a whole stream in a view.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) is_log: bool,
    pub(crate) watched: Option<Watched>,
    pub(crate) committed: bool,
    pub(crate) unordered: bool,
    /// A second watch whose position is not known yet.
    pub(crate) undecided: Option<Watch>,
    /// A first watch from the start whose first position is not known yet.
    pub(crate) start_open: bool,
    /// The highest time of a record or end.
    pub(crate) clock: Option<u64>,
    /// The latest time at which it was read to its end.
    pub(crate) last_end: Option<u64>,
    pub(crate) end_position: Option<u64>,
    pub(crate) last_at: Option<u64>,
    pub(crate) positions: Positions,
    /// The last join or pause: when, and which.
    pub(crate) broken: Option<(u64, Reason)>,
    pub(crate) breaks: u32,
    /// Any of them was a pause.
    pub(crate) paused: bool,
    /// Missing numbers by the time from which their grace runs.
    due: BinaryHeap<Reverse<(u64, Span)>>,
    /// The entry that was added last: neighbours that open at one time are one entry.
    fresh: Option<(u64, Span)>,
    /// Missing numbers whose grace is over and that wait for something else.
    pub(crate) waiting: Vec<Span>,
    pub(crate) lanes: Blocks<LaneView>,
    pub(crate) totals: Totals,
    /// Entries into each state since the start; they never go down.
    pub(crate) entered: Totals,
    /// Lanes that were retired or evicted.
    pub(crate) rest: Totals,
    pub(crate) last_eviction: Option<u64>,
    /// The log has told something since what waits was looked at.
    pub(crate) told: bool,
    /// Cell `*` only.
    pub(crate) parts: Vec<Part>,
    ahead: Ahead,
    /// A group's end: lanes from the index on may have unseen numbers that the log saw by then.
    pub(crate) lag: Option<(u64, usize)>,
}

impl View {
    pub(crate) fn new(name: &str, is_log: bool) -> Self {
        Self { name: name.into(), is_log, ..Self::default() }
    }

    pub(crate) fn lane(&self, lane: usize) -> Option<&LaneView> {
        self.lanes.get(lane)
    }

    pub(crate) fn lane_mut(&mut self, lane: usize) -> &mut LaneView {
        self.lanes.grow(lane + 1);
        &mut self.lanes[lane]
    }

    /// Whether this is the log's next position, at a time that makes nothing due.
    #[inline(always)]
    pub(crate) fn reads_on(&self, position: u64, at: u64) -> bool {
        let Ahead { next, clock, until, .. } = self.ahead;
        position == next && clock <= at && at <= until
    }

    /// Reads a valid number there. Whether the time is another than before.
    #[inline(always)]
    pub(crate) fn read_on(&mut self, at: u64) -> bool {
        let later = at != self.ahead.clock;
        if later {
            self.positions.times.note_next(self.ahead.next, at);
            self.ahead.clock = at;
        }
        // Positions have 63 bits.
        self.ahead.next = self.ahead.next.wrapping_add(1);
        later
    }

    /// Counts what was read on, before anything else is looked at.
    pub(crate) fn flush(&mut self) {
        let Ahead { first, next, clock, .. } = core::mem::take(&mut self.ahead);
        if next == NONE || next == first {
            return;
        }
        self.positions.covered.insert(first, next - 1);
        self.positions.observed.insert(first, next - 1);
        self.positions.run = Some(next);
        self.clock = Some(clock);
        self.last_at = self.last_at.max(Some(clock));
        self.totals.seen += next - first;
        self.totals.observed.valid += next - first;
    }

    /// Has the next position read on, if this is a log that reads forward.
    pub(crate) fn arm(&mut self, grace: u64, position: Option<u64>) {
        let Some(next) = position.and_then(|position| position.checked_add(1)) else { return };
        let forward = self.positions.run == Some(next) && self.positions.highest() < Some(next);
        if !self.is_log || !forward || self.told || next == NONE {
            return;
        }
        let earliest = self.due.peek().map(|entry| entry.0.0);
        let fresh = self.fresh.map(|entry| entry.0);
        let due = earliest.into_iter().chain(fresh).min();
        let until = due.map_or(MOST, |opened| opened.saturating_add(grace).min(MOST));
        self.ahead = Ahead { first: next, next, clock: self.now(), until };
    }

    /// The view's clock, with what was read on and is not counted yet.
    pub(crate) fn clock(&self) -> Option<u64> {
        let ahead = Some(self.ahead.clock).filter(|_| self.ahead.next != NONE);
        self.clock.max(ahead)
    }

    /// The view's clock; 0 before anything was read.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.clock.unwrap_or(0)
    }

    /// Whether any gap's grace is over.
    #[inline]
    pub(crate) fn has_due(&self, grace: u64) -> bool {
        let over = |entry: &(u64, Span)| entry.0.saturating_add(grace) < self.now();
        self.due.peek().is_some_and(|entry| over(&entry.0)) || self.fresh.as_ref().is_some_and(over)
    }

    pub(crate) fn pop_due(&mut self, grace: u64) -> Option<Span> {
        self.flush_fresh();
        let entry = self.due.peek()?.0;
        if entry.0.saturating_add(grace) >= self.now() {
            return None;
        }
        self.due.pop();
        Some(entry.1)
    }

    /// Has numbers judged once the grace from `opened` is over.
    pub(crate) fn push_due(&mut self, opened: u64, span: Span) {
        if let Some((time, last)) = &mut self.fresh
            && *time == opened
            && last.lane == span.lane
            && span.first <= last.last.saturating_add(2)
            && span.first >= last.first
        {
            last.last = last.last.max(span.last);
            return;
        }
        self.flush_fresh();
        self.fresh = Some((opened, span));
    }

    /// All missing numbers' entries; none are left.
    pub(crate) fn drain_missing(&mut self) -> Vec<Span> {
        self.flush_fresh();
        let mut all = core::mem::take(&mut self.waiting);
        all.extend(core::mem::take(&mut self.due).into_iter().map(|entry| entry.0.1));
        all.sort_unstable();
        all
    }

    fn flush_fresh(&mut self) {
        if let Some(entry) = self.fresh.take() {
            self.due.push(Reverse(entry));
        }
    }
}
