//! One seed, one scenario: who does what next is drawn step by step.

use std::collections::{BTreeMap, BTreeSet};

use super::broker::{Broker, Log};
use super::knobs::Knobs;
use super::producer::{Flight, Ledger};
use super::reader::Reader;
use crate::line::{Entry, LOG, LaneKey, Line, Name, Place};
use crate::rng::Rng;

pub(super) const STREAM: Name = "s";
pub(super) const PARTITIONS: [Name; 3] = ["0", "1", "2"];
pub(super) const PRODUCERS: [Name; 3] = ["a", "b", "c"];
const BEGINNING: u64 = 1_000;

/// What was done to the traffic, noted where it was done.
#[derive(Clone, Debug, Default)]
pub struct Injected {
    /// All numbers that were taken.
    pub taken: BTreeMap<LaneKey, u64>,
    /// Written to the log, once or more.
    pub stored: BTreeSet<(LaneKey, u64)>,
    /// Acknowledged and not written.
    pub lost_by_broker: BTreeSet<(LaneKey, u64)>,
    /// Given up without an answer and not written.
    pub lost_on_the_way: BTreeSet<(LaneKey, u64)>,
    /// Refused.
    pub refused: BTreeSet<(LaneKey, u64)>,
    /// Written again.
    pub resent: u64,
    /// Handed to a view, once or more.
    pub handed: BTreeSet<(Name, LaneKey, u64)>,
    /// Handed to a group again.
    pub redelivered: BTreeMap<Name, u64>,
    /// Lanes of which a ledger record arrived.
    pub told: BTreeSet<LaneKey>,
    /// Everything was sent and read to the end, and every ledger's last word arrived.
    pub settled: bool,
}

/// A list of lines and what went into it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The knobs that it was drawn with.
    pub knobs: Knobs,
    /// What the checker is handed.
    pub lines: Vec<Line>,
    /// What was done to the traffic.
    pub injected: Injected,
}

/// Draws the scenario of a seed.
#[must_use]
pub fn generate(seed: u64) -> Scenario {
    generate_with(Rng::new(seed))
}

/// Draws a scenario.
#[must_use]
pub fn generate_with(mut rng: Rng) -> Scenario {
    let mut knobs = Knobs::draw(&mut rng);
    if rng.chance(10) {
        knobs = knobs.without_faults();
    }
    let mut world = World::new(rng, knobs);
    for step in 0..world.knobs.steps {
        world.step(step);
    }
    world.drain();
    Scenario { knobs: world.knobs, lines: world.lines, injected: world.injected }
}

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) knobs: Knobs,
    pub(super) now: u64,
    pub(super) broker: Broker,
    pub(super) epochs: Vec<u64>,
    pub(super) spans: Vec<bool>,
    pub(super) ledgers: BTreeMap<LaneKey, Ledger>,
    pub(super) silent: Vec<bool>,
    pub(super) flights: Vec<Flight>,
    /// Stored, and the answer is on its way.
    pub(super) answers: Vec<(LaneKey, u64)>,
    pub(super) post: Vec<Entry>,
    pub(super) readers: Vec<Reader>,
    pub(super) lines: Vec<Line>,
    pub(super) injected: Injected,
}

impl World {
    fn new(mut rng: Rng, knobs: Knobs) -> Self {
        let producers = 0..knobs.producers;
        let epochs = producers.clone().map(|_| epoch(&mut rng, &knobs, BEGINNING)).collect();
        let spans = producers.clone().map(|_| rng.chance(knobs.span)).collect();
        let silent = producers.map(|_| rng.chance(knobs.silent)).collect();
        let behind: Vec<u64> = (0..knobs.partitions)
            .map(|_| if rng.chance(knobs.behind) { rng.below(knobs.skew + 1) } else { 0 })
            .collect();
        let mut readers = Vec::new();
        for &view in &knobs.views {
            let joins_at =
                if rng.chance(knobs.joins_late) { rng.between(1, knobs.steps) } else { 0 };
            let committed = view != LOG && rng.chance(knobs.committed);
            let ordered = view == LOG || !rng.chance(knobs.unordered);
            for (partition, name) in PARTITIONS.into_iter().enumerate().take(knobs.partitions) {
                readers.push(Reader {
                    place: Place { view, stream: STREAM, partition: name },
                    partition,
                    behind: behind[partition],
                    next: 0,
                    reached: 0,
                    deferred: Vec::new(),
                    joins_at,
                    watching: false,
                    committed,
                    ordered,
                    stalled_until: 0,
                    caught_up: None,
                    generation: 0,
                });
            }
        }
        let logs = vec![Log::default(); knobs.partitions];
        let broker = Broker { logs, transactions: BTreeMap::new() };
        Self {
            rng,
            knobs,
            now: BEGINNING,
            broker,
            epochs,
            spans,
            ledgers: BTreeMap::new(),
            silent,
            flights: Vec::new(),
            answers: Vec::new(),
            post: Vec::new(),
            readers,
            lines: Vec::new(),
            injected: Injected::default(),
        }
    }

    fn step(&mut self, step: u64) {
        self.now += self.rng.below(self.knobs.pace + 1);
        if self.rng.chance(4) {
            self.now += self.knobs.grace + 1;
        }
        self.begin_readers(step);
        match self.rng.below(100) {
            0..22 => self.take(),
            22..48 => self.send(),
            48..84 => self.read(step),
            84..90 => self.write_ledger(),
            90..94 => self.deliver_ledger(),
            _ => self.settle_transactions(),
        }
        self.mishaps(step);
    }

    /// All that is on its way arrives, and everybody reads on.
    fn drain(&mut self) {
        let steps = self.knobs.steps;
        let all_arrives = self.rng.chance(70);
        if all_arrives {
            while !self.flights.is_empty() {
                self.send();
            }
            self.settle_transactions();
            self.begin_readers(steps);
            for index in 0..self.readers.len() {
                while self.read_one(index) {}
            }
        }
        if self.rng.chance(70) {
            self.injected.settled = all_arrives;
            self.answer();
            for ledger in self.ledgers.values_mut().filter(|ledger| !ledger.silent) {
                ledger.entry.closed = true;
                self.post.push(ledger.record(0, self.now));
            }
            while !self.post.is_empty() {
                self.deliver_ledger();
            }
        }
        for round in 0..self.rng.below(3) {
            self.now += if round == 0 { 1 } else { self.knobs.grace + 1 };
            for index in 0..self.readers.len() {
                self.end(index);
            }
        }
    }
}

pub(super) fn epoch(rng: &mut Rng, knobs: &Knobs, now: u64) -> u64 {
    if rng.chance(knobs.odd_epoch) {
        rng.pick(&[0, 1, now * 1_000, now.saturating_sub(knobs.skew), now + knobs.skew + 1])
    } else {
        now
    }
}

pub(super) fn position(knobs: &Knobs, offset: usize) -> Option<u64> {
    knobs.positions.then(|| wide(offset))
}

pub(super) fn wide(offset: usize) -> u64 {
    u64::try_from(offset).unwrap_or(u64::MAX)
}
