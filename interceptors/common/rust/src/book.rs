//! One lane's book: what became of the numbers that were taken (contracts §2).
//!
//! Everything below `next` that is not settled is pending, so a send writes nothing here; only
//! the broker's answers do, and a settled number never changes.
//!
//! ```text
//! 0 ─────── settled ─────── floor ── pending ──┬─ settled ─┬── pending ── next
//!                                              └── above ──┘
//! ```

use lacuna_core::ledger::{LedgerRecord, Range};

use crate::ranges::Ranges;
use crate::said::Said;

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

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was committed.
    Committed,
    /// It was rolled back.
    RolledBack,
    /// Nobody knows: the commit was sent, and the answer is not to be had.
    Unclear,
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
    closed: bool,
    /// Something was settled since the last report.
    changed: bool,
    said: Said,
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

    /// The open transaction, which has numbers below `next`, came to its end.
    pub(crate) fn end_transaction(&mut self, next: u64, end: End) {
        let Some(open) = self.open_from.filter(|&open| open < next) else {
            return;
        };
        self.open_from = Some(next);
        match end {
            // A commit vouches for all that was sent, whether each was answered or not.
            End::Committed => self.mark_settled(open, next - 1),
            End::RolledBack => {
                // What the roll-back itself took from the queue is no refusal.
                self.unanswered.drop_from(open);
                self.refused.drop_from(open);
                self.aborted.insert(open, next - 1);
                self.mark_settled(open, next - 1);
            }
            End::Unclear => {
                // Stored, perhaps, and perhaps for nothing; a refused one is neither.
                for (first, last) in self.refused.gaps(open, next) {
                    self.unanswered.insert(first, last);
                }
                self.mark_settled(open, next - 1);
            }
        }
    }

    /// The producer has ended, and this is the lane's last `next`: who has no answer gets none.
    pub(crate) fn close(&mut self, next: u64) {
        self.end_transaction(next, End::Unclear);
        for (first, last) in self.above.gaps(self.floor, next) {
            self.unanswered.insert(first, last);
            self.mark_settled(first, last);
        }
        self.closed = true;
    }

    /// What became of the message that the last report travelled with, where that is known now.
    pub(crate) fn hear(&mut self, arrived: impl Fn(u64) -> Option<bool>) {
        self.said.hear(arrived);
    }

    /// The lane's next record, to travel with this message; `None` where there is nothing to say:
    /// nothing has changed or is pending, and what was said has arrived or was said for ten minutes.
    pub(crate) fn report(
        &mut self,
        next: u64,
        answers: Answers,
        now: u64,
        batch: u64,
    ) -> Option<LedgerRecord<'static>> {
        let news = self.changed || self.said.is_behind(next);
        let open = self.open_from.unwrap_or(next).min(next);
        let answered = answers == Answers::All || self.open_from.is_some();
        let pending = open < next || (self.floor < next && answered);
        if !(news || pending || self.closed || self.said.is_to_be_repeated(now)) {
            return None;
        }
        if let Some(floor) = self.said.often_enough(now) {
            self.from = self.from.max(floor);
            self.drop_below_from();
        }
        let record = self.record(next, answers, now);
        self.said.note(batch, next, now, open.min(self.floor), news);
        self.changed = false;
        Some(record)
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
        self.rev += 1;
        self.told = self.told.max(next);

        // Until its end is known, nothing of a transaction is more than sent.
        let open = self.open_from.unwrap_or(next).min(next);
        let mut pending = self.above.gaps(self.floor, open);
        pending.extend((open < next).then(|| (open, next - 1)));
        let [mut unanswered, mut refused] = [&self.unanswered, &self.refused].map(Ranges::clone);
        unanswered.drop_from(open);
        refused.drop_from(open);
        if answers == Answers::OnlyErrors && self.open_from.is_none() {
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
            closed: self.closed,
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
        self.changed = true;
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
    use crate::said::REPEAT_MS;

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
        book.end_transaction(4, End::Committed);
        let committed = record(&mut book, 4, 0);
        assert_eq!((committed.pending, committed.refused), (vec![], vec![(2, 2)]));

        book.settle(4, Outcome::Unanswered);
        book.settle(5, Outcome::Refused);
        assert_eq!(record(&mut book, 7, 0).pending, [(4, 6)]);
        book.end_transaction(7, End::RolledBack);
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
    fn an_unclear_commit_leaves_unanswered_numbers() {
        let mut book = Book::new(true);
        for seq in 0..4 {
            book.settle(seq, if seq == 2 { Outcome::Refused } else { Outcome::Acknowledged });
        }
        book.end_transaction(5, End::Unclear);
        let unclear = record(&mut book, 5, 0);
        assert_eq!((unclear.unanswered, unclear.refused), (vec![(0, 1), (3, 4)], vec![(2, 2)]));
        assert_eq!(unclear.pending, []);
    }

    #[test]
    fn a_commit_vouches_for_what_was_never_answered() {
        let mut book = Book::new(true);
        assert_eq!(book.record(3, Answers::OnlyErrors, 0).pending, [(0, 2)]);
        book.end_transaction(3, End::Committed);
        let record = book.record(3, Answers::OnlyErrors, 0);
        assert_eq!((record.pending, record.unanswered), (vec![], vec![]));
    }

    #[test]
    fn at_the_close_what_has_no_answer_gets_none() {
        for transactional in [false, true] {
            let mut book = Book::new(transactional);
            book.settle(1, Outcome::Acknowledged);
            book.close(4);
            let record = record(&mut book, 4, 0);
            let unanswered = if transactional { vec![(0, 3)] } else { vec![(0, 0), (2, 3)] };
            assert_eq!((record.pending, record.unanswered), (vec![], unanswered));
            assert!(record.closed);
        }
    }

    fn report(book: &mut Book, next: u64, now: u64, batch: u64) -> Option<LedgerRecord<'static>> {
        book.report(next, Answers::All, now, batch)
    }

    #[test]
    fn a_report_is_made_while_there_is_something_to_say() {
        let mut book = Book::new(false);
        assert!(report(&mut book, 1, 0, 1).is_some(), "it moved");
        assert!(report(&mut book, 1, 0, 2).is_some(), "it has pending numbers");
        book.settle(0, Outcome::Acknowledged);
        assert!(report(&mut book, 1, 0, 3).is_some(), "it was settled");
        assert!(report(&mut book, 1, 0, 4).is_none(), "on its way");
        book.hear(|batch| (batch == 3).then_some(false));
        assert!(report(&mut book, 1, 0, 5).is_some(), "it did not arrive");
        book.hear(|batch| (batch == 5).then_some(true));
        assert!(report(&mut book, 1, 0, 6).is_none(), "it has arrived");
        book.close(1);
        assert!(report(&mut book, 1, 0, 7).is_some_and(|record| record.closed));
    }

    #[test]
    fn what_never_arrives_is_repeated_for_ten_minutes() {
        let mut book = Book::new(false);
        book.settle(0, Outcome::Refused);
        for (batch, now) in [(1, 0), (2, REPEAT_MS - 1)] {
            assert!(report(&mut book, 1, now, batch).is_some());
            book.hear(|_| Some(false));
        }
        assert!(report(&mut book, 1, REPEAT_MS, 3).is_none());
        book.settle(1, Outcome::Refused);
        let record = report(&mut book, 2, 2 * REPEAT_MS, 4).unwrap();
        assert_eq!((record.from, record.refused), (0, vec![(0, 1)]), "never said yet");
    }

    #[test]
    fn what_arrived_is_repeated_for_ten_minutes_and_then_left_out() {
        let mut book = Book::new(false);
        book.settle(0, Outcome::Refused);
        assert_eq!(report(&mut book, 1, 0, 1).unwrap().refused, [(0, 0)]);
        book.hear(|_| Some(true));
        book.settle(1, Outcome::Refused);
        assert_eq!(report(&mut book, 2, REPEAT_MS - 1, 2).unwrap().refused, [(0, 1)]);
        book.hear(|_| Some(true));
        book.settle(2, Outcome::Acknowledged);
        let later = report(&mut book, 3, REPEAT_MS, 3).unwrap();
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
