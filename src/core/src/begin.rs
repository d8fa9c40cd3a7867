//! A lane's start (contracts §4): from which number on is it judged?

use crate::cell::Cell;
use crate::context::Context;
use crate::hole::{Fact, Hole};
use crate::mutants::{Mutant, broken};
use crate::note::Reading;
use crate::report::Base;
use crate::verdict::{Reason, State};

impl Cell {
    /// A lane's first number in a view: where does its count begin?
    pub(crate) fn begin_lane(
        &mut self,
        view: usize,
        lane: usize,
        read: &Reading,
        ctx: &mut Context,
    ) {
        let epoch = self.identity(lane).1;
        let now = read.clock;
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
        state.first_at = now;
        let extent = state.extent();
        if zero {
            state.base = Base::Zero;
            // What was unknown until now is expected, unless a pause lies between.
            if !state.awaiting() {
                self.expect_again(view, lane, (0, u64::MAX), read.opened, ctx);
            }
            return;
        }
        state.set_awaiting(false);
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
                self.lower_if_named(view, lane, ctx);
            }
            return;
        }
        // The ledger spoke first: below the base line all is unknown, above it all is expected.
        if read.seq > 0 {
            self.edit(view, lane, (0, read.seq - 1), ctx, |hole| {
                if !hole.fact.judged() {
                    hole.fact = hole.fact.with_unknown(Some(reason));
                }
            });
        }
        if extent < read.seq {
            let fact = Fact::default().with_unknown(Some(reason));
            let (first, last, opened) = (extent, read.seq - 1, read.opened);
            let state = State::Unknown(reason);
            self.open(view, lane, Hole { first, last, opened, fact, state }, ctx);
        }
        self.expect_again(view, lane, (read.seq + 1, u64::MAX), read.opened, ctx);
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

    /// Why what passed in the last break is unknown.
    pub(crate) fn break_reason(&self, view: usize) -> Option<Reason> {
        self.views[view].broken.map(|(_, reason)| reason)
    }

    /// Why a gap that opens now in this lane proves nothing: it may have passed just before the
    /// view joined, or while it was paused.
    pub(crate) fn unproven(&self, view: usize, lane: usize) -> Option<Reason> {
        let held = &self.views[view];
        let (since, reason) = held.broken.filter(|_| !broken(Mutant::FirstGraceJudged))?;
        let within = held.now() <= since.saturating_add(self.grace);
        (within && held.lanes[lane].broken()).then_some(reason)
    }

    /// A group's unknown numbers below its base line are told apart where the log lacks some of
    /// them by design.
    pub(crate) fn lower_if_named(&mut self, group: usize, lane: usize, ctx: &mut Context) {
        let Some(first) =
            self.views[group].lane(lane).filter(|held| held.floored()).map(|held| held.first)
        else {
            return;
        };
        let log = self.log.filter(|&log| log != group).and_then(|log| self.views[log].lane(lane));
        let named = log.and_then(|log| log.extra.as_deref()).is_some_and(|extra| {
            let mut holes = extra.gaps.overlapping(0, first.saturating_sub(1));
            holes.any(|hole| matches!(hole.state, State::ByDesign(_)))
        });
        if named {
            self.lower_floor(group, lane);
            self.edit(group, lane, (0, first.saturating_sub(1)), ctx, |_| ());
        }
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
}
