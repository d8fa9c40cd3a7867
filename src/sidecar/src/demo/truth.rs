//! What was injected, counted where it was injected.

use std::collections::{BTreeMap, BTreeSet};

use lacuna_core::totals::{Count, Totals};
use lacuna_core::verdict::Stage;

use super::plan::{Junk, Stream};

/// The consumer group of the demo.
pub(super) const GROUP: &str = "demo-billing";

/// A lane: stream, producer, epoch, partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Lane {
    pub(super) stream: Stream,
    pub(super) producer: &'static str,
    pub(super) epoch: u64,
    pub(super) partition: i32,
}

/// A range of lost numbers, as it must be found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LostRange {
    pub(super) view: String,
    pub(super) stream: String,
    pub(super) partition: String,
    pub(super) producer: String,
    pub(super) epoch: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) stage: Option<Stage>,
}

/// What one thread did; all threads' are added up.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    /// Numbers taken, per lane.
    pub(super) taken: BTreeMap<Lane, u64>,
    /// Numbers that were acknowledged, and swallowed on their way.
    pub(super) swallowed: BTreeSet<(Lane, u64)>,
    /// Numbers that the group's consumer did not process.
    pub(super) skipped: BTreeSet<(Lane, u64)>,
    /// What the log's view must have counted, and what the group's.
    pub(super) log: Seen,
    pub(super) group: Seen,
    /// Numbers that were sent after they had been judged lost.
    pub(super) late: u64,
    /// Messages in each partition's log.
    pub(super) written: BTreeMap<(Stream, i32), u64>,
    /// Times that a producer was started anew.
    pub(super) restarts: u64,
}

/// What passed by a view.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) valid: u64,
    pub(super) foreign: u64,
    pub(super) unstamped: u64,
    pub(super) malformed: u64,
    pub(super) unsupported: u64,
    pub(super) resent: u64,
    pub(super) redelivered: u64,
    pub(super) reordered: u64,
}

impl Seen {
    pub(super) const fn junk(&mut self, junk: Junk) {
        match junk {
            Junk::Foreign => self.foreign += 1,
            Junk::Unstamped => self.unstamped += 1,
            Junk::Malformed => self.malformed += 1,
            Junk::Unsupported => self.unsupported += 1,
        }
    }

    const fn add(&mut self, other: &Self) {
        self.valid += other.valid;
        self.foreign += other.foreign;
        self.unstamped += other.unstamped;
        self.malformed += other.malformed;
        self.unsupported += other.unsupported;
        self.resent += other.resent;
        self.redelivered += other.redelivered;
        self.reordered += other.reordered;
    }
}

impl Truth {
    pub(super) fn count_write(&mut self, stream: Stream, partition: i32) {
        *self.written.entry((stream, partition)).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: Self) {
        // Every lane is one thread's.
        self.taken.extend(other.taken);
        self.swallowed.extend(other.swallowed);
        self.skipped.extend(other.skipped);
        self.log.add(&other.log);
        self.group.add(&other.group);
        self.late += other.late;
        self.restarts += other.restarts;
        for (partition, count) in other.written {
            *self.written.entry(partition).or_default() += count;
        }
    }

    /// All of it, in the report's shape: both views added up.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for seen in [&self.log, &self.group] {
            totals.observed.valid += seen.valid;
            totals.observed.foreign += seen.foreign;
            totals.observed.absent += seen.unstamped;
            totals.observed.malformed += seen.malformed;
            totals.observed.unsupported += seen.unsupported;
            totals.duplicates.resent += seen.resent;
            totals.duplicates.redelivered += seen.redelivered;
            totals.reordered += seen.reordered;
        }
        for (lane, taken) in &self.taken {
            let of_lane = |set: &BTreeSet<(Lane, u64)>| {
                set.range((*lane, 0)..=(*lane, u64::MAX)).count() as u64
            };
            let stored = taken - of_lane(&self.swallowed);
            totals.seen += stored;
            totals.lanes += 1;
            if lane.stream == Stream::Orders {
                totals.seen += stored - of_lane(&self.skipped);
                totals.lanes += 1;
            }
        }
        totals.lost.store = self.swallowed.len() as Count;
        totals.lost.consume = self.skipped.len() as Count;
        totals.recovered = self.late;
        totals.producers =
            self.taken.keys().map(|lane| lane.producer).collect::<BTreeSet<_>>().len() as u64;
        totals.open_gaps = self.ranges().len() as u64;
        totals
    }

    /// Every lost number, as ranges.
    pub(super) fn ranges(&self) -> BTreeSet<LostRange> {
        let mut ranges = BTreeSet::new();
        let views =
            [("log", Stage::Store, &self.swallowed), (GROUP, Stage::Consume, &self.skipped)];
        for (view, stage, numbers) in views {
            let mut open: Option<(Lane, u64, u64)> = None;
            for &(lane, number) in numbers {
                open = match open {
                    Some((same, first, last)) if same == lane && last + 1 == number => {
                        Some((lane, first, number))
                    }
                    other => {
                        ranges.extend(other.map(|range| lost(view, stage, range)));
                        Some((lane, number, number))
                    }
                };
            }
            ranges.extend(open.map(|range| lost(view, stage, range)));
        }
        ranges
    }
}

fn lost(view: &str, stage: Stage, (lane, first, last): (Lane, u64, u64)) -> LostRange {
    LostRange {
        view: view.to_owned(),
        stream: lane.stream.topic().to_owned(),
        partition: lane.partition.to_string(),
        producer: lane.producer.to_owned(),
        epoch: lane.epoch,
        first,
        last,
        stage: Some(stage),
    }
}
