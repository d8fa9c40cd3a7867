//! Lane `*`: a count over all partitions of a stream. It is past a number in a partition that has
//! shown a higher one, or that was read to its end after the gap opened (contracts §4).

use alloc::vec::Vec;

use crate::cell::Cell;
use crate::context::Context;
use crate::hole::Hole;
use crate::mutants::{Mutant, broken};
use crate::note::Reading;
use crate::verdict::{Reason, State};
use crate::view::{Part, Span, View};

impl Cell {
    /// A partition has shown a number of a lane.
    pub(crate) fn show(&mut self, view: usize, lane: usize, read: &Reading, ctx: &mut Context) {
        let shown = &mut self.views[view].lanes[lane].extra().shown;
        if shown.len() <= read.part {
            shown.resize(read.part + 1, 0);
        }
        shown[read.part] = shown[read.part].max(read.seq + 1);
        self.pass(view, Some(lane), ctx);
    }

    /// Has the grace begin for gaps that every watched partition is past by now: of one lane, or
    /// of all.
    pub(crate) fn pass(&mut self, view: usize, lane: Option<usize>, ctx: &mut Context) {
        // A view without order is past nothing; only ends judge there.
        if self.views[view].totals.missing == 0 || self.views[view].unordered {
            return;
        }
        let spans = match lane {
            None => self.views[view].drain_missing(),
            Some(lane) => {
                let held = self.views[view].lanes.get(lane).and_then(|held| held.extra.as_ref());
                let lane = self.place(view, lane).lane;
                held.into_iter()
                    .flat_map(|extra| extra.gaps.iter())
                    .filter(|hole| hole.state == State::Missing && !hole.fact.past())
                    .map(|hole| Span { lane, first: hole.first, last: hole.last })
                    .collect()
            }
        };
        for span in spans {
            self.pass_span(view, span, lane.is_none(), ctx);
        }
    }

    fn pass_span(&mut self, view: usize, span: Span, drained: bool, ctx: &mut Context) {
        let lane = span.lane as usize;
        let Some(extra) = self.views[view].lane(lane).and_then(|held| held.extra.as_ref()) else {
            return;
        };
        let missing: Vec<Hole> = extra
            .gaps
            .overlapping(span.first, span.last)
            .filter(|hole| hole.state == State::Missing)
            .collect();
        let now = self.views[view].now();
        for hole in missing {
            let (first, last) = (hole.first.max(span.first), hole.last.min(span.last));
            let below = self.past_below(view, lane, hole.opened);
            let open = !hole.fact.past() && !hole.fact.judged();
            let rest = if open && first < below {
                self.edit(view, lane, (first, last.min(below - 1)), ctx, |hole| {
                    hole.opened = hole.opened.max(now);
                    hole.fact = hole.fact.with_past(true);
                });
                below
            } else {
                first
            };
            if !drained || rest > last {
                continue;
            }
            let part = Span { lane: span.lane, first: rest, last };
            if hole.fact.past() && !hole.fact.judged() {
                self.views[view].push_due(hole.opened, part);
            } else {
                self.views[view].waiting.push(part);
            }
        }
    }

    /// Every watched partition is past the numbers below this one.
    pub(crate) fn past_below(&self, view: usize, lane: usize, opened: u64) -> u64 {
        let held = &self.views[view];
        let shown = held.lanes[lane].extra.as_ref().map_or(&[][..], |extra| &extra.shown);
        let below = |(index, part): (usize, &Part)| {
            if part.last_end.is_some_and(|end| end > opened) {
                return u64::MAX;
            }
            shown.get(index).map_or(0, |shown| shown.saturating_sub(1))
        };
        let watched = held.parts.iter().enumerate().filter(|(_, part)| part.watched).map(below);
        let past = if broken(Mutant::SpanOnePast) { watched.max() } else { watched.min() };
        past.unwrap_or(0)
    }

    /// A partition's record or end: the time of this view of the stream goes on.
    pub(crate) fn tick(&mut self, view: usize, now: u64, ctx: &mut Context) {
        let held = &mut self.views[view];
        held.clock = held.clock.max(Some(now));
        if core::mem::take(&mut held.told) {
            self.look_again(view, ctx);
        }
        let held = &mut self.views[view];
        if held.has_due(self.grace) {
            while self.run_due(view, usize::MAX, ctx) {}
        }
    }

    /// A partition was read to its end.
    pub(crate) fn part_ended(&mut self, view: usize, part: usize, at: u64, ctx: &mut Context) {
        let held = self.part_mut(view, part);
        held.last_end = held.last_end.max(Some(at));
        let all = self.views[view].parts.iter().filter(|part| part.watched);
        // As a whole the stream was read to the end that lies furthest back.
        let read = all.map(|part| part.last_end).min().flatten();
        let held = &mut self.views[view];
        held.last_end = held.last_end.max(read);
        self.pass(view, None, ctx);
        self.look_again(view, ctx);
        if let Some(read) = read.filter(|_| Some(view) != self.log) {
            self.views[view].lag = Some((read, 0));
            while self.sweep_lag(view, usize::MAX, ctx) {}
        }
    }

    /// A partition is watched from now on.
    pub(crate) fn part_watched(
        &mut self,
        view: usize,
        part: usize,
        state: Part,
        ctx: &mut Context,
    ) {
        let others = self.views[view].parts.iter().enumerate();
        let later = others.filter(|(index, _)| *index != part).any(|(_, part)| part.watched);
        *self.part_mut(view, part) = state;
        if later && !state.from_start {
            // What was sent there before it was watched may have passed unseen.
            self.break_gaps(view, Reason::Joined, ctx);
            self.views[view].breaks += 1;
        }
        if !state.from_start {
            let held = &mut self.views[view];
            held.broken = held.broken.max(Some((state.since, Reason::Joined)));
        }
    }

    /// A new cell `*` learns what befell a partition before it was made.
    pub(crate) fn catch_up_with(&mut self, view: usize, part: &View) {
        let held = &mut self.views[view];
        held.clock = held.clock.max(part.clock);
        held.broken = held.broken.max(part.broken);
    }

    pub(crate) fn part_mut(&mut self, view: usize, part: usize) -> &mut Part {
        let parts = &mut self.views[view].parts;
        if parts.len() <= part {
            parts.resize(part + 1, Part::default());
        }
        &mut parts[part]
    }
}
