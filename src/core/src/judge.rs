//! When a missing number is judged (contracts §4): a loss needs time and progress.

use alloc::vec::Vec;

use crate::cell::Cell;
use crate::context::{Context, Evidence, Near};
use crate::hole::Hole;
use crate::lane::NONE;
use crate::mutants::{Mutant, broken};
use crate::verdict::{Reason, State};
use crate::view::Span;

/// Whether a missing number can be judged now.
enum Judgement {
    Lost,
    /// Not before the grace from this time is over.
    Later(u64),
    /// The time is over; something else is awaited (an end, a ledger).
    Waits,
}

impl Cell {
    /// Judges what is due, at most `budget` entries. Whether more is.
    pub(crate) fn run_due(&mut self, view: usize, budget: usize, ctx: &mut Context) -> bool {
        for _ in 0..budget {
            match self.views[view].pop_due(self.grace) {
                Some(span) => self.judge(view, span, ctx),
                None => return false,
            }
        }
        true
    }

    /// Looks again at all that waits for an end, a ledger or another partition.
    pub(crate) fn look_again(&mut self, view: usize, ctx: &mut Context) {
        let mut spans = core::mem::take(&mut self.views[view].waiting);
        spans.sort_unstable();
        spans.dedup();
        for span in spans {
            // What waited has no entry among those due; if its time is yet to come, it gets one.
            for (opened, span) in self.not_due(view, span) {
                self.views[view].push_due(opened, span);
            }
            self.judge(view, span, ctx);
        }
    }

    /// The missing numbers of a span whose grace is not over.
    fn not_due(&self, view: usize, span: Span) -> Vec<(u64, Span)> {
        let held = &self.views[view];
        let extra = held.lane(span.lane as usize).and_then(|held| held.extra.as_deref());
        let holes =
            extra.into_iter().flat_map(|extra| extra.gaps.overlapping(span.first, span.last));
        holes
            .filter(|hole| hole.state == State::Missing && !hole.fact.judged())
            .filter(|hole| hole.opened.saturating_add(self.grace) >= held.now())
            .map(|hole| (hole.opened, Span { first: hole.first, last: hole.last, ..span }))
            .collect()
    }

    /// Judges the missing numbers of a span whose time has come.
    pub(crate) fn judge(&mut self, view: usize, span: Span, ctx: &mut Context) {
        let lane = span.lane as usize;
        let mut number = span.first;
        loop {
            let ledger = self.lanes[lane].ledger.as_deref();
            let (pending, end) = match ledger {
                Some(ledger) => {
                    let (pending, end) = ledger.pending.run(number);
                    (pending.then_some(ledger.arrived), end.min(span.last))
                }
                None => (None, span.last),
            };
            // The lane's end is judged otherwise, so a hole that reaches over it is two.
            let next = self.views[view].lane(lane).map_or(0, |held| held.next);
            let end = if number < next { end.min(next - 1) } else { end };
            let opened = self.opened(view, lane, number);
            let (waits, reach) = self.log_may_tell(view, lane, number, opened);
            let end = end.min(reach);
            if waits && !ctx.complete {
                self.views[view].waiting.push(Span { first: number, last: end, ..span });
                if end == span.last {
                    break;
                }
                number = end + 1;
                continue;
            }
            self.judge_alike(view, Span { first: number, last: end, ..span }, pending, ctx);
            if end == span.last {
                break;
            }
            number = end + 1;
        }
    }

    /// From when the grace of the hole at or after a number runs.
    fn opened(&self, view: usize, lane: usize, number: u64) -> u64 {
        let extra = self.views[view].lane(lane).and_then(|held| held.extra.as_deref());
        let hole = extra.and_then(|extra| extra.gaps.overlapping(number, u64::MAX).next());
        hole.map_or(0, |hole| hole.opened)
    }

    /// The same for numbers that are all pending (since a ledger's arrival), or all not.
    fn judge_alike(&mut self, view: usize, span: Span, pending: Option<u64>, ctx: &mut Context) {
        let lane = span.lane as usize;
        let Some(held) = self.views[view].lane(lane) else {
            return;
        };
        let Some(extra) = held.extra.as_deref() else {
            return;
        };
        let missing: Vec<Hole> = extra
            .gaps
            .overlapping(span.first, span.last)
            .filter(|hole| hole.state == State::Missing)
            .map(|hole| Hole {
                first: hole.first.max(span.first),
                last: hole.last.min(span.last),
                ..hole
            })
            .collect();
        let next = held.next;
        for hole in missing {
            let range = (hole.first, hole.last);
            if hole.fact.judged() {
                // Judged by time; another view decides, and `edit` keeps it waiting if not yet.
                self.edit(view, lane, range, ctx, |_| ());
                continue;
            }
            let tail = hole.first >= next;
            match self.judgement(view, &hole, tail, pending, ctx) {
                Judgement::Later(from) if from > hole.opened => {
                    self.views[view].push_due(from, Span { first: range.0, last: range.1, ..span });
                }
                // It has an entry of its own.
                Judgement::Later(_) => {}
                Judgement::Waits => {
                    let waits = Span { first: range.0, last: range.1, ..span };
                    self.views[view].waiting.push(waits);
                }
                Judgement::Lost => self.conclude(view, lane, &hole, tail, ctx),
            }
        }
    }

    fn judgement(
        &self,
        view: usize,
        hole: &Hole,
        tail: bool,
        pending: Option<u64>,
        ctx: &Context,
    ) -> Judgement {
        let held = &self.views[view];
        let over = |from: u64| from.saturating_add(self.grace) < held.now();
        let end_after = |time: u64| held.last_end.is_some_and(|end| end > time);
        if ctx.complete {
            return Judgement::Lost;
        }
        if !over(hole.opened) && !broken(Mutant::NoGrace) {
            return Judgement::Later(hole.opened);
        }
        if let Some(arrived) = pending.filter(|_| !broken(Mutant::PendingJudged)) {
            if !over(arrived) {
                return Judgement::Later(arrived);
            }
            let channel = ctx.ledger_read.unwrap_or(u64::MAX);
            if channel <= arrived.saturating_add(self.grace) {
                return Judgement::Waits;
            }
        }
        let since = hole.opened.max(pending.unwrap_or(0));
        let progressed = if held.unordered && !broken(Mutant::UnorderedJudged) {
            end_after(since.saturating_add(self.grace))
        } else if self.span {
            hole.fact.past()
        } else {
            !tail || end_after(since) || broken(Mutant::TailUnread)
        };
        if progressed { Judgement::Lost } else { Judgement::Waits }
    }

    fn conclude(&mut self, view: usize, lane: usize, hole: &Hole, tail: bool, ctx: &mut Context) {
        let range = (hole.first, hole.last);
        if tail {
            self.remember_tail(view, lane, hole.opened, ctx);
        }
        let complete = ctx.complete;
        let unknowable = !tail && self.is_unknowable(view, lane, hole, ctx);
        self.edit(view, lane, range, ctx, |hole| {
            hole.fact = if unknowable {
                hole.fact.with_unknown(Some(Reason::Evicted))
            } else {
                hole.fact.with_judged(true, complete)
            };
        });
        if tail {
            self.explain_tail(view, lane, ctx);
        }
    }

    /// Whether positions were named that may explain this gap, and its neighbours were forgotten, so
    /// that nobody can tell. What a cut took away has no neighbours to forget.
    fn is_unknowable(&self, view: usize, lane: usize, hole: &Hole, ctx: &Context) -> bool {
        let held = &self.views[view];
        let state = &held.lanes[lane];
        held.positions.names_any()
            && !self.span
            && hole.first >= state.first
            && ctx.evidence(self.place(view, lane), hole.first).is_none()
            && state.extra.as_ref().is_none_or(|extra| extra.gone == 0)
            && held.positions.names(self.unrefused(lane, hole.first, hole.last))
    }

    /// Keeps what is known beside the numbers at a lane's end, all of them together.
    pub(crate) fn remember_tail(&self, view: usize, lane: usize, since: u64, ctx: &mut Context) {
        let place = self.place(view, lane);
        let state = &self.views[view].lanes[lane];
        let (first, last) = (state.next, state.extent().max(state.next + 1) - 1);
        let known = ctx.evidence(place, first).map(|(_, evidence)| *evidence);
        let before = state.near(self.index);
        let fresh = Evidence { last, before, after: None, since, judged_at: None, age: 0 };
        ctx.remember(place, first, Evidence { last, ..known.unwrap_or(fresh) });
    }

    /// Looks anew at whether positions explain what is missing above a lane's highest number. A
    /// number there may come yet until it is judged.
    pub(crate) fn explain_tail(&mut self, view: usize, lane: usize, ctx: &mut Context) {
        let held = &self.views[view];
        if self.span || !held.positions.names_any() {
            return;
        }
        let state = &held.lanes[lane];
        let (first, extent) = (state.next, state.extent());
        let low = match state.near(self.index) {
            Some(near) if near.position == NONE => return,
            Some(near) => Some(near.position),
            None if state.seen() => return,
            None => held.positions.below(),
        };
        // An end that was asked for before the neighbour came says nothing.
        let Some(end) = held.end_position.filter(|&end| low.is_none_or(|low| end > low)) else {
            return;
        };
        if first >= extent {
            return;
        }
        let range = (first, extent - 1);
        let cause = held.positions.cause(low, end, self.unrefused(lane, range.0, range.1));
        self.edit(view, lane, range, ctx, |hole| {
            if hole.fact.judged() {
                hole.fact = hole.fact.with_cause(hole.fact.cause().or(cause));
            }
        });
    }

    /// Looks anew at whether positions explain the gap that this number lies in.
    pub(crate) fn explain(&mut self, view: usize, lane: usize, number: u64, ctx: &mut Context) {
        if self.span {
            return;
        }
        let place = self.place(view, lane);
        let Some((first, &Evidence { last, before, after, .. })) = ctx.evidence(place, number)
        else {
            return;
        };
        let held = &self.views[view];
        // Below a base line nothing is expected, so that there is no gap.
        if first < held.lanes[lane].first {
            return;
        }
        let position = |near: Option<Near>| near.map(|near| near.position).filter(|&p| p != NONE);
        if after.is_none() && first >= held.lanes[lane].next {
            return self.explain_tail(view, lane, ctx);
        }
        let Some(high) = position(after) else { return };
        let low = match before {
            Some(_) => position(before),
            None => held.positions.below(),
        };
        // A neighbour may be forgotten, and below a lane's first number what was read may lie above.
        let unknown = if before.is_some() { low.is_none() } else { first > 0 || low >= Some(high) };
        if unknown {
            return;
        }
        // A number that came late stands behind its upper neighbour.
        let (low, high) = match low {
            Some(low) if low > high => (Some(high), low),
            low => (low, high),
        };
        let cause = held.positions.cause(low, high, self.unrefused(lane, first, last));
        let next = held.lanes[lane].next;
        self.edit(view, lane, (first, last), ctx, |hole| {
            // Above all that was seen, a number may come yet until it is judged.
            if hole.first < next || hole.fact.judged() {
                hole.fact = hole.fact.with_cause(hole.fact.cause().or(cause));
            }
        });
    }

    /// How many of these numbers would have had a position: not the refused ones.
    fn unrefused(&self, lane: usize, first: u64, last: u64) -> u64 {
        let ledger = self.lanes[lane].ledger.as_ref();
        let refused = ledger.map_or(0, |ledger| ledger.refused.count_in(first, last));
        last - first + 1 - refused
    }
}
