//! The state of unseen numbers (contracts §4, the table of states and the table of stages): it
//! follows from what the view knows of them, from the ledger and from the log's view, and every
//! change of any of these derives it anew.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::cell::Cell;
use crate::context::Context;
use crate::hole::{Hole, is_open};
use crate::lane::Extra;
use crate::mutants::{Mutant, broken};
use crate::report::Says;
use crate::verdict::{Cause, Change, Reason, Stage, State};
use crate::view::Span;

/// What the log's view knows of a number, for a group's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InLog {
    /// No view of the log, or it does not watch this partition.
    NoView,
    /// The log's view has not come to it.
    NotYet,
    Seen,
    Unseen(State),
}

impl Cell {
    /// The state of the hole's numbers from `number` on, and up to which it is that.
    pub(crate) fn state_of(
        &self,
        view: usize,
        lane: usize,
        hole: &Hole,
        number: u64,
    ) -> (State, u64) {
        let ledger = self.lanes[lane].ledger.as_deref();
        let (says, reach) = ledger.map_or((None, u64::MAX), |ledger| ledger.says(number));
        let mut end = hole.last.min(reach);
        let in_log = if Some(view) == self.log {
            None
        } else {
            let (in_log, reach) = self.in_log(lane, number);
            end = end.min(reach);
            Some(in_log)
        };
        let state = match (says, in_log) {
            _ if broken(Mutant::UnknownWins) && hole.fact.unknown().is_some() => {
                hole.fact.unknown().map_or(State::Missing, State::Unknown)
            }
            (Some(Says::Refused), _) => State::Refused,
            (Some(Says::Aborted), _) => State::ByDesign(Cause::Aborted),
            (_, Some(InLog::Unseen(state @ State::ByDesign(_))))
                if !broken(Mutant::DesignForgotten) =>
            {
                state
            }
            _ if hole.fact.cause().is_some() => {
                hole.fact.cause().map_or(State::Missing, State::ByDesign)
            }
            _ if hole.fact.unknown().is_some() => {
                hole.fact.unknown().map_or(State::Missing, State::Unknown)
            }
            (_, Some(in_log)) => self.group_state(view, hole, says, in_log),
            (_, None) if !hole.fact.judged() => State::Missing,
            (Some(_), None) if broken(Mutant::StagesSwapped) => {
                let acknowledged = says == Some(Says::Acknowledged);
                State::Lost(if acknowledged { Stage::Produce } else { Stage::Store })
            }
            (None, None) if broken(Mutant::SilenceIsStore) => State::Lost(Stage::Store),
            (Some(Says::Unanswered | Says::Pending), None) => State::Lost(Stage::Produce),
            (Some(Says::Acknowledged), None) => State::Lost(Stage::Store),
            (None, None) => State::Lost(Stage::Undetermined),
        };
        (state, end)
    }

    fn group_state(&self, view: usize, hole: &Hole, says: Option<Says>, in_log: InLog) -> State {
        let judged = hole.fact.judged();
        match in_log {
            InLog::Unseen(State::Missing) => State::Missing,
            InLog::Unseen(State::Lost(_) | State::LostInLog) if broken(Mutant::LostTwice) => {
                State::Lost(Stage::Consume)
            }
            InLog::Unseen(State::Lost(_) | State::LostInLog) => State::LostInLog,
            _ if !judged => State::Missing,
            InLog::Seen
                if !broken(Mutant::TransactionLost)
                    && self.views[view].committed
                    && says != Some(Says::Acknowledged) =>
            {
                State::Unknown(Reason::Transaction)
            }
            InLog::Seen => State::Lost(Stage::Consume),
            InLog::NoView
            | InLog::NotYet
            | InLog::Unseen(State::Unknown(_) | State::Refused | State::ByDesign(_)) => {
                State::Lost(Stage::Undetermined)
            }
        }
    }

    /// Whether the log's view has yet to come to a number that a group misses, and up to which
    /// number that is so. Once it was read to its end after the gap opened, it has told.
    pub(crate) fn log_may_tell(
        &self,
        view: usize,
        lane: usize,
        number: u64,
        opened: u64,
    ) -> (bool, u64) {
        let Some(log) = self.log.filter(|&log| log != view) else { return (false, u64::MAX) };
        let (in_log, reach) = self.in_log(lane, number);
        let read = self.views[log].last_end.is_some_and(|end| end > opened);
        (in_log == InLog::NotYet && !read, reach)
    }

    fn in_log(&self, lane: usize, number: u64) -> (InLog, u64) {
        let Some(log) = self.log.filter(|&log| self.is_watched(log)) else {
            return (InLog::NoView, u64::MAX);
        };
        let Some(held) = self.views[log].lane(lane).filter(|held| held.present()) else {
            return (InLog::NotYet, u64::MAX);
        };
        if number < held.floor() {
            let state = held
                .base_reason()
                .map_or(InLog::NotYet, |reason| InLog::Unseen(State::Unknown(reason)));
            return (state, held.floor() - 1);
        }
        let hole =
            held.extra.as_ref().and_then(|extra| extra.gaps.overlapping(number, u64::MAX).next());
        match hole {
            Some(hole) if hole.first <= number => (InLog::Unseen(hole.state), hole.last),
            _ if number >= held.next => {
                (InLog::NotYet, hole.map_or(u64::MAX, |hole| hole.first - 1))
            }
            hole => {
                let end = hole.map_or(u64::MAX, |hole| hole.first - 1);
                (InLog::Seen, end.min(held.next - 1))
            }
        }
    }

    /// Changes what is known of the unseen numbers in `first` … `last`, and derives their states
    /// anew. Every missing number has an entry among those due or waiting afterwards.
    pub(crate) fn edit(
        &mut self,
        view: usize,
        lane: usize,
        (first, last): (u64, u64),
        ctx: &mut Context,
        mut change: impl FnMut(&mut Hole),
    ) {
        let held = self.views[view].lanes.get_mut(lane);
        let Some(mut extra) = held.and_then(|held| held.extra.take()) else {
            return;
        };
        let window = (first, last.saturating_add(1));
        let rows = extra.gaps.open_rows(window.0, window.1);
        let mut pieces = Vec::new();
        extra.gaps.take(first, last, &mut pieces);
        let mut moved = false;
        for old in pieces {
            let mut hole = old;
            change(&mut hole);
            moved |= self.place_hole(view, lane, &mut extra, (hole, Some(old)), ctx);
        }
        let after = extra.gaps.open_rows(window.0, window.1);
        let held = &mut self.views[view];
        held.totals.open_gaps = held.totals.open_gaps + after - rows;
        held.lanes[lane].extra = Some(extra);
        if moved {
            self.follow(view, lane, first, last, ctx);
        }
    }

    /// Adds numbers that had no state: they are unseen from now on.
    pub(crate) fn open(&mut self, view: usize, lane: usize, hole: Hole, ctx: &mut Context) {
        let held = self.views[view].lane_mut(lane);
        let mut extra = held.extra.take().unwrap_or_default();
        if self.lanes[lane].ledger.is_none()
            && Some(view) == self.log
            && extra.gaps.max().is_none_or(|highest| highest < hole.first)
        {
            return self.open_last(view, lane, hole, extra, ctx);
        }
        let window = (hole.first, hole.last.saturating_add(1));
        let rows = extra.gaps.open_rows(window.0, window.1);
        self.place_hole(view, lane, &mut extra, (hole, None), ctx);
        let after = extra.gaps.open_rows(window.0, window.1);
        let held = &mut self.views[view];
        held.totals.open_gaps = held.totals.open_gaps + after - rows;
        held.lanes[lane].extra = Some(extra);
        self.follow(view, lane, hole.first, hole.last, ctx);
    }

    /// Puts a hole in its place, in as many pieces as it has states, and counts each piece's way
    /// from what it was before; `None`: it had no state. Whether any state moved.
    fn place_hole(
        &mut self,
        view: usize,
        lane: usize,
        extra: &mut Extra,
        (hole, old): (Hole, Option<Hole>),
        ctx: &mut Context,
    ) -> bool {
        let mut moved = false;
        let mut number = hole.first;
        loop {
            let (state, end) = self.state_of(view, lane, &hole, number);
            let piece = Hole { first: number, last: end, state, ..hole };
            let renewed = old.is_none_or(|old| {
                (piece.opened, piece.fact, piece.state) != (old.opened, old.fact, old.state)
            });
            let from = old.map(|old| old.state);
            moved |= from != Some(state);
            self.enter(view, lane, &piece, from, renewed, ctx);
            extra.gaps.put(piece);
            if end == hole.last {
                return moved;
            }
            number = end + 1;
        }
    }

    /// The same for a hole above all others that has one state: no ledger speaks of it.
    fn open_last(
        &mut self,
        view: usize,
        lane: usize,
        hole: Hole,
        mut extra: Box<Extra>,
        ctx: &mut Context,
    ) {
        let (state, _) = self.state_of(view, lane, &hole, hole.first);
        let hole = Hole { state, ..hole };
        let same_row = extra
            .gaps
            .last()
            .is_some_and(|left| left.last + 1 == hole.first && left.state == hole.state);
        let rows = u64::from(is_open(state) && !same_row);
        self.enter(view, lane, &hole, None, true, ctx);
        extra.gaps.put(hole);
        let held = &mut self.views[view];
        held.totals.open_gaps += rows;
        held.lanes[lane].extra = Some(extra);
        self.follow(view, lane, hole.first, hole.last, ctx);
    }

    /// Counts a piece's way from one state to another, and has it judged if it is missing.
    pub(crate) fn enter(
        &mut self,
        view: usize,
        lane: usize,
        piece: &Hole,
        from: Option<State>,
        renewed: bool,
        ctx: &mut Context,
    ) {
        let place = self.place(view, lane);
        let grace = self.grace;
        let held = &mut self.views[view];
        if piece.state == State::Missing {
            let span = Span { lane: place.lane, first: piece.first, last: piece.last };
            if piece.fact.judged() {
                held.waiting.push(span);
            } else if renewed && piece.opened.saturating_add(grace) < held.now() {
                // Its time is over already, but only the view's next line may say so.
                held.waiting.push(span);
                held.told = true;
            } else if renewed {
                held.push_due(piece.opened, span);
            }
        }
        if from == Some(piece.state) {
            return;
        }
        let count = u128::from(piece.len());
        if let Some(total) = from.and_then(|from| held.totals.state_mut(from)) {
            *total -= count;
        }
        if let Some(total) = held.totals.state_mut(piece.state) {
            *total += count;
        }
        if let Some(total) = held.entered.state_mut(piece.state) {
            *total += count;
        }
        let at = held.now();
        if matches!(piece.state, State::Lost(_)) {
            ctx.judged(place, piece.first, at);
        }
        let to = Some(piece.state);
        ctx.change(place, Change { first: piece.first, last: piece.last, from, to, at });
    }

    /// Counts that an unseen number is seen now.
    pub(crate) fn leave(&mut self, view: usize, lane: usize, hole: &Hole, ctx: &mut Context) {
        let place = self.place(view, lane);
        let held = &mut self.views[view];
        let count = u128::from(hole.len());
        if let Some(total) = held.totals.state_mut(hole.state) {
            *total -= count;
        }
        let (from, at) = (Some(hole.state), held.now());
        ctx.change(place, Change { first: hole.first, last: hole.last, from, to: None, at });
    }

    /// Has the groups' views follow what changed in the log's.
    pub(crate) fn follow(
        &mut self,
        view: usize,
        lane: usize,
        first: u64,
        last: u64,
        ctx: &mut Context,
    ) {
        if Some(view) != self.log || self.views.len() == 1 {
            return;
        }
        self.told();
        for group in (0..self.views.len()).filter(|&group| group != view) {
            self.lower_if_named(group, lane, ctx);
            self.edit(group, lane, (first, last), ctx, |_| ());
        }
    }
}
