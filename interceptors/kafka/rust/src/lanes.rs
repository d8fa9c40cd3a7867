//! Topics and their lanes. A number is taken and its message enqueued in one step under the lane's
//! lock, so the order of numbers is the order in librdkafka's queue.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use lacuna_core::stamp::{self, Encoder, MAX_SEQ};

use crate::book::{Book, Outcome};
use crate::identity::Identity;
use crate::partition::Spread;
use crate::table::Table;

/// Every topic that a producer has sent to.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    hasher: RandomState,
    topics: Table<Topic>,
}

impl Topics {
    /// A topic's entry, made at its first message.
    #[inline]
    pub(crate) fn entry(&self, name: &str) -> &Topic {
        let hash = self.hash(name);
        let is = |topic: &Topic| *topic.name == *name;
        self.topics
            .find(hash, is)
            .unwrap_or_else(|| self.topics.find_or_add(hash, is, || Topic::new(name)))
    }

    /// A topic's entry, if it has one.
    pub(crate) fn find(&self, name: &str) -> Option<&Topic> {
        self.topics.find(self.hash(name), |topic| *topic.name == *name)
    }

    /// Every lane with its topic's name.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (&str, &Lane)> {
        self.topics
            .iter()
            .flat_map(move |topic| topic.lanes.iter().map(|lane| (&*topic.name, lane)))
    }

    fn hash(&self, name: &str) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "a hash")]
        let hash = self.hasher.hash_one(name) as usize;
        hash
    }
}

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    name: Box<str>,
    lanes: Table<Lane>,
    /// Partitions, as last heard of; 0: not known yet.
    count: AtomicUsize,
    /// Whether its partitions have been asked for and not been told yet.
    pub(crate) asked: AtomicBool,
    spread: Mutex<Spread>,
}

impl Topic {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            lanes: Table::default(),
            count: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            spread: Mutex::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Partitions, as last heard of; 0: not known yet.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// For each partition, whether it has a leader.
    pub(crate) fn learn(&self, led: Vec<bool>) {
        let count = led.len();
        self.spread().learn(led);
        self.count.store(count, Ordering::Release);
    }

    pub(crate) fn spread(&self) -> MutexGuard<'_, Spread> {
        lock(&self.spread)
    }

    /// The lane of this partition, or `*`, made at its first message.
    #[inline]
    pub(crate) fn lane(
        &self,
        partition: Option<i32>,
        identity: &Identity,
        transactional: bool,
    ) -> &Lane {
        let hash = slot(partition);
        let is = |lane: &Lane| lane.partition == partition;
        self.lanes.find(hash, is).unwrap_or_else(|| {
            let make = || Lane::new(partition, &self.name, identity, transactional);
            self.lanes.find_or_add(hash, is, make)
        })
    }

    /// A delivery report of a message that was written to, or meant for, this partition.
    pub(crate) fn settle(&self, partition: i32, prefix: &[u8], seq: u64, outcome: Outcome) {
        let lane = [Some(partition), None].into_iter().find_map(|partition| {
            let is = |lane: &Lane| lane.partition == partition && *lane.prefix == *prefix;
            self.lanes.find(slot(partition), is)
        });
        // None: a stamp that the application forwarded while stamping was off.
        if let Some(lane) = lane {
            lane.book().settle(seq, outcome);
        }
    }
}

/// Partitions side by side, so that up to 255 of them never share a slot.
fn slot(partition: Option<i32>) -> usize {
    partition.map_or(0, |partition| usize::try_from(partition).unwrap_or(0) + 1)
}

/// One unbroken count.
#[derive(Debug)]
pub(crate) struct Lane {
    /// `None`: lane `*`.
    partition: Option<i32>,
    /// The stamp's bytes before the last `;`, to know it again.
    prefix: Box<[u8]>,
    label: Box<str>,
    turn: Mutex<Turn>,
    /// The turn's number for those who only look.
    next: AtomicU64,
    book: Mutex<Book>,
}

impl Lane {
    fn new(partition: Option<i32>, topic: &str, identity: &Identity, transactional: bool) -> Self {
        let label = partition.map_or_else(|| stamp::SPAN.to_owned(), |number| number.to_string());
        let turn = Turn::new(Encoder::new(&identity.producer, identity.epoch, topic, &label));
        Self {
            partition,
            prefix: turn.prefix().into(),
            label: label.into(),
            turn: Mutex::new(turn),
            next: AtomicU64::new(0),
            book: Mutex::new(Book::new(transactional)),
        }
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The number that the next message will take.
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    /// Waits for this lane's turn. Nobody else takes a number until it is dropped, so what is
    /// refused meanwhile simply does not take its own.
    pub(crate) fn turn(&self) -> MutexGuard<'_, Turn> {
        lock(&self.turn)
    }

    /// The message with this turn's stamp is in librdkafka's queue.
    pub(crate) fn taken(&self, mut turn: MutexGuard<'_, Turn>) {
        turn.count_on();
        self.next.store(turn.next, Ordering::Release);
    }
}

/// A lane's next number and its stamp, which counts on in place.
#[derive(Debug)]
pub(crate) struct Turn {
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

    /// The stamp of the next message; `None`: there can be none.
    #[inline]
    pub(crate) fn stamp(&self) -> Option<&[u8]> {
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
}

/// A lock that outlives a panic elsewhere: what it guards is valid after every statement.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Answers;

    #[test]
    fn counting_on_in_place_writes_what_the_core_writes() {
        let mut encoder = Encoder::new("p@h", 7, "orders", "3").unwrap();
        let mut turn = Turn::new(Some(encoder.clone()));
        for seq in 0..=100_001 {
            assert_eq!(turn.stamp(), Some(encoder.encode(seq)));
            turn.count_on();
        }
    }

    #[test]
    fn a_report_goes_to_the_lane_that_its_stamp_names() {
        let identity = Identity { producer: "p@h".to_owned(), epoch: 7 };
        let topic = Topic::new("orders");
        let pending = |partition| {
            let lane = topic.lane(partition, &identity, false);
            lane.book().record(1, Answers::All, 0).pending
        };
        let origin = stamp::origin("orders");
        let settle = |prefix: String| topic.settle(3, prefix.as_bytes(), 0, Outcome::Acknowledged);
        assert_eq!([pending(Some(3)), pending(None)], [[(0, 0)], [(0, 0)]]);
        settle(format!("1;forwarded@h;7;{origin:08x};3"));
        assert_eq!([pending(Some(3)), pending(None)], [[(0, 0)], [(0, 0)]]);
        settle(format!("1;p@h;7;{origin:08x};*"));
        assert_eq!([pending(Some(3)), pending(None)], [vec![(0, 0)], vec![]]);
        settle(format!("1;p@h;7;{origin:08x};3"));
        assert_eq!([pending(Some(3)), pending(None)], [[], []]);
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
