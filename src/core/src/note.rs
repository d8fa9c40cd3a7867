//! One valid number read: in order, above a gap, late, or again.

use crate::cell::Cell;
use crate::context::{Context, Duplicate, Near};
use crate::gaps::{Fact, Hole};
use crate::lane::NONE;
use crate::mutants::{Mutant, broken};
use crate::report::Base;
use crate::verdict::{Reason, Repeat, State, Verdict};

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
            self.seen_in_log(lane, read.seq, ctx);
        }
        verdict
    }

    /// A lane's first number in a view: where does its count begin?
    fn begin_lane(&mut self, view: usize, lane: usize, read: &Reading, ctx: &mut Context) {
        let epoch = self.identity(lane).1;
        let now = self.views[view].now();
        let evicted =
            read.seq > 0 && self.views[view].last_eviction.is_some_and(|time| epoch <= time);
        let zero =
            !evicted && (self.expects_zero(view, epoch, now) || broken(Mutant::JoinedFromZero));
        let reason = if evicted { Reason::Evicted } else { self.base_reason(view) };
        let held = &mut self.views[view];
        let state = &mut held.lanes[lane];
        if state.revived() {
            state.set_seen(true);
            return;
        }
        state.set_seen(true);
        state.set_awaiting(false);
        state.first_at = now;
        let extent = state.extent();
        if zero {
            state.base = Base::Zero;
            // What was unknown until now is expected.
            self.expect_again(view, lane, (0, u64::MAX), read.opened, ctx);
            return;
        }
        state.base = match reason {
            Reason::Evicted => Base::Evicted,
            Reason::Paused => Base::Paused,
            Reason::Joined | Reason::Transaction => Base::Joined,
        };
        state.set_broken(!evicted);
        state.first = read.seq;
        state.next = read.seq;
        if extent == 0 {
            if read.seq > 0 {
                state.set_floored(true);
                let count = u128::from(read.seq);
                for totals in [&mut held.totals, &mut held.entered] {
                    if let Some(unknown) = totals.state_mut(State::Unknown(reason)) {
                        *unknown += count;
                    }
                }
            }
            return;
        }
        // The ledger spoke first: below the base line all is unknown, above it all is expected.
        if read.seq > 0 {
            self.edit(view, lane, (0, read.seq - 1), ctx, |hole| {
                hole.fact = hole.fact.with_judged(false, false).with_unknown(Some(reason));
            });
        }
        if extent < read.seq {
            let fact = Fact::default().with_unknown(Some(reason));
            let (first, last, opened) = (extent, read.seq - 1, read.opened);
            let state = State::Unknown(reason);
            self.open(view, lane, Hole { first, last, opened, fact, state }, ctx);
        }
        self.expect_again(view, lane, (read.seq, u64::MAX), read.opened, ctx);
    }

    /// Numbers that were unknown are missing from `opened` on.
    pub(crate) fn expect_again(
        &mut self,
        view: usize,
        lane: usize,
        range: (u64, u64),
        opened: u64,
        ctx: &mut Context,
    ) {
        self.edit(view, lane, range, ctx, |hole| {
            if hole.fact.unknown().is_some() {
                hole.fact = hole.fact.with_unknown(None).with_past(false);
                hole.opened = opened;
            }
        });
    }

    /// A number above all seen before.
    fn advance(&mut self, view: usize, lane: usize, read: &Reading, ctx: &mut Context) -> Verdict {
        let place = self.place(view, lane);
        let held = &self.views[view];
        let state = &held.lanes[lane];
        let (next, extent) = (state.next, state.extent());
        let before = state.near(self.index);
        let proves_nothing = self.unproven(view, lane);
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
        state.last_position = read.position;
        state.last_time = read.time;
        state.high_at = read.at;
        if self.span {
            state.extra().high_cell = read.cell;
        }
        self.views[view].totals.seen += 1;
        if awaiting && extent > read.seq + 1 {
            // Above the first number after a pause all is expected again.
            self.expect_again(view, lane, (read.seq + 1, u64::MAX), read.opened, ctx);
        }
        if read.seq == next {
            return verdict;
        }
        let (first, last) = (next, read.seq - 1);
        let reason = if awaiting { Some(Reason::Paused) } else { proves_nothing };
        let opened = read.opened;
        if extent > next {
            self.edit(view, lane, (first, last), ctx, |hole| {
                if hole.state == State::Missing {
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

    /// Why a gap that opens now in this lane proves nothing: it may have passed just before the
    /// view joined, or while it was paused.
    fn unproven(&self, view: usize, lane: usize) -> Option<Reason> {
        let held = &self.views[view];
        let (since, reason) = held.broken.filter(|_| !broken(Mutant::FirstGraceJudged))?;
        let within = held.now() <= since.saturating_add(self.grace);
        (within && held.lanes[lane].broken()).then_some(reason)
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
        let in_time = self.views[view].now() <= hole.opened.saturating_add(self.grace);
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

    /// The unknown numbers below the base line become a hole: one of them is about to be told
    /// apart.
    pub(crate) fn lower_floor(&mut self, view: usize, lane: usize) {
        let held = &mut self.views[view].lanes[lane];
        if !held.floored() {
            return;
        }
        held.set_floored(false);
        let reason = held.base_reason().unwrap_or(Reason::Joined);
        let hole = Hole {
            first: 0,
            last: held.first - 1,
            opened: held.first_at,
            fact: Fact::default().with_unknown(Some(reason)),
            state: State::Unknown(reason),
        };
        held.extra().gaps.put(hole);
    }

    /// The log has a number now: groups that miss it have its grace from here on, and those that
    /// had been told that the log lost it have a number to wait for.
    fn seen_in_log(&mut self, lane: usize, seq: u64, ctx: &mut Context) {
        let Some(log) = self.log else { return };
        let now = self.views[log].now();
        for group in (0..self.views.len()).filter(|&group| group != log) {
            let unseen = self.views[group]
                .lane(lane)
                .and_then(|held| held.extra.as_ref().and_then(|extra| extra.gaps.find(seq)));
            if unseen.is_some() {
                self.edit(group, lane, (seq, seq), ctx, |hole| {
                    if matches!(hole.state, State::Missing | State::LostInLog) {
                        hole.opened = hole.opened.max(now);
                        hole.fact = hole.fact.with_judged(false, false);
                    }
                });
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
        let pauses = self.views[view].pauses;
        let awaiting = awaiting || held.is_some_and(|held| held.present() && held.pauses != pauses);
        if stored_next <= next || awaiting {
            return;
        }
        if !seen && !self.expects_zero(view, self.identity(lane).1, stored_first) {
            return;
        }
        self.appear(view, lane);
        let complete = ctx.complete;
        let judged = |hole: &mut Hole| hole.fact = hole.fact.with_judged(true, complete);
        if extent < stored_next {
            let (first, last) = (extent, stored_next - 1);
            let (fact, state) = (Fact::default(), State::Missing);
            self.open(view, lane, Hole { first, last, opened: at, fact, state }, ctx);
        }
        for (first, last) in self.stored(log, lane, next, stored_next - 1) {
            self.edit(view, lane, (first, last), ctx, judged);
        }
    }

    /// The numbers of `first` … `last` that the log's view has seen.
    fn stored(
        &self,
        log: usize,
        lane: usize,
        first: u64,
        last: u64,
    ) -> alloc::vec::Vec<(u64, u64)> {
        let held = &self.views[log].lanes[lane];
        let mut from = first.max(held.floor());
        let mut out = alloc::vec::Vec::new();
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
}
