//! Lanes that leave: retired when they are done, evicted at the limit (contracts §4).

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::cell::Cell;
use crate::context::Context;
use crate::lane::{LaneRef, NONE};
use crate::state::List;
use crate::totals::Totals;
use crate::verdict::{Reason, State};

/// Retired lanes, so that a late message of one makes neither loss nor repeat.
#[derive(Debug, Default)]
pub(crate) struct Retired {
    /// By cell and digest of the prefix: one above the highest number known of it, and its turn.
    pub(crate) next: BTreeMap<(u32, u64), (u64, u64)>,
    /// Oldest first, with their turns. One that came back stands here until it is passed over.
    pub(crate) order: VecDeque<((u32, u64), u64)>,
    pub(crate) turn: u64,
    pub(crate) list: List,
}

impl Retired {
    fn add(&mut self, cell: u32, digest: u64, next: u64, most: usize) -> Option<(u32, u64)> {
        self.turn += 1;
        self.next.insert((cell, digest), (next, self.turn));
        self.order.push_back(((cell, digest), self.turn));
        if self.order.len() > 2 * self.next.len() + 16 {
            let Self { next, order, list, .. } = self;
            list.changed(0);
            order.retain(|(lane, turn)| next.get(lane).is_some_and(|known| known.1 == *turn));
        }
        if self.next.len() <= most {
            return None;
        }
        loop {
            let (lane, turn) = self.order.pop_front()?;
            self.list.dropped(1);
            if self.next.get(&lane).is_some_and(|known| known.1 == turn) {
                self.next.remove(&lane);
                return Some(lane);
            }
        }
    }

    /// Whether this lane was retired, and its number then. It is not any more.
    pub(crate) fn revive(&mut self, cell: u32, digest: u64) -> Option<u64> {
        let (next, turn) = self.next.remove(&(cell, digest))?;
        let index = self.order.partition_point(|entry| entry.1 < turn);
        self.list.changed(index);
        Some(next)
    }
}

impl Cell {
    /// When the lane was last touched in any view: seen, or spoken of by its ledger.
    pub(crate) fn last_touched(&self, lane: usize) -> u64 {
        let seen = self.views.iter().filter_map(|view| view.lane(lane)).map(|held| held.last_at);
        let arrived = self.lanes[lane].ledger.as_ref().map(|ledger| ledger.arrived);
        seen.filter(|&at| at != NONE).chain(arrived).max().unwrap_or(0)
    }

    /// Whether a lane may be retired at `now`: nothing of it is open in any view.
    pub(crate) fn is_done(&self, lane: usize, now: u64, ctx: &Context) -> bool {
        let idle = now.saturating_sub(self.last_touched(lane));
        let ledger = self.lanes[lane].ledger.as_deref();
        let closed = ledger.is_some_and(|ledger| ledger.closed);
        let limit = if closed { ctx.limits.retire_closed_ms } else { ctx.limits.retire_idle_ms };
        idle > limit
            && self.views.iter().filter_map(|view| view.lane(lane)).all(|held| {
                let complete = ledger.is_none_or(|ledger| held.extent() >= ledger.taken);
                let behind = Some(held.next) < self.log_next(lane) && held.present();
                let open = held.extra.iter().flat_map(|extra| extra.gaps.iter()).any(|hole| {
                    matches!(hole.state, State::Missing | State::Lost(_) | State::LostInLog)
                });
                complete && !behind && !open
            })
    }

    fn log_next(&self, lane: usize) -> Option<u64> {
        self.log.and_then(|log| self.views[log].lane(lane)).map(|held| held.next)
    }

    /// Moves a lane's counts to the rest rows and frees its slot.
    ///
    /// True: another one that was retired is forgotten for it.
    pub(crate) fn retire(&mut self, lane: usize, retired: &mut Retired, ctx: &Context) -> bool {
        let next = self.views.iter().filter_map(|view| view.lane(lane)).map(|held| held.extent());
        let next = next.max().unwrap_or(0);
        let digest = self.digest(lane);
        let forgotten = retired.add(self.index, digest, next, ctx.limits.retired);
        self.move_to_rest(lane);
        let now = self.views.iter().filter_map(|view| view.clock).max();
        if forgotten.is_some() {
            for view in &mut self.views {
                view.last_eviction = view.last_eviction.max(now);
            }
        }
        self.free(lane);
        forgotten.is_some()
    }

    /// Drops a lane for what it holds. It is remembered as one that was retired: what it was is counted
    /// in the rest row, and it goes on from here.
    pub(crate) fn lighten(
        &mut self,
        lane: usize,
        now: u64,
        retired: &mut Retired,
        ctx: &mut Context,
    ) -> bool {
        let next = self.views.iter().filter_map(|view| view.lane(lane)).map(|held| held.extent());
        let (next, digest) = (next.max().unwrap_or(0), self.digest(lane));
        self.evict(lane, now, ctx);
        retired.add(self.index, digest, next, ctx.limits.retired).is_some()
    }

    /// Ranges that a lane holds in all views, and its ledger with it.
    pub(crate) fn ranges(&self, lane: usize) -> usize {
        let views = self.views.iter().filter_map(|view| view.lane(lane));
        let extra = views.filter_map(|held| held.extra.as_ref());
        let gaps: usize = extra.map(|extra| extra.gaps.len()).sum();
        gaps + self.lanes[lane].ledger.as_ref().map_or(0, |ledger| ledger.ranges())
    }

    /// Drops a lane although it may have open gaps: they become unknown.
    pub(crate) fn evict(&mut self, lane: usize, now: u64, ctx: &mut Context) {
        for view in 0..self.views.len() {
            self.edit(view, lane, (0, u64::MAX), ctx, |hole| {
                if hole.state == State::Missing {
                    hole.fact = hole.fact.with_unknown(Some(Reason::Evicted));
                }
            });
            let held = &mut self.views[view];
            if held.lane(lane).is_some_and(crate::lane::LaneView::present) {
                held.last_eviction = held.last_eviction.max(Some(now));
            }
        }
        self.move_to_rest(lane);
        self.free(lane);
    }

    fn move_to_rest(&mut self, lane: usize) {
        for view in 0..self.views.len() {
            let Some(mut totals) = self.lane_totals(view, lane) else {
                continue;
            };
            let held = &mut self.views[view];
            held.totals.lanes -= totals.lanes;
            held.totals.lanes_without_ledger -= totals.lanes_without_ledger;
            held.totals.open_gaps -= totals.open_gaps;
            (totals.lanes, totals.lanes_without_ledger) = (0, 0);
            (totals.open_gaps, totals.producers) = (0, 0);
            held.rest += &totals;
        }
    }

    /// What a view counts of one lane; `None` where it has no row.
    pub(crate) fn lane_totals(&self, view: usize, lane: usize) -> Option<Totals> {
        let held = self.views[view].lane(lane).filter(|held| held.present())?;
        let mut totals =
            Totals { seen: held.seen_count(), lanes: 1, producers: 1, ..Totals::default() };
        totals.lanes_without_ledger = u64::from(self.lanes[lane].ledger.is_none());
        totals.observed.valid = totals.seen;
        if held.floored()
            && let Some(reason) = held.base_reason()
            && let Some(unknown) = totals.state_mut(State::Unknown(reason))
        {
            *unknown += u128::from(held.first);
        }
        if let Some(extra) = held.extra.as_deref() {
            totals.duplicates.resent = extra.resent;
            totals.duplicates.redelivered = extra.redelivered;
            totals.duplicates.undetermined = extra.undetermined;
            totals.reordered = extra.reordered;
            totals.recovered = extra.recovered;
            totals.observed.valid += totals.duplicates_sum() + extra.reread + extra.gone;
            totals.open_gaps = extra.gaps.open_rows(0, u64::MAX);
            for hole in extra.gaps.iter() {
                if let Some(total) = totals.state_mut(hole.state) {
                    *total += u128::from(hole.len());
                }
            }
        }
        Some(totals)
    }

    /// Lanes that are in use, from `from` on.
    pub(crate) fn live(&self, from: usize, count: usize) -> Vec<usize> {
        let to = from.saturating_add(count).min(self.lanes.len());
        (from.min(to)..to).filter(|&lane| self.lanes[lane].key_len > 0).collect()
    }

    /// Drops what positions remember of freed lanes.
    pub(crate) fn forget_positions(&mut self, dead: impl Fn(LaneRef) -> bool) {
        if let Some(log) = self.log {
            self.views[log].positions.memory.forget(dead);
        }
    }
}
