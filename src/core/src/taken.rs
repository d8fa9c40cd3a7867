//! A ledger record against what the views have seen (contracts §2, and §4: the end of a lane).

use crate::cell::Cell;
use crate::context::Context;
use crate::hole::{Fact, Hole};
use crate::ledger::LedgerRecord;
use crate::mutants::{Mutant, broken};
use crate::ranges::RangeSet;
use crate::verdict::{Reason, State};

impl Cell {
    /// Adds a record to its lane and to every view's account of it.
    pub(crate) fn ledger(
        &mut self,
        lane: usize,
        record: &LedgerRecord<'_>,
        arrived: u64,
        ctx: &mut Context,
    ) {
        if self.lanes[lane].ledger.is_none() {
            for view in &mut self.views {
                if view.lanes.get(lane).is_some_and(crate::lane::LaneView::present) {
                    view.totals.lanes_without_ledger -= 1;
                }
            }
        }
        let ledger = self.lanes[lane].ledger.get_or_insert_default();
        let (renewed, changed) = ledger.add(record, arrived);
        // The log first: groups follow it.
        let log = self.log;
        let groups = (0..self.views.len()).filter(|&view| Some(view) != log);
        for view in log.into_iter().chain(groups).collect::<alloc::vec::Vec<_>>() {
            self.announce(view, lane, arrived, ctx);
            self.apply(view, lane, &renewed, &changed, arrived, ctx);
        }
    }

    /// Numbers that the ledger says were taken and that this view has not come to.
    pub(crate) fn announce(&mut self, view: usize, lane: usize, arrived: u64, ctx: &mut Context) {
        let Some(ledger) = self.lanes[lane].ledger.as_deref() else {
            return;
        };
        let taken = ledger.taken;
        self.appear(view, lane);
        self.touch(view, lane, ctx);
        let held = &self.views[view].lanes[lane];
        let (extent, seen, awaiting) = (held.extent(), held.seen(), held.awaiting());
        if taken <= extent || broken(Mutant::EndUnread) {
            return;
        }
        let reason = if held.revived() && !seen {
            return;
        } else if !self.is_watched(view) {
            Some(Reason::Joined)
        } else if seen {
            self.break_reason(view).filter(|_| awaiting)
        } else {
            self.unseen_reason(view, lane, arrived)
        };
        let fact = Fact::default().with_unknown(reason);
        let (first, last) = (extent, taken - 1);
        self.open(
            view,
            lane,
            Hole { first, last, opened: arrived, fact, state: State::Missing },
            ctx,
        );
    }

    /// Why a lane of which nothing was seen cannot be judged; `None`: it is expected from 0.
    pub(crate) fn unseen_reason(&self, view: usize, lane: usize, arrived: u64) -> Option<Reason> {
        let epoch = self.identity(lane).1;
        if self.views[view].last_eviction.is_some_and(|time| epoch <= time) {
            return Some(Reason::Evicted);
        }
        let zero = self.expects_zero(view, epoch, arrived);
        (!zero).then(|| if self.is_watched(view) { self.base_reason(view) } else { Reason::Joined })
    }

    /// What the record says of numbers that are known here.
    fn apply(
        &mut self,
        view: usize,
        lane: usize,
        renewed: &RangeSet,
        changed: &RangeSet,
        arrived: u64,
        ctx: &mut Context,
    ) {
        let held = &self.views[view].lanes[lane];
        if held.floored() && changed.pieces(0, held.first.saturating_sub(1)).next().is_some() {
            let first = held.first;
            let ledger = self.lanes[lane].ledger.as_deref();
            let named = ledger.is_some_and(|ledger| {
                [&ledger.refused, &ledger.aborted]
                    .into_iter()
                    .any(|set| set.pieces(0, first.saturating_sub(1)).next().is_some())
            });
            let below = (0, first.saturating_sub(1));
            if named || renewed.pieces(below.0, below.1).next().is_some() {
                self.lower_floor(view, lane);
            }
        }
        for (first, last) in renewed.iter() {
            let ledger = self.lanes[lane].ledger.as_deref();
            let pending: alloc::vec::Vec<_> =
                ledger.into_iter().flat_map(|ledger| ledger.pending.pieces(first, last)).collect();
            self.edit(view, lane, (first, last), ctx, |hole| {
                if !hole.fact.judged() && !broken(Mutant::AnswerUnawaited) {
                    hole.opened = hole.opened.max(arrived);
                    hole.fact = hole.fact.with_past(false);
                }
            });
            for range in pending {
                // Called pending again: what had been counted as unanswered waits for its answer.
                self.edit(view, lane, range, ctx, |hole| {
                    hole.opened = hole.opened.max(arrived);
                    hole.fact = hole.fact.with_judged(false, false).with_past(false);
                });
            }
        }
        let names_any = self.views[view].positions.names_any();
        for range in changed.iter() {
            self.edit(view, lane, range, ctx, |_| ());
            if names_any {
                // What was refused needs no position, so that those that are named may suffice now.
                let extra = self.views[view].lanes[lane].extra.as_deref();
                let holes = extra.into_iter().flat_map(|e| e.gaps.overlapping(range.0, range.1));
                for number in holes.map(|hole| hole.first).collect::<alloc::vec::Vec<_>>() {
                    self.explain(view, lane, number, ctx);
                }
            }
        }
        if self.span {
            self.pass(view, Some(lane), ctx);
        }
    }
}
