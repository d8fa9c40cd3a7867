//! A log cut back: numbers whose only copies are gone are missing again (contracts §4).

use alloc::vec::Vec;

use crate::cell::Cell;
use crate::context::Context;
use crate::hole::{Fact, Hole};
use crate::lane::{LaneRef, NONE};
use crate::mutants::{Mutant, broken};
use crate::verdict::{Reason, State};

/// Numbers of one lane that a cut took away, or (with a reason) may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone {
    pub(crate) lane: LaneRef,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) reason: Option<Reason>,
}

impl Cell {
    /// Whether a record at a position that was read before is another one than was read there.
    /// `None` as the record: it has no valid stamp.
    pub(crate) fn differs(
        &self,
        view: usize,
        position: u64,
        record: Option<(LaneRef, u64)>,
    ) -> bool {
        if broken(Mutant::CutUnnoticed) {
            return false;
        }
        let memory = &self.views[view].positions.memory;
        if position >= memory.floor() {
            return memory.at(position) != record;
        }
        // Too long ago to be remembered; a number that was never seen was not read there either.
        let Some((lane, seq)) = record.filter(|(lane, _)| !lane.span()) else {
            return false;
        };
        let Some(held) = self.views[view].lane(lane.index()) else {
            return false;
        };
        let hole = held.extra.as_ref().and_then(|extra| extra.gaps.find(seq));
        let unseen = hole
            .map_or(seq >= held.next, |hole| matches!(hole.state, State::Missing | State::Lost(_)));
        held.seen() && !held.revived() && unseen
    }

    /// Takes back all positions at or above the cut. Gives back what stood there in the log; in
    /// a group's view what was handed over stays seen.
    pub(crate) fn cut(&mut self, view: usize, position: u64, ctx: &mut Context) -> Vec<Gone> {
        let place = self.place(view, 0);
        ctx.unplace(place.cell, place.view, position);
        let held = &mut self.views[view];
        held.positions.cut(position);
        held.end_position = held.end_position.map(|end| end.min(position));
        for lane in 0..held.lanes.len() {
            let last = held.lanes[lane].last_position;
            if last != NONE && last >= position {
                held.lanes[lane].last_position = NONE;
            }
        }
        if !held.is_log {
            return Vec::new();
        }
        let counted = u64::from(!self.shadow);
        held.totals.log_cuts += counted;
        held.entered.log_cuts += counted;
        let away = held.positions.memory.cut(position);
        for &(lane, seq, elsewhere) in away.moved.iter().filter(|moved| !moved.0.span()) {
            let lane = lane.index();
            if let Some(state) = self.views[view].lanes.get_mut(lane)
                && state.next == seq + 1
                && state.last_position == NONE
            {
                state.last_position = elsewhere;
            }
            ctx.place_again(self.place(view, lane), seq, elsewhere);
        }
        if self.views[view].positions.names_any() {
            self.explain_all(view, ctx);
        }
        let named =
            away.gone.iter().map(|&(lane, first, last)| Gone { lane, first, last, reason: None });
        let mut gone: Vec<Gone> = named.collect();
        if let Some(depth) = away.doubtful {
            self.doubt(view, depth, &mut gone);
        }
        gone
    }

    /// The cut reaches `depth` positions below what is remembered: of each lane as many numbers
    /// below the lowest remembered one may have stood there.
    fn doubt(&self, view: usize, depth: u64, gone: &mut Vec<Gone>) {
        for (index, held) in self.views[view].lanes.iter().enumerate() {
            if !held.seen() {
                continue;
            }
            let lane = LaneRef::new(u32::try_from(index).unwrap_or(u32::MAX), false);
            let named = gone.iter().filter(|gone| gone.lane == lane && gone.reason.is_none());
            let lowest = named.map(|gone| gone.first).min().unwrap_or(held.next);
            if let Some(last) = lowest.checked_sub(1) {
                let first = lowest.saturating_sub(depth);
                gone.push(Gone { lane, first, last, reason: Some(Reason::Evicted) });
            }
        }
    }

    /// Takes numbers back that were seen.
    pub(crate) fn unsee(&mut self, view: usize, gone: &Gone, opened: u64, ctx: &mut Context) {
        if broken(Mutant::CutUnread) {
            return;
        }
        let lane = gone.lane.index();
        let Some(held) = self.views[view].lane(lane) else {
            return;
        };
        let first = gone.first.max(held.floor());
        let Some(last) = held.next.checked_sub(1).map(|highest| highest.min(gone.last)) else {
            return;
        };
        if first > last {
            return;
        }
        let mut seen = Vec::new();
        let mut from = first;
        for hole in held.extra.iter().flat_map(|extra| extra.gaps.overlapping(first, last)) {
            if hole.first > from {
                seen.push((from, hole.first - 1));
            }
            from = from.max(hole.last.saturating_add(1));
        }
        if from <= last {
            seen.push((from, last));
        }
        for (first, last) in seen {
            let count = last - first + 1;
            let held = &mut self.views[view];
            held.totals.seen -= count;
            held.lanes[lane].extra().gone += count;
            ctx.forget_near(self.place(view, lane), first, last);
            let fact = Fact::default().with_unknown(gone.reason);
            self.open(view, lane, Hole { first, last, opened, fact, state: State::Missing }, ctx);
        }
    }
}
