//! One lane's book: what became of the numbers that were taken (contracts §2).
//!
//! Everything below `next` that is not settled is pending, so a send writes nothing here; only
//! the broker's answers do, and a settled number never changes.
//!
//! ```text
//! 0 ─────── settled ─────── floor ── pending ──┬─ settled ─┬── pending ── next
//!                                              └── above ──┘
//! ```

use std::collections::VecDeque;

use lacuna_core::ledger::{LedgerRecord, Range};

use crate::ranges::Ranges;

/// Every record repeats the ranges of the last ten minutes, so that the next makes good a lost one.
const REPEAT_MS: u64 = 10 * 60 * 1_000;
/// How finely those ten minutes are told; a lane keeps at most 21 marks of them.
const MARK_MS: u64 = 30_000;
/// Ranges of one record; what does not fit is left out by raising `from`.
const MAX_RECORD_RANGES: usize = 1_000;
/// Ranges that a lane keeps between records: more are only made by an application whose messages
/// fail one by one, and there the oldest are given up.
const MAX_KEPT_RANGES: usize = 4_096;

/// What became of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The broker has it.
    Acknowledged,
    /// Certainly not part of the stream, and the application was told.
    Refused,
    /// Given up without an answer, or sent without asking for one.
    Unanswered,
    /// Part of a transaction that was rolled back.
    Aborted,
}

/// Which answers this client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// An answer for every message.
    All,
    /// Failures only: success is never heard of, so all else stays unanswered.
    OnlyErrors,
}

/// The book of one lane.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// All numbers below are settled.
    floor: u64,
    /// Settled numbers above the floor.
    above: Ranges,
    unanswered: Ranges,
    refused: Ranges,
    aborted: Ranges,
    /// The ranges are complete from here on.
    from: u64,
    /// A transactional producer's: from here on numbers belong to the open transaction.
    open_from: Option<u64>,
    /// Records made.
    rev: u64,
    /// The highest `next` of these.
    told: u64,
    /// (when, floor at that time), oldest first.
    marks: VecDeque<(u64, u64)>,
}

impl Book {
    /// An empty book. With `transactional`, all that the lane's producer sends belongs to one
    /// transaction at a time, whose end [`Book::end_transaction`] tells.
    pub(crate) fn new(transactional: bool) -> Self {
        Self { open_from: transactional.then_some(0), ..Self::default() }
    }

    /// What became of a number: the first answer is what counts.
    pub(crate) fn settle(&mut self, seq: u64, outcome: Outcome) {
        if seq < self.floor || self.above.contains(seq) {
            return;
        }
        self.mark_settled(seq, seq);
        match outcome {
            Outcome::Acknowledged => return,
            Outcome::Refused => self.refused.insert(seq, seq),
            Outcome::Unanswered => self.unanswered.insert(seq, seq),
            Outcome::Aborted => self.aborted.insert(seq, seq),
        }
        if self.listed() > MAX_KEPT_RANGES {
            self.shed();
        }
    }

    /// The open transaction, which has numbers below `next`, was committed or rolled back.
    pub(crate) fn end_transaction(&mut self, next: u64, committed: bool) {
        let Some(open) = self.open_from.replace(next).filter(|&open| open < next) else {
            return;
        };
        if !committed {
            // What the roll-back itself took from the queue is no refusal.
            self.unanswered.drop_from(open);
            self.refused.drop_from(open);
            self.aborted.insert(open, next - 1);
            self.mark_settled(open, next - 1);
        }
    }

    /// The lane's next record; the caller names the lane. `now` is ms since the Unix epoch.
    pub(crate) fn record(
        &mut self,
        next: u64,
        answers: Answers,
        now: u64,
    ) -> LedgerRecord<'static> {
        // A report may overtake the sender's own note of the number that it took.
        let seen = self.above.last().map_or(self.floor, |(_, last)| last + 1);
        let next = next.max(seen);
        self.forget_old(now);
        self.rev += 1;
        self.told = self.told.max(next);

        // Until its end is known, nothing of a transaction is more than sent.
        let open = self.open_from.unwrap_or(next).min(next);
        let mut pending = self.above.gaps(self.floor, open);
        pending.extend((open < next).then(|| (open, next - 1)));
        let [mut unanswered, mut refused] = [&self.unanswered, &self.refused].map(Ranges::clone);
        unanswered.drop_from(open);
        refused.drop_from(open);
        if answers == Answers::OnlyErrors {
            for (first, last) in pending.drain(..) {
                unanswered.insert(first, last);
            }
        }
        let mut record = LedgerRecord {
            rev: self.rev,
            from: self.from,
            next,
            pending,
            unanswered: unanswered.iter().collect(),
            refused: refused.iter().collect(),
            aborted: self.aborted.iter().collect(),
            at: Some(now),
            ..LedgerRecord::default()
        };
        bound(&mut record);
        record
    }

    /// The highest `next` that a record has told.
    pub(crate) fn told(&self) -> u64 {
        self.told
    }

    fn mark_settled(&mut self, first: u64, last: u64) {
        // Reports come in order nearly always.
        if first == self.floor && self.above.len() == 0 {
            self.floor = last + 1;
            return;
        }
        self.above.insert(first, last);
        if let Some((_, last)) = self.above.first().filter(|&(first, _)| first <= self.floor) {
            self.above.pop_first();
            self.floor = self.floor.max(last + 1);
        }
    }

    /// What was settled ten minutes ago has been said often enough.
    fn forget_old(&mut self, now: u64) {
        while let Some((_, floor)) =
            self.marks.front().filter(|(at, _)| at.saturating_add(REPEAT_MS) <= now)
        {
            self.from = self.from.max(*floor);
            self.marks.pop_front();
        }
        self.drop_below_from();
        if self.marks.back().is_none_or(|(at, _)| at.saturating_add(MARK_MS) <= now) {
            let settled = self.open_from.map_or(self.floor, |open| open.min(self.floor));
            self.marks.push_back((now, settled));
        }
    }

    fn listed(&self) -> usize {
        self.unanswered.len() + self.refused.len() + self.aborted.len()
    }

    /// Gives up the older half of the ranges.
    fn shed(&mut self) {
        let lists = [&self.unanswered, &self.refused, &self.aborted];
        let mut starts: Vec<u64> =
            lists.iter().flat_map(|list| list.iter()).map(|(first, _)| first).collect();
        starts.sort_unstable();
        self.from = self.from.max(starts[starts.len() / 2]);
        self.drop_below_from();
    }

    fn drop_below_from(&mut self) {
        for list in [&mut self.unanswered, &mut self.refused, &mut self.aborted] {
            list.drop_below(self.from);
        }
    }
}

/// Leaves out the lowest ranges of a record that has too many.
fn bound(record: &mut LedgerRecord<'_>) {
    let lists =
        [&mut record.pending, &mut record.unanswered, &mut record.refused, &mut record.aborted];
    let mut starts: Vec<u64> =
        lists.iter().flat_map(|list| list.iter()).map(|&(first, _)| first).collect();
    if starts.len() > MAX_RECORD_RANGES {
        starts.sort_unstable();
        record.from = record.from.max(starts[starts.len() - MAX_RECORD_RANGES]);
    }
    for list in lists {
        clip(list, record.from);
    }
}

fn clip(list: &mut Vec<Range>, from: u64) {
    list.retain_mut(|(first, last)| {
        *first = from.max(*first);
        first <= last
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(book: &mut Book, next: u64, now: u64) -> LedgerRecord<'static> {
        let record = book.record(next, Answers::All, now);
        let named = LedgerRecord { producer: "p", stream: "s", lane: "0", ..record.clone() };
        assert_eq!(named.validate(), Ok(()), "{named:?}");
        record
    }

    #[test]
    fn what_is_not_settled_is_pending() {
        let mut book = Book::new(false);
        assert_eq!(record(&mut book, 5, 0).pending, [(0, 4)]);
        for (seq, outcome) in [
            (0, Outcome::Acknowledged),
            (3, Outcome::Unanswered),
            (1, Outcome::Refused),
            (6, Outcome::Acknowledged),
        ] {
            book.settle(seq, outcome);
        }
        let record = record(&mut book, 8, 1);
        assert_eq!(record.pending, [(2, 2), (4, 5), (7, 7)]);
        assert_eq!(record.refused, [(1, 1)]);
        assert_eq!(record.unanswered, [(3, 3)]);
        assert_eq!((record.rev, record.from, record.next), (2, 0, 8));
    }

    #[test]
    fn the_first_report_counts() {
        let mut book = Book::new(false);
        book.settle(0, Outcome::Acknowledged);
        book.settle(2, Outcome::Refused);
        book.settle(0, Outcome::Refused);
        book.settle(2, Outcome::Unanswered);
        let record = record(&mut book, 3, 0);
        assert_eq!((record.refused, record.unanswered), (vec![(2, 2)], vec![]));
        assert_eq!(record.pending, [(1, 1)]);
    }

    #[test]
    fn a_report_that_overtakes_the_sender_is_not_lost() {
        let mut book = Book::new(false);
        book.settle(0, Outcome::Acknowledged);
        book.settle(2, Outcome::Acknowledged);
        let record = record(&mut book, 0, 0);
        assert_eq!((record.next, record.pending), (3, vec![(1, 1)]));
    }

    #[test]
    fn a_transaction_is_pending_until_its_end() {
        let mut book = Book::new(true);
        for seq in 0..4 {
            let refused = seq == 2;
            book.settle(seq, if refused { Outcome::Refused } else { Outcome::Acknowledged });
        }
        let open = record(&mut book, 4, 0);
        assert_eq!((open.pending, open.refused), (vec![(0, 3)], vec![]));
        book.end_transaction(4, true);
        let committed = record(&mut book, 4, 0);
        assert_eq!((committed.pending, committed.refused), (vec![], vec![(2, 2)]));

        book.settle(4, Outcome::Unanswered);
        book.settle(5, Outcome::Refused);
        assert_eq!(record(&mut book, 7, 0).pending, [(4, 6)]);
        book.end_transaction(7, false);
        let rolled_back = record(&mut book, 7, 0);
        assert_eq!(rolled_back.aborted, [(4, 6)]);
        assert_eq!((rolled_back.pending, rolled_back.unanswered), (vec![], vec![]));
        assert_eq!(rolled_back.refused, [(2, 2)]);
    }

    #[test]
    fn success_that_is_never_reported_is_unanswered() {
        let mut book = Book::new(false);
        book.settle(3, Outcome::Refused);
        let record = book.record(6, Answers::OnlyErrors, 0);
        assert_eq!(record.unanswered, [(0, 2), (4, 5)]);
        assert_eq!((record.refused, record.pending), (vec![(3, 3)], vec![]));
    }

    #[test]
    fn ranges_are_repeated_for_ten_minutes_and_then_left_out() {
        let mut book = Book::new(false);
        book.settle(0, Outcome::Refused);
        assert_eq!(record(&mut book, 1, 0).refused, [(0, 0)]);
        book.settle(1, Outcome::Refused);
        assert_eq!(record(&mut book, 2, REPEAT_MS - 1).refused, [(0, 1)]);
        let later = record(&mut book, 2, REPEAT_MS);
        assert_eq!((later.from, later.refused), (1, vec![(1, 1)]));
    }

    #[test]
    fn many_failures_stay_bounded_and_the_newest_are_kept() {
        let mut book = Book::new(false);
        for seq in 0..20_000 {
            let odd = seq % 2 == 1;
            book.settle(seq, if odd { Outcome::Refused } else { Outcome::Acknowledged });
        }
        assert!(book.listed() <= MAX_KEPT_RANGES);
        let record = record(&mut book, 20_000, 0);
        assert_eq!(record.refused.len(), MAX_RECORD_RANGES);
        assert_eq!(record.refused.last(), Some(&(19_999, 19_999)));
        assert_eq!(record.from, record.refused[0].0);
    }
}
