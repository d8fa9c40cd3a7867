//! A group beside the log: what the log has and the group was not handed (contracts §4: lag, until
//! an end).

use alloc::vec::Vec;

use crate::cell::Cell;
use crate::checker::Checker;
use crate::context::Context;
use crate::hole::{Fact, Hole};
use crate::mutants::{Mutant, broken};
use crate::verdict::State;

impl Cell {
    /// The log has a number now: groups that miss it have its grace from here on, and those that
    /// had been told that the log lost it have a number to wait for.
    pub(crate) fn seen_in_log(&mut self, lane: usize, seq: u64, now: u64, ctx: &mut Context) {
        let Some(log) = self.log else { return };
        self.told();
        for group in (0..self.views.len()).filter(|&group| group != log) {
            let unseen = self.views[group]
                .lane(lane)
                .and_then(|held| held.extra.as_ref().and_then(|extra| extra.gaps.find(seq)));
            if unseen.is_some() {
                self.edit(group, lane, (seq, seq), ctx, |hole| {
                    if matches!(hole.state, State::Missing | State::LostInLog) {
                        hole.opened = hole.opened.max(now);
                        hole.fact = hole.fact.with_judged(false, false).with_past(false);
                    }
                });
                if self.span {
                    self.pass(group, Some(lane), ctx);
                }
            }
        }
    }

    /// The log has told something: with their next line groups look again at what waits for it.
    pub(crate) fn told(&mut self) {
        if self.views.len() > 1 {
            for view in &mut self.views {
                view.told |= !view.waiting.is_empty();
            }
        }
    }

    /// What the log had seen by a group's end, and the group was not handed, is lost (contracts
    /// §4: lag, until an end).
    pub(crate) fn catch_up(&mut self, view: usize, lane: usize, ctx: &mut Context) {
        let Some((at, from)) = self.views[view].lag else {
            return;
        };
        if lane < from || Some(view) == self.log {
            return;
        }
        self.lost_behind(view, lane, at, ctx);
    }

    /// Numbers above the group's highest that the log saw no later than `at`.
    pub(crate) fn lost_behind(&mut self, view: usize, lane: usize, at: u64, ctx: &mut Context) {
        let Some(log) = self.log else { return };
        let Some(stored) = self.views[log].lane(lane).filter(|held| held.seen()) else {
            return;
        };
        if stored.last_at > at && !ctx.complete && !broken(Mutant::LagLost) {
            return;
        }
        let (stored_next, stored_first) = (stored.next, stored.first_at);
        let held = self.views[view].lane(lane);
        let (next, extent, seen, awaiting) = held.map_or((0, 0, false, false), |held| {
            (held.next, held.extent(), held.seen(), held.awaiting())
        });
        let breaks = self.views[view].breaks;
        let awaiting = awaiting || held.is_some_and(|held| held.present() && held.breaks != breaks);
        if stored_next <= next || awaiting {
            return;
        }
        if !seen && !self.expects_zero(view, self.identity(lane).1, stored_first) {
            return;
        }
        let behind = self.stored(log, lane, next, stored_next - 1);
        let Some(&(_, highest)) = behind.last() else { return };
        self.appear(view, lane);
        let complete = ctx.complete;
        let judged = |hole: &mut Hole| hole.fact = hole.fact.with_judged(true, complete);
        if extent <= highest {
            let (first, last) = (extent, highest);
            let (fact, state) = (Fact::default(), State::Missing);
            let opened = if self.span { self.views[view].now() } else { at };
            self.open(view, lane, Hole { first, last, opened, fact, state }, ctx);
        }
        self.remember_tail(view, lane, at, ctx);
        for (first, last) in behind {
            self.edit(view, lane, (first, last), ctx, judged);
        }
        self.explain_tail(view, lane, ctx);
    }

    /// The numbers of `first` … `last` that the log's view has seen.
    fn stored(&self, log: usize, lane: usize, first: u64, last: u64) -> Vec<(u64, u64)> {
        let held = &self.views[log].lanes[lane];
        let mut from = first.max(held.floor());
        let mut out = Vec::new();
        for hole in held.extra.iter().flat_map(|extra| extra.gaps.overlapping(first, last)) {
            if hole.first > from {
                out.push((from, hole.first - 1));
            }
            from = from.max(hole.last.saturating_add(1));
        }
        if from <= last {
            out.push((from, last));
        }
        out
    }

    /// Goes on with what a group's end left behind. Whether there is more.
    pub(crate) fn sweep_lag(&mut self, view: usize, budget: usize, ctx: &mut Context) -> bool {
        let Some((at, from)) = self.views[view].lag else {
            return false;
        };
        let lanes = self.lanes.len();
        let to = from.saturating_add(budget).min(lanes);
        for lane in from..to {
            if self.lanes[lane].key_len > 0 {
                self.lost_behind(view, lane, at, ctx);
            }
        }
        self.views[view].lag = (to < lanes).then_some((at, to));
        to < lanes
    }
}

impl Checker {
    /// Ranges of positions, inclusive, in which the log's view has read records and this group was
    /// handed none, from the first one that it was handed up to `below`; the first `most` of them.
    /// None of a group of which nothing is known.
    #[must_use]
    pub fn unhanded(
        &self,
        group: &str,
        stream: &str,
        partition: &str,
        below: u64,
        most: usize,
    ) -> Vec<(u64, u64)> {
        let found = || {
            let stream = &self.streams[*self.names.get(stream)? as usize];
            let cell = &self.cells[*stream.cells.get(partition)? as usize];
            let view = stream.views.iter().position(|view| view == group)?;
            let log = cell.log.filter(|&log| log != view)?;
            let handed = &cell.views[view].positions.observed;
            let (first, _) = handed.iter().next()?;
            let stored = &cell.views[log].positions.observed;
            let stored = stored.pieces(first, below.checked_sub(1)?);
            Some(stored.flat_map(|range| handed.gaps(range)).take(most).collect())
        };
        found().unwrap_or_default()
    }
}
