//! A lane's count. A number is taken and its message handed over in one step under the lane's
//! lock, so the order of numbers is the order in the client's queue.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lacuna_core::ledger::LedgerRecord;
use lacuna_core::stamp::{Encoder, MAX_SEQ};

use crate::book::{Answers, Book, Outcome};
use crate::identity::Identity;

/// One unbroken count.
#[derive(Debug)]
pub struct Lane {
    stream: Arc<str>,
    label: Box<str>,
    /// The stamp's bytes before the last `;`, to know it again.
    prefix: Box<[u8]>,
    turn: Mutex<Turn>,
    /// The turn's number for those who only look.
    next: AtomicU64,
    book: Mutex<Book>,
}

impl Lane {
    /// A lane of which no number was taken yet. With `transactional`, all that is sent in it
    /// belongs to one transaction at a time, whose end [`Lane::end_transaction`] tells.
    #[must_use]
    pub fn new(stream: &Arc<str>, label: &str, identity: &Identity, transactional: bool) -> Self {
        let turn = Turn::new(Encoder::new(&identity.producer, identity.epoch, stream, label));
        Self {
            stream: Arc::clone(stream),
            label: label.into(),
            prefix: turn.prefix().into(),
            turn: Mutex::new(turn),
            next: AtomicU64::new(0),
            book: Mutex::new(Book::new(transactional)),
        }
    }

    /// The stream's name.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The lane's label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its stamps' bytes before the last `;`; empty where the names allow no stamp.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// The number that the next message will take.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Waits for this lane's turn. Nobody else takes a number until it is dropped, so what is
    /// refused meanwhile simply does not take its own.
    #[inline]
    pub fn turn(&self) -> MutexGuard<'_, Turn> {
        lock(&self.turn)
    }

    /// The message with this turn's stamp is on its way; `turn` is this lane's own.
    #[inline]
    pub fn taken(&self, mut turn: MutexGuard<'_, Turn>) {
        turn.count_on();
        self.next.store(turn.next, Ordering::Release);
    }

    /// The message that took this number was refused before it was sent: the lane's next message
    /// takes it, or it is refused where a later one was taken, or a record has spoken of it.
    pub fn give_back(&self, seq: u64) {
        let mut turn = self.turn();
        let mut book = lock(&self.book);
        if turn.next == seq + 1 && book.told() <= seq {
            turn.count_back();
            self.next.store(seq, Ordering::Release);
        } else {
            book.settle(seq, Outcome::Refused);
        }
    }

    /// What became of a number.
    #[inline]
    pub fn settle(&self, seq: u64, outcome: Outcome) {
        lock(&self.book).settle(seq, outcome);
    }

    /// The open transaction was committed or rolled back.
    pub fn end_transaction(&self, committed: bool) {
        let mut book = lock(&self.book);
        book.end_transaction(self.next(), committed);
    }

    /// The lane's next record. `now` is ms since the Unix epoch.
    pub fn record<'a>(
        &'a self,
        identity: &'a Identity,
        answers: Answers,
        now: u64,
    ) -> LedgerRecord<'a> {
        let mut book = lock(&self.book);
        let record = book.record(self.next(), answers, now);
        let Identity { producer, epoch } = identity;
        LedgerRecord { producer, epoch: *epoch, stream: &self.stream, lane: &self.label, ..record }
    }
}

/// A lane's next number and its stamp, which counts on in place.
#[derive(Debug)]
pub struct Turn {
    /// Empty where the names allow no stamp.
    text: Vec<u8>,
    /// Where the number begins in the text.
    digits: usize,
    next: u64,
}

impl Turn {
    fn new(encoder: Option<Encoder>) -> Self {
        let text = encoder.map_or_else(Vec::new, |mut encoder| encoder.encode(0).to_vec());
        Self { digits: text.len().saturating_sub(1), text, next: 0 }
    }

    /// The number of the next message.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.next
    }

    /// The stamp of the next message; `None`: there can be none.
    #[must_use]
    #[inline]
    pub fn stamp(&self) -> Option<&[u8]> {
        (self.next <= MAX_SEQ && !self.text.is_empty()).then_some(&*self.text)
    }

    /// All before the last `;`.
    fn prefix(&self) -> &[u8] {
        &self.text[..self.digits.saturating_sub(1)]
    }

    #[inline]
    fn count_on(&mut self) {
        self.next += 1;
        for digit in self.text[self.digits..].iter_mut().rev() {
            if *digit < b'9' {
                *digit += 1;
                return;
            }
            *digit = b'0';
        }
        self.text.insert(self.digits, b'1');
    }

    fn count_back(&mut self) {
        self.next -= 1;
        self.text.truncate(self.digits);
        self.text.extend(self.next.to_string().bytes());
    }
}

/// A lock that outlives a panic elsewhere: what it guards is valid after every statement.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity { producer: "p@h".to_owned(), epoch: 7 }
    }

    #[test]
    fn counting_in_place_writes_what_the_core_writes() {
        let mut encoder = Encoder::new("p@h", 7, "orders", "3").unwrap();
        let mut turn = Turn::new(Some(encoder.clone()));
        for seq in 0..=100_001 {
            assert_eq!(turn.stamp(), Some(encoder.encode(seq)));
            turn.count_on();
        }
        for seq in [100_001, 100_000, 99_999, 99_998] {
            turn.count_back();
            assert_eq!(turn.stamp(), Some(encoder.encode(seq)));
        }
    }

    #[test]
    fn a_number_is_given_back_unless_a_later_one_or_a_record_needs_it() {
        let lane = Lane::new(&"orders".into(), "0", &identity(), false);
        let take = || {
            let turn = lane.turn();
            let seq = turn.seq();
            lane.taken(turn);
            seq
        };
        assert_eq!((take(), take()), (0, 1));
        lane.give_back(1);
        assert_eq!((lane.next(), take(), take()), (1, 1, 2));
        lane.give_back(1);
        let identity = identity();
        let record = lane.record(&identity, Answers::All, 0);
        assert_eq!((record.next, record.refused), (3, vec![(1, 1)]));
        lane.give_back(2);
        let record = lane.record(&identity, Answers::All, 0);
        assert_eq!((record.next, record.refused, record.pending), (3, vec![(1, 2)], vec![(0, 0)]));
    }

    #[test]
    fn names_that_allow_no_stamp_give_none() {
        let turn = Turn::new(Encoder::new("not a name", 7, "orders", "3"));
        assert_eq!((turn.stamp(), turn.prefix()), (None, &b""[..]));
    }

    #[test]
    fn no_number_is_above_the_greatest() {
        let mut turn = Turn::new(Encoder::new("p", 7, "orders", "3"));
        turn.next = MAX_SEQ;
        assert!(turn.stamp().is_some());
        turn.next += 1;
        assert_eq!(turn.stamp(), None);
    }
}
