//! What must be found: computed from what Kafka's own tools say is in the log, by plain sorting,
//! sharing nothing with the checker.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::broker::{Kafka, LogRecord};
use crate::files::{self, Line};

/// Numbers by their dotted name in the report (`lost.undetermined`); zeros are left out.
pub type Counts = BTreeMap<String, u64>;

/// A lane as the report names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    /// The row that it stands in: the partition, or `*`.
    pub partition: String,
    /// The producer.
    pub producer: String,
    /// The epoch, as it is spelled in stamps.
    pub epoch: String,
}

/// A loss that must be found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Its lane.
    pub lane: Lane,
    /// Its numbers.
    pub first: u64,
    /// Inclusive.
    pub last: u64,
}

/// A repeat that must be found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duplicate {
    /// Its lane.
    pub lane: Lane,
    /// Its number.
    pub seq: u64,
    /// Where the repeat stands.
    pub position: u64,
}

/// Where a message stands: partition and offset.
pub type Place = (u32, u64);

/// Numbers by lane.
pub type Numbers = BTreeMap<Lane, BTreeSet<u64>>;

/// All that is in a topic's log.
#[derive(Debug)]
pub struct Truth {
    origin: Origin,
    lanes: BTreeMap<Lane, LaneTruth>,
    /// Messages without a stamp, by partition.
    unstamped: BTreeMap<u32, u64>,
    /// Messages with a stamp that was made for another topic or partition.
    foreign: BTreeMap<u32, u64>,
    /// Each partition's last message.
    ends: BTreeMap<u32, u64>,
}

#[derive(Debug, Default)]
struct LaneTruth {
    /// Number → the places where it stands, in the log's order.
    copies: BTreeMap<u64, Vec<Place>>,
    /// Numbers that stand behind a higher one.
    reordered: u64,
}

impl LaneTruth {
    fn add(&mut self, seq: u64, place: Place) {
        let behind = self.copies.last_key_value().is_some_and(|(&top, _)| seq < top);
        let copies = self.copies.entry(seq).or_default();
        if behind && copies.is_empty() {
            self.reordered += 1;
        }
        copies.push(place);
    }

    /// What is absent below the highest number; what is above cannot be known without a ledger.
    fn gaps(&self) -> Vec<RangeInclusive<u64>> {
        let mut next = 0;
        let mut gaps = Vec::new();
        for &seq in self.copies.keys() {
            if next < seq {
                gaps.push(next..=seq - 1);
            }
            next = seq + 1;
        }
        gaps
    }

    /// Every copy but the first of its number.
    fn repeats(&self) -> impl Iterator<Item = (u64, Place)> {
        self.copies.iter().flat_map(|(&seq, places)| places[1..].iter().map(move |&at| (seq, at)))
    }

    /// The messages read from each partition.
    fn read_from(&self) -> BTreeMap<u32, u64> {
        let mut read = BTreeMap::new();
        for (partition, _) in self.copies.values().flatten() {
            *read.entry(*partition).or_default() += 1;
        }
        read
    }
}

impl Truth {
    /// Reads a topic with Kafka's tools.
    #[must_use]
    pub fn of(kafka: &Kafka, topic: &str) -> Self {
        Self::of_mirror(kafka, topic, topic)
    }

    /// Reads a topic whose messages were stamped for another one.
    #[must_use]
    pub fn of_mirror(kafka: &Kafka, topic: &str, original: &str) -> Self {
        let mut truth = Self {
            origin: Origin::of(original),
            lanes: BTreeMap::new(),
            unstamped: BTreeMap::new(),
            foreign: BTreeMap::new(),
            ends: BTreeMap::new(),
        };
        kafka.records(topic, |record| truth.add(&record));
        truth
    }

    /// Adds what the same topic holds later, when records that were read here may be deleted.
    pub fn add_later(&mut self, later: Self) {
        for (name, lane) in later.lanes {
            for (seq, places) in lane.copies {
                for place in places {
                    if !self.places(&name, seq).contains(&place) {
                        self.lanes.entry(name.clone()).or_default().add(seq, place);
                    }
                }
            }
        }
        self.ends.extend(later.ends);
    }

    fn add(&mut self, record: &LogRecord<'_>) {
        let end = self.ends.entry(record.partition).or_default();
        *end = record.offset.max(*end);
        let partition = record.partition;
        let Some(stamp) = record.stamp() else {
            *self.unstamped.entry(partition).or_default() += 1;
            return;
        };
        match self.origin.parse(stamp, partition) {
            Some((lane, seq)) => {
                self.lanes.entry(lane).or_default().add(seq, (partition, record.offset));
            }
            None => *self.foreign.entry(partition).or_default() += 1,
        }
    }

    /// Each partition's last message: at all of them the checker has read the log.
    #[must_use]
    pub fn ends(&self) -> &BTreeMap<u32, u64> {
        &self.ends
    }

    /// The lanes that have messages in the log.
    pub fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.keys()
    }

    /// Distinct numbers in the log.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        self.lanes.values().map(|lane| lane.copies.len() as u64).sum()
    }

    /// Numbers that stand behind a higher one.
    #[must_use]
    pub fn reordered(&self) -> u64 {
        self.lanes.values().map(|lane| lane.reordered).sum()
    }

    /// Messages without a stamp.
    #[must_use]
    pub fn unstamped(&self) -> u64 {
        self.unstamped.values().sum()
    }

    /// Where a number stands.
    #[must_use]
    pub fn places(&self, lane: &Lane, seq: u64) -> &[Place] {
        self.lanes.get(lane).and_then(|lane| lane.copies.get(&seq)).map_or(&[], Vec::as_slice)
    }

    /// One above a lane's highest number.
    #[must_use]
    pub fn next(&self, lane: &Lane) -> u64 {
        let top = self.lanes.get(lane).and_then(|lane| lane.copies.last_key_value());
        top.map_or(0, |(&seq, _)| seq + 1)
    }

    /// What is absent from the log below each lane's highest number.
    #[must_use]
    pub fn gaps(&self) -> BTreeSet<Gap> {
        let of_lane = |(name, lane): (&Lane, &LaneTruth)| {
            let name = name.clone();
            lane.gaps().into_iter().map(move |gap| Gap {
                lane: name.clone(),
                first: *gap.start(),
                last: *gap.end(),
            })
        };
        self.lanes.iter().flat_map(of_lane).collect()
    }

    /// What is in the log more than once: every copy but the first.
    #[must_use]
    pub fn duplicates(&self) -> BTreeSet<Duplicate> {
        let of_lane = |(name, lane): (&Lane, &LaneTruth)| {
            let row = |(seq, (_, position))| Duplicate { lane: name.clone(), seq, position };
            lane.repeats().map(row).collect::<Vec<_>>()
        };
        self.lanes.iter().flat_map(of_lane).collect()
    }

    /// The counts of a lane's row, what was observed left out: it is counted where it was read.
    fn judged(&self, lane: &Lane) -> Counts {
        let lane = &self.lanes[lane];
        let gaps = lane.gaps();
        nonzero([
            ("seen", lane.copies.len() as u64),
            ("lost.undetermined", gaps.iter().map(|gap| gap.end() - gap.start() + 1).sum()),
            ("open_gaps", gaps.len() as u64),
            ("duplicates.resent", lane.repeats().count() as u64),
            ("reordered", lane.reordered),
            ("lanes", 1),
            ("lanes_without_ledger", 1),
            ("producers", 1),
        ])
    }

    /// The counts of a lane's row.
    #[must_use]
    pub fn lane_counts(&self, lane: &Lane) -> Counts {
        let mut counts = self.judged(lane);
        let read = self.lanes[lane].read_from().values().sum();
        add(&mut counts, &nonzero([("observed.valid", read)]));
        counts
    }

    /// The counts of a partition's row, or of row `*`.
    #[must_use]
    pub fn partition_counts(&self, partition: &str) -> Counts {
        let mut counts = self.sum(|lane| lane.partition == partition);
        let number: Option<u32> = partition.parse().ok();
        let of =
            |read: &BTreeMap<u32, u64>| number.and_then(|n| read.get(&n)).copied().unwrap_or(0);
        let valid = self.lanes.values().map(|lane| of(&lane.read_from())).sum();
        let observed = [
            ("observed.valid", valid),
            ("observed.absent", of(&self.unstamped)),
            ("observed.foreign", of(&self.foreign)),
        ];
        add(&mut counts, &nonzero(observed));
        counts
    }

    /// The counts of the whole stream.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = self.sum(|_| true);
        let valid = self.lanes.values().map(|lane| lane.read_from().values().sum::<u64>()).sum();
        let observed = [
            ("observed.valid", valid),
            ("observed.absent", self.unstamped()),
            ("observed.foreign", self.foreign.values().sum()),
        ];
        add(&mut counts, &nonzero(observed));
        counts
    }

    fn sum(&self, wanted: impl Fn(&Lane) -> bool) -> Counts {
        let mut sum = Counts::new();
        let mut producers = BTreeSet::new();
        for lane in self.lanes.keys().filter(|lane| wanted(lane)) {
            add(&mut sum, &self.judged(lane));
            producers.insert(&lane.producer);
        }
        sum.extend(nonzero([("producers", producers.len() as u64)]));
        sum
    }

    /// Holds the producers' files against the log: what was acknowledged stands where the broker
    /// said, nothing is in the log that no producer sent, and nothing failed.
    ///
    /// # Panics
    /// If the two witnesses contradict each other.
    pub fn holds_all_of(&self, producers: &[PathBuf]) {
        let acknowledged = self.acknowledged(producers, |lane, seq, place| {
            let places = self.places(lane, seq);
            assert!(places.contains(&place), "{lane:?} {seq}: not at {place:?} but {places:?}");
        });
        assert_eq!(self.numbers(), acknowledged, "in the log, against acknowledged");
        assert_eq!(self.gaps(), BTreeSet::new(), "numbers that no message has");
    }

    /// As [`Self::holds_all_of`], where something stood between the producers and the log: what is
    /// absent is exactly what was acknowledged and is not there.
    ///
    /// # Panics
    /// If the two witnesses contradict each other.
    pub fn lacks_only_what_was_acknowledged(&self, producers: &[PathBuf]) {
        let mut below = self.acknowledged(producers, |_, _, _| ());
        let mut known = self.numbers();
        for gap in self.gaps() {
            known.entry(gap.lane).or_default().extend(gap.first..=gap.last);
        }
        for (lane, numbers) in &mut below {
            numbers.retain(|seq| *seq < self.next(lane));
        }
        below.retain(|_, numbers| !numbers.is_empty());
        assert_eq!(known, below, "in the log or absent from it, against acknowledged");
    }

    /// The stamps that were acknowledged, as the producing processes' files say.
    fn acknowledged(&self, files: &[PathBuf], mut each: impl FnMut(&Lane, u64, Place)) -> Numbers {
        let mut numbers = Numbers::new();
        for file in files {
            files::read(file, |line| match line {
                Line::Acknowledged { stamp: Some(stamp), partition, offset } => {
                    if let Some((lane, seq)) = self.origin.parse(stamp, partition) {
                        each(&lane, seq, (partition, offset));
                        numbers.entry(lane).or_default().insert(seq);
                    }
                }
                Line::Acknowledged { stamp: None, .. } => {}
                Line::Failed { .. } | Line::Handed { .. } => panic!("{}: {line:?}", file.display()),
            });
        }
        numbers
    }

    fn numbers(&self) -> Numbers {
        let of = |lane: &LaneTruth| lane.copies.keys().copied().collect();
        self.lanes.iter().map(|(name, lane)| (name.clone(), of(lane))).collect()
    }

    /// Every message that has a stamp.
    pub fn each(&self) -> impl Iterator<Item = (&Lane, u64, Place)> {
        self.lanes.iter().flat_map(|(name, lane)| {
            let copies = lane.copies.iter();
            copies.flat_map(move |(&seq, places)| places.iter().map(move |&at| (name, seq, at)))
        })
    }

    /// The numbers all of whose copies stand at such places, in ranges as long as can be.
    #[must_use]
    pub fn only_at(&self, such: impl Fn(&Place) -> bool) -> BTreeSet<Gap> {
        let mut ranges = BTreeSet::new();
        for (name, lane) in &self.lanes {
            let mut open: Option<Gap> = None;
            for (&seq, places) in &lane.copies {
                if !places.iter().all(&such) {
                    ranges.extend(open.take());
                    continue;
                }
                match &mut open {
                    Some(range) if range.last + 1 == seq => range.last = seq,
                    _ => {
                        let next = Gap { lane: name.clone(), first: seq, last: seq };
                        ranges.extend(open.replace(next));
                    }
                }
            }
            ranges.extend(open);
        }
        ranges
    }
}

/// Counts without their zeros.
#[must_use]
pub fn nonzero<const N: usize>(counts: [(&str, u64); N]) -> Counts {
    let some = counts.into_iter().filter(|(_, count)| *count > 0);
    some.map(|(name, count)| (name.to_owned(), count)).collect()
}

/// Adds counts up.
pub fn add(sum: &mut Counts, more: &Counts) {
    for (name, count) in more {
        *sum.entry(name.clone()).or_default() += count;
    }
}

/// How a topic's own stamps are told from others: by the CRC-32 of its name.
#[derive(Debug)]
struct Origin(String);

impl Origin {
    fn of(topic: &str) -> Self {
        let mut crc = u32::MAX;
        for byte in topic.bytes() {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = if crc % 2 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            }
        }
        Self(format!("{:08x}", !crc))
    }

    /// `1;producer;epoch;origin;lane;seq`, read from this partition; `None` if it was made for
    /// another place.
    fn parse(&self, stamp: &str, partition: u32) -> Option<(Lane, u64)> {
        let fields: Vec<_> = stamp.split(';').collect();
        let ["1", producer, epoch, origin, label, seq] = fields[..] else {
            panic!("not a stamp: {stamp:?}")
        };
        if origin != self.0 || (label != "*" && label != partition.to_string()) {
            return None;
        }
        let [partition, producer, epoch] = [label, producer, epoch].map(str::to_owned);
        let seq = seq.parse().unwrap_or_else(|_| panic!("not a number: {stamp:?}"));
        Some((Lane { partition, producer, epoch }, seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_stamps_are_told_from_foreign_ones() {
        let origin = Origin::of("orders");
        let lane = |partition: &str| Lane {
            partition: partition.to_owned(),
            producer: "web".to_owned(),
            epoch: "18c2f0a4e1b".to_owned(),
        };
        let parse = |stamp| origin.parse(stamp, 3);
        assert_eq!(parse("1;web;18c2f0a4e1b;e52ffdee;3;18446"), Some((lane("3"), 18_446)));
        assert_eq!(parse("1;web;18c2f0a4e1b;e52ffdee;*;0"), Some((lane("*"), 0)));
        assert_eq!(parse("1;web;18c2f0a4e1b;e52ffdee;4;18446"), None);
        assert_eq!(parse("1;web;18c2f0a4e1b;00000000;3;18446"), None);
    }

    #[test]
    fn a_lane_is_what_stands_in_it() {
        let mut lane = LaneTruth::default();
        // Offsets 0 to 5.
        for (offset, seq) in (0..).zip([1, 4, 3, 4, 8, 1]) {
            lane.add(seq, (0, offset));
        }
        assert_eq!(lane.gaps(), [0..=0, 2..=2, 5..=7]);
        assert_eq!(Vec::from_iter(lane.repeats()), [(1, (0, 5)), (4, (0, 3))]);
        assert_eq!(lane.reordered, 1);
    }
}
