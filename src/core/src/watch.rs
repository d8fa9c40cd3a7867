//! Lines that are no messages: watch, end, absent, and what a pause does (contracts §3, §4).

use crate::cell::Cell;
use crate::context::Context;
use crate::lane::NONE;
use crate::mutants::{Mutant, broken};
use crate::report::Watched;
use crate::verdict::{Cause, Reason, State};
use crate::view::{Part, Span, Watch};

/// What a line did to a partition's watch, for its stream's lane `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watching {
    /// As before.
    Unchanged,
    /// The first watch, or one whose beginning was found to be lost.
    Began,
    /// It goes on without a break; grace begins anew at this time.
    Continued(u64),
    /// What passed meanwhile is unknown.
    Paused,
}

impl Cell {
    /// A `watch` line.
    pub(crate) fn watch(&mut self, view: usize, watch: &Watch, ctx: &mut Context) -> Watching {
        let held = &mut self.views[view];
        held.committed = watch.committed;
        held.unordered = !watch.ordered;
        if held.watched.is_none() {
            return self.first_watch(view, watch, ctx);
        }
        match watch.position {
            Some(position) => self.second_watch(view, watch, position, ctx),
            None if watch.handover && !held.is_log => {
                held.undecided = held.undecided.filter(|_| held.unordered);
                held.positions.run = None;
                self.go_on(view, watch.at, ctx);
                Watching::Continued(watch.at)
            }
            None => {
                held.undecided = Some(*watch);
                Watching::Unchanged
            }
        }
    }

    fn first_watch(&mut self, view: usize, watch: &Watch, ctx: &mut Context) -> Watching {
        let from_start = watch.from_start && watch.position.is_none_or(|position| position == 0);
        let held = &mut self.views[view];
        held.watched = Some(Watched { from_start, since: watch.at });
        held.start_open = from_start && watch.position.is_none();
        held.positions.run = watch.position;
        held.positions.begin = watch.position;
        if !from_start {
            held.broken = Some((watch.at, Reason::Joined));
        }
        self.expect_unseen(view, watch.at, ctx);
        Watching::Began
    }

    /// The watch's first record or end: positions that were left open are known now.
    pub(crate) fn settle_watch(
        &mut self,
        view: usize,
        position: Option<u64>,
        at: u64,
        is_end: bool,
        ctx: &mut Context,
    ) -> Watching {
        let held = &mut self.views[view];
        if held.watched.is_none() {
            let watch = Watch { position, at, ..Watch::default() };
            let began = self.first_watch(view, &watch, ctx);
            self.views[view].unordered = false;
            return began;
        }
        if held.start_open {
            held.start_open = false;
            if is_end {
                held.positions.run = Some(0);
                held.positions.begin = Some(0);
            } else if position.is_some_and(|position| position > 0) {
                return self.lost_beginning(view, ctx);
            }
        }
        let Some(watch) = self.views[view].undecided.take() else {
            return Watching::Unchanged;
        };
        match position {
            Some(position) => self.second_watch(view, &watch, position, ctx),
            None if watch.from_start && !is_end => self.anew(view, &watch, ctx),
            None => self.pause(view, watch.at, ctx),
        }
    }

    /// A watch from the start that did not begin at position 0 counts as one from here.
    fn lost_beginning(&mut self, view: usize, ctx: &mut Context) -> Watching {
        let held = &mut self.views[view];
        let Some(watched) = &mut held.watched else {
            return Watching::Unchanged;
        };
        watched.from_start = false;
        let since = watched.since;
        held.broken = Some((since, Reason::Joined));
        for span in self.views[view].drain_missing() {
            let range = (span.first, span.last);
            self.edit(view, span.lane as usize, range, ctx, |hole| {
                hole.fact = hole.fact.with_unknown(Some(Reason::Joined));
            });
        }
        self.expect_unseen(view, since, ctx);
        Watching::Began
    }

    /// Lanes that only the ledger knows, in a partition that is watched now.
    pub(crate) fn expect_unseen(&mut self, view: usize, at: u64, ctx: &mut Context) {
        for lane in 0..self.views[view].lanes.len() {
            let held = &self.views[view].lanes[lane];
            let arrived = self.lanes[lane].ledger.as_ref().map_or(at, |ledger| ledger.arrived);
            if held.present() && !held.seen() && self.unseen_reason(view, lane, arrived).is_none() {
                self.expect_again(view, lane, (0, u64::MAX), at.max(arrived), ctx);
            }
        }
    }

    fn second_watch(
        &mut self,
        view: usize,
        watch: &Watch,
        position: u64,
        ctx: &mut Context,
    ) -> Watching {
        if watch.from_start && position == 0 {
            return self.anew(view, watch, ctx);
        }
        let log_time = self.log.filter(|&log| log != view).and_then(|log| {
            let log = &self.views[log].positions;
            log.observed.contains(position).then(|| log.times.of(position)).flatten()
        });
        let held = &mut self.views[view];
        let earlier = held.undecided.take();
        let positions = &mut held.positions;
        let next = positions.highest().map(|highest| highest.saturating_add(1));
        let goes_on = next.max(positions.begin).max(held.end_position);
        positions.run = Some(position);
        let unbroken =
            goes_on.is_some_and(|next| position <= next) && !broken(Mutant::EveryWatchPauses);
        if unbroken || (watch.handover && !held.is_log) {
            // Without order a hand-over does not tell what a watch before it left out.
            held.undecided = earlier.filter(|_| held.unordered && !unbroken);
            let from = log_time.map_or(watch.at, |(_, latest)| latest);
            self.go_on(view, from, ctx);
            return Watching::Continued(from);
        }
        let paused = self.pause(view, watch.at, ctx);
        let positions = &mut self.views[view].positions;
        positions.run = Some(position);
        positions.begin = Some(position);
        paused
    }

    /// A topic made anew: what was seen stays seen, positions begin again.
    fn anew(&mut self, view: usize, watch: &Watch, ctx: &mut Context) -> Watching {
        let paused = self.pause(view, watch.at, ctx);
        let place = self.place(view, 0);
        ctx.unplace(place.cell, place.view, 0);
        let held = &mut self.views[view];
        held.paused = false;
        held.positions.anew();
        held.positions.run = Some(0);
        held.positions.begin = Some(0);
        held.end_position = None;
        held.watched = Some(Watched { from_start: true, since: watch.at });
        for lane in 0..held.lanes.len() {
            held.lanes[lane].last_position = NONE;
        }
        paused
    }

    /// The view goes on without a break; the grace of open gaps begins anew.
    pub(crate) fn go_on(&mut self, view: usize, from: u64, ctx: &mut Context) {
        for span in self.views[view].drain_missing() {
            let lane = span.lane as usize;
            // Partitions of lane `*` that would be past these numbers now are so still.
            let below = if self.span { self.past_below(view, lane, from) } else { 0 };
            self.edit(view, lane, (span.first, span.last), ctx, |hole| {
                if hole.state == State::Missing && !broken(Mutant::StallCounted) {
                    hole.opened = hole.opened.max(from);
                    let past = hole.fact.past() && hole.last < below;
                    hole.fact = hole.fact.with_judged(false, false).with_past(past);
                }
            });
            let extra = self.views[view].lane(lane).and_then(|held| held.extra.as_ref());
            let still: alloc::vec::Vec<(u64, Span)> = extra
                .into_iter()
                .flat_map(|extra| extra.gaps.overlapping(span.first, span.last))
                .filter(|hole| hole.state == State::Missing)
                .map(|hole| (hole.opened, Span { first: hole.first, last: hole.last, ..span }))
                .collect();
            for (opened, span) in still {
                self.views[view].push_due(opened, span);
            }
        }
    }

    /// The view was not looking until now: open gaps cannot be judged any more.
    pub(crate) fn pause(&mut self, view: usize, at: u64, ctx: &mut Context) -> Watching {
        self.break_gaps(view, Reason::Paused, ctx);
        let held = &mut self.views[view];
        held.undecided = None;
        held.start_open = false;
        held.breaks += 1;
        held.paused = true;
        // Lane `*` is paused by any of its partitions, whose clocks are their own.
        let earlier = held.broken.filter(|_| held.watched.is_none());
        held.broken = earlier.max(Some((at, Reason::Paused)));
        if held.watched.is_some() {
            held.watched = Some(Watched { from_start: false, since: at });
        }
        held.positions.run = None;
        held.positions.begin = None;
        Watching::Paused
    }

    /// Missing numbers become unknown.
    pub(crate) fn break_gaps(&mut self, view: usize, reason: Reason, ctx: &mut Context) {
        let unread = if self.span { Mutant::SpanUnpaused } else { Mutant::PauseUnread };
        if broken(unread) {
            return;
        }
        for span in self.views[view].drain_missing() {
            self.edit(view, span.lane as usize, (span.first, span.last), ctx, |hole| {
                if hole.state == State::Missing {
                    hole.fact = hole.fact.with_judged(false, false).with_unknown(Some(reason));
                }
            });
        }
    }

    /// An `end` line: the view has read all that was there when it asked.
    pub(crate) fn end(&mut self, view: usize, position: Option<u64>, at: u64, ctx: &mut Context) {
        let held = &mut self.views[view];
        held.clock = held.clock.max(Some(at));
        held.last_end = held.last_end.max(Some(at));
        if let Some(position) = position {
            held.end_position = held.end_position.max(Some(position));
            held.positions.end(position);
        }
        while self.run_due(view, usize::MAX, ctx) {}
        self.look_again(view, ctx);
        if Some(view) == self.log {
            self.told();
        } else {
            let held = &mut self.views[view];
            let at = held.lag.map_or(at, |(before, _)| before.max(at));
            held.lag = Some((at, 0));
            self.sweep_lag(view, Self::LAG_SLICE, ctx);
        }
        if self.views[view].positions.names_any() {
            self.explain_all(view, ctx);
        }
    }

    /// Lanes that one call looks at for what a group left behind.
    const LAG_SLICE: usize = 4_096;

    /// An `absent` line.
    pub(crate) fn absent(
        &mut self,
        view: usize,
        first: u64,
        last: u64,
        cause: Cause,
        ctx: &mut Context,
    ) {
        let held = &mut self.views[view];
        held.positions.name(first, last, cause);
        held.positions.bound(ctx.ranges_each);
        // Nearly always it is what comes next, so that no gap reaches over it yet: a reader of a compacted
        // log names a hole before every message.
        let is_next = held.positions.highest_read().is_none_or(|read| read < first)
            && held.end_position.is_none_or(|end| end <= first);
        if !is_next {
            self.explain_all(view, ctx);
        }
    }

    /// Looks anew at all gaps whose neighbours are remembered.
    pub(crate) fn explain_all(&mut self, view: usize, ctx: &mut Context) {
        let place = self.place(view, 0);
        for (lane, number) in ctx.intervals(place.cell, place.view) {
            self.explain(view, lane as usize, number, ctx);
        }
    }

    /// This partition's watch, for lane `*`.
    pub(crate) fn part_state(&self, view: usize) -> Option<Part> {
        let held = &self.views[view];
        held.watched.map(|watched| Part {
            watched: true,
            from_start: watched.from_start,
            since: watched.since,
            last_end: held.last_end,
            paused: held.paused,
        })
    }
}
