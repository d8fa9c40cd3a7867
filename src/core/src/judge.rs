//! What state an unseen number is in (contracts §4, the table of states and the table of stages),
//! and when it is judged.

use alloc::vec::Vec;

use crate::cell::Cell;
use crate::context::{Context, Evidence, Near};
use crate::gaps::{Hole, is_open};
use crate::lane::{LaneLedger, NONE};
use crate::mutants::{Mutant, broken};
use crate::report::Says;
use crate::verdict::{Change, Reason, Stage, State};
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

/// Whether a missing number can be judged now.
enum Judgement {
    Lost,
    /// Not before the grace from this time is over.
    Later(u64),
    /// The time is over; something else is awaited (an end, a ledger).
    Waits,
}

impl LaneLedger {
    /// What the records say of a number, and up to which number they say the same.
    pub(crate) fn says(&self, number: u64) -> (Option<Says>, u64) {
        let mut says = None;
        let mut end = u64::MAX;
        for (set, word) in [
            (&self.refused, Says::Refused),
            (&self.aborted, Says::Aborted),
            (&self.unanswered, Says::Unanswered),
            (&self.pending, Says::Pending),
            (&self.acknowledged, Says::Acknowledged),
        ] {
            let (inside, reach) = set.run(number);
            end = end.min(reach);
            if inside && says.is_none() {
                says = Some(word);
            }
        }
        (says, end)
    }
}

impl Cell {
    /// The state of the hole's numbers from `number` on, and up to which it is that.
    fn state_of(
        &self,
        view: usize,
        lane: usize,
        hole: &Hole,
        number: u64,
        complete: bool,
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
            (Some(Says::Aborted), _) => State::ByDesign(crate::verdict::Cause::Aborted),
            _ if hole.fact.cause().is_some() => {
                hole.fact.cause().map_or(State::Missing, State::ByDesign)
            }
            (_, Some(InLog::Unseen(state @ State::ByDesign(_))))
                if !broken(Mutant::DesignForgotten) =>
            {
                state
            }
            _ if hole.fact.unknown().is_some() => {
                hole.fact.unknown().map_or(State::Missing, State::Unknown)
            }
            (_, Some(in_log)) => self.group_state(view, hole, says, in_log, complete),
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

    fn group_state(
        &self,
        view: usize,
        hole: &Hole,
        says: Option<Says>,
        in_log: InLog,
        complete: bool,
    ) -> State {
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
            InLog::NotYet => {
                // The log may yet tell; once it was read to its end it has.
                let read = self.log.and_then(|log| self.views[log].last_end);
                if complete || read.is_some_and(|read| read > hole.opened) {
                    State::Lost(Stage::Undetermined)
                } else {
                    State::Missing
                }
            }
            InLog::NoView
            | InLog::Unseen(State::Unknown(_) | State::Refused | State::ByDesign(_)) => {
                State::Lost(Stage::Undetermined)
            }
        }
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
            let mut number = hole.first;
            loop {
                let (state, end) = self.state_of(view, lane, &hole, number, ctx.complete);
                let piece = Hole { first: number, last: end, state, ..hole };
                moved |= state != old.state;
                let renewed =
                    (piece.opened, piece.fact, old.state) != (old.opened, old.fact, state);
                self.enter(view, lane, &piece, Some(old.state), renewed, ctx);
                extra.gaps.put(piece);
                if end == hole.last {
                    break;
                }
                number = end + 1;
            }
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
        let mut number = hole.first;
        loop {
            let (state, end) = self.state_of(view, lane, &hole, number, ctx.complete);
            let piece = Hole { first: number, last: end, state, ..hole };
            self.enter(view, lane, &piece, None, true, ctx);
            extra.gaps.put(piece);
            if end == hole.last {
                break;
            }
            number = end + 1;
        }
        let after = extra.gaps.open_rows(window.0, window.1);
        let held = &mut self.views[view];
        held.totals.open_gaps = held.totals.open_gaps + after - rows;
        held.lanes[lane].extra = Some(extra);
        self.follow(view, lane, hole.first, hole.last, ctx);
    }

    /// The same for a hole above all others that has one state: no ledger speaks of it.
    fn open_last(
        &mut self,
        view: usize,
        lane: usize,
        hole: Hole,
        mut extra: alloc::boxed::Box<crate::lane::Extra>,
        ctx: &mut Context,
    ) {
        let (state, _) = self.state_of(view, lane, &hole, hole.first, ctx.complete);
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
    fn enter(
        &mut self,
        view: usize,
        lane: usize,
        piece: &Hole,
        from: Option<State>,
        renewed: bool,
        ctx: &mut Context,
    ) {
        let place = self.place(view, lane);
        let held = &mut self.views[view];
        if piece.state == State::Missing {
            let span = Span { lane: place.lane, first: piece.first, last: piece.last };
            if piece.fact.judged() {
                held.waiting.push(span);
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
        for group in (0..self.views.len()).filter(|&group| group != view) {
            self.edit(group, lane, (first, last), ctx, |_| ());
        }
    }

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
            self.judge(view, span, ctx);
        }
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
            self.judge_alike(view, Span { first: number, last: end, ..span }, pending, ctx);
            if end == span.last {
                break;
            }
            number = end + 1;
        }
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
        let progressed = if held.unordered && !broken(Mutant::UnorderedJudged) {
            end_after(hole.opened.saturating_add(self.grace))
        } else if self.span {
            hole.fact.past()
        } else {
            !tail || end_after(hole.opened) || broken(Mutant::TailUnread)
        };
        if progressed { Judgement::Lost } else { Judgement::Waits }
    }

    fn conclude(&mut self, view: usize, lane: usize, hole: &Hole, tail: bool, ctx: &mut Context) {
        let range = (hole.first, hole.last);
        let mut cause = hole.fact.cause();
        if tail {
            let place = self.place(view, lane);
            let held = &self.views[view];
            let before = held.lanes[lane].near(self.index);
            if !self.span
                && let Some(end) = held.end_position
            {
                let low = before.map(|near| near.position).filter(|&position| position != NONE);
                cause =
                    held.positions.cause(low.or_else(|| held.positions.below()), end, hole.len());
            }
            if ctx.evidence(place, hole.first).is_none() {
                let (last, since) = (hole.last, hole.opened);
                let evidence = Evidence { last, before, after: None, since, judged_at: None };
                ctx.remember(place, hole.first, evidence);
            }
        }
        let complete = ctx.complete;
        self.edit(view, lane, range, ctx, |hole| {
            hole.fact = hole.fact.with_judged(true, complete).with_cause(cause);
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
        let position = |near: Option<Near>| near.map(|near| near.position).filter(|&p| p != NONE);
        let Some(high) = position(after).or_else(|| held.end_position.filter(|_| after.is_none()))
        else {
            return;
        };
        let low = match before {
            Some(_) => position(before),
            None => held.positions.below(),
        };
        if before.is_some() && low.is_none() {
            return;
        }
        // A number that came late stands behind its upper neighbour.
        let (low, high) = match low {
            Some(low) if low > high => (Some(high), low),
            low => (low, high),
        };
        let cause = held.positions.cause(low, high, last - first + 1);
        self.edit(view, lane, (first, last), ctx, |hole| {
            hole.fact = hole.fact.with_cause(cause);
        });
    }
}
