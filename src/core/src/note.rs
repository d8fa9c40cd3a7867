//! One valid number read: in order, above a gap, late, or again.

use crate::cell::Cell;
use crate::context::{Context, Duplicate, Near};
use crate::hole::{Fact, Hole};
use crate::lane::NONE;
use crate::mutants::{Mutant, broken};
use crate::verdict::{Repeat, State, Verdict};

/// A number as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) seq: u64,
    /// The partition's cell, and which of the stream's partitions it is.
    pub(crate) cell: u32,
    pub(crate) part: usize,
    /// [`NONE`] where the broker has none.
    pub(crate) position: u64,
    pub(crate) at: u64,
    /// [`NONE`] where the message has none.
    pub(crate) time: u64,
    /// The partition's clock.
    pub(crate) clock: u64,
    /// From when the grace of a gap runs that this number opens.
    pub(crate) opened: u64,
    /// Whether a record was read at this position before.
    pub(crate) again: bool,
    pub(crate) redelivered: Option<bool>,
}

impl Reading {
    fn near(&self) -> Near {
        let Self { seq, cell, position, at, time, .. } = *self;
        Near { seq, cell, position, at, time }
    }
}

impl Cell {
    /// Takes a number of a lane into a view.
    pub(crate) fn note(
        &mut self,
        view: usize,
        lane: usize,
        read: &Reading,
        ctx: &mut Context,
    ) -> Verdict {
        if let Some(log) = self.log.filter(|&log| log == view) {
            // What the log had seen when a group came to its end is judged by that.
            for group in (0..self.views.len()).filter(|&group| group != log) {
                self.catch_up(group, lane, ctx);
            }
        }
        self.appear(view, lane);
        self.touch(view, lane, ctx);
        if !self.views[view].lanes[lane].seen() {
            self.begin_lane(view, lane, read, ctx);
        }
        let held = &mut self.views[view].lanes[lane];
        held.last_at = if held.last_at == NONE { read.at } else { held.last_at.max(read.at) };
        let next = held.next;
        let verdict = if read.seq >= next {
            self.advance(view, lane, read, ctx)
        } else {
            self.late(view, lane, read, ctx)
        };
        if self.span {
            self.show(view, lane, read, ctx);
        }
        let repeated = matches!(verdict, Verdict::Repeated(_) | Verdict::Reread);
        if Some(view) == self.log && !repeated {
            self.seen_in_log(lane, read.seq, read.clock, ctx);
        }
        verdict
    }

    /// A number above all seen before.
    fn advance(&mut self, view: usize, lane: usize, read: &Reading, ctx: &mut Context) -> Verdict {
        let place = self.place(view, lane);
        let held = &self.views[view];
        let state = &held.lanes[lane];
        let (next, extent) = (state.next, state.extent());
        let before = state.near(self.index);
        let proves_nothing = self.unproven(view, lane, read.clock);
        let mut verdict = Verdict::New;
        if extent > read.seq
            && let Some(hole) = self.take_one(view, lane, read.seq)
        {
            self.leave(view, lane, &hole, ctx);
            if matches!(hole.state, State::Lost(_)) {
                verdict = Verdict::Recovered;
                self.count_recovered(view, lane, &hole, read, ctx);
            }
            ctx.split(place, read.near());
        }
        let state = &mut self.views[view].lanes[lane];
        let awaiting = state.awaiting();
        state.set_awaiting(false);
        state.next = read.seq + 1;
        state.stands_highest(read, self.span);
        self.views[view].totals.seen += 1;
        if awaiting && extent > read.seq + 1 {
            // Above the first number after a pause all is expected again.
            self.expect_again(view, lane, (read.seq + 1, u64::MAX), read.opened, ctx);
        }
        if read.seq == next {
            return verdict;
        }
        let (first, last) = (next, read.seq - 1);
        let reason = if awaiting { self.break_reason(view) } else { proves_nothing };
        let opened = read.opened;
        if extent > next {
            self.edit(view, lane, (first, last), ctx, |hole| {
                if !hole.fact.judged() && hole.fact.unknown().is_none() {
                    hole.opened = opened;
                    hole.fact = hole.fact.with_judged(false, false).with_past(false);
                    if reason.is_some() {
                        hole.fact = hole.fact.with_unknown(reason);
                    }
                }
            });
        }
        ctx.bracket(place, (first, last), before, read.near(), opened);
        if extent <= last {
            let fact = Fact::default().with_unknown(reason);
            let first = extent.max(next);
            let hole = Hole { first, last, opened, fact, state: State::Missing };
            self.open(view, lane, hole, ctx);
        }
        if self.views[view].positions.names_any() {
            self.explain(view, lane, first, ctx);
        }
        verdict
    }

    /// A number at or below the highest seen.
    fn late(&mut self, view: usize, lane: usize, read: &Reading, ctx: &mut Context) -> Verdict {
        let state = &self.views[view].lanes[lane];
        if read.seq < state.floor() {
            if state.revived() {
                self.views[view].lanes[lane].extra().reread += 1;
                return Verdict::Reread;
            }
            self.lower_floor(view, lane);
        }
        let held = &self.views[view].lanes[lane];
        let unseen = held.extra.as_ref().and_then(|extra| extra.gaps.find(read.seq));
        let Some(unseen) = unseen else {
            return self.repeat(view, lane, read, ctx);
        };
        let now = self.views[view].now();
        if unseen.state == State::Missing && unseen.opened.saturating_add(self.grace) < now {
            // The message comes after its number's time: that is judged first.
            let (lane, first) = (self.place(view, lane).lane, read.seq);
            self.judge(view, crate::view::Span { lane, first, last: first }, ctx);
        }
        let Some(hole) = self.take_one(view, lane, read.seq) else {
            return Verdict::Unjudged;
        };
        self.leave(view, lane, &hole, ctx);
        self.views[view].totals.seen += 1;
        let state = &mut self.views[view].lanes[lane];
        if state.next == read.seq + 1 {
            // The highest number had been cut away; it stands here now.
            state.stands_highest(read, self.span);
        }
        let in_time = read.clock <= hole.opened.saturating_add(self.grace);
        let verdict = match hole.state {
            State::Lost(_) => {
                self.count_recovered(view, lane, &hole, read, ctx);
                Verdict::Recovered
            }
            State::Missing => Verdict::Reordered,
            State::Refused | State::ByDesign(_) | State::Unknown(_) | State::LostInLog => {
                if in_time { Verdict::Reordered } else { Verdict::Seen }
            }
        };
        if verdict == Verdict::Reordered {
            let held = &mut self.views[view];
            held.totals.reordered += 1;
            held.entered.reordered += 1;
            held.lanes[lane].extra().reordered += 1;
        }
        ctx.split(self.place(view, lane), read.near());
        if self.views[view].positions.names_any() {
            for beside in [read.seq.checked_sub(1), Some(read.seq + 1)].into_iter().flatten() {
                self.explain(view, lane, beside, ctx);
            }
        }
        verdict
    }

    fn count_recovered(
        &mut self,
        view: usize,
        lane: usize,
        hole: &Hole,
        read: &Reading,
        ctx: &mut Context,
    ) {
        if broken(Mutant::RecoveredUncounted) {
            return;
        }
        let place = self.place(view, lane);
        let held = &mut self.views[view];
        held.totals.recovered += 1;
        held.entered.recovered += 1;
        held.lanes[lane].extra().recovered += 1;
        let at = held.now();
        ctx.recover(place, hole, read.seq, at);
    }

    /// A number seen before.
    fn repeat(&mut self, view: usize, lane: usize, read: &Reading, ctx: &mut Context) -> Verdict {
        let place = self.place(view, lane);
        let held = &mut self.views[view];
        let placed = read.position != NONE;
        if held.is_log && placed && read.again && !broken(Mutant::RereadCounted) {
            held.lanes[lane].extra().reread += 1;
            return Verdict::Reread;
        }
        let flag = read.redelivered.filter(|_| !broken(Mutant::FlagUnread));
        let kind = match (flag, placed) {
            (Some(true), _) => Repeat::Redelivered,
            (Some(false), _) => Repeat::Resent,
            (None, true) if read.again => Repeat::Redelivered,
            (None, true) => Repeat::Resent,
            (None, false) => Repeat::Undetermined,
        };
        *held.totals.repeat_mut(kind) += 1;
        *held.entered.repeat_mut(kind) += 1;
        let state = &mut held.lanes[lane];
        let next = state.next;
        let extra = state.extra();
        match kind {
            Repeat::Resent => extra.note_resent(read.seq, next),
            Repeat::Redelivered => extra.redelivered += 1,
            Repeat::Undetermined => extra.undetermined += 1,
        }
        let Reading { seq, cell, position, at, time, .. } = *read;
        ctx.repeat(Duplicate { place, cell, seq, kind, position, at, time, age: 0 });
        Verdict::Repeated(kind)
    }
}
