//! One seed, one scenario: who does what next is drawn step by step.

use std::collections::{BTreeMap, BTreeSet};

use super::broker::{Broker, Log, Slot, Transaction};
use super::knobs::Knobs;
use super::producer::{Flight, Ledger};
use super::reader::Reader;
use crate::line::{Entry, LOG, LaneKey, Line, Mark, Name, Place, SPAN, Why};
use crate::rng::Rng;

const STREAM: Name = "s";
const PARTITIONS: [Name; 3] = ["0", "1", "2"];
const PRODUCERS: [Name; 3] = ["a", "b", "c"];
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
    let mut rng = Rng::new(seed);
    let mut knobs = Knobs::draw(&mut rng);
    if rng.chance(10) {
        knobs = knobs.without_faults();
    }
    generate_with(rng, knobs)
}

fn generate_with(rng: Rng, knobs: Knobs) -> Scenario {
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

    // --- producers -------------------------------------------------------------------------

    fn take(&mut self) {
        let who = self.rng.index(self.knobs.producers);
        let partition = self.rng.index(self.knobs.partitions);
        if self.rng.chance(self.knobs.alien) {
            self.alien(partition);
            return;
        }
        let lane = self.lane(who, partition);
        let silent = self.silent[who];
        let ledger = self.ledgers.entry(lane).or_insert_with(|| Ledger::new(lane, silent));
        let most = if self.knobs.clash > 0 { 6 } else { 3 };
        for _ in 0..self.rng.between(1, most) {
            let seq = ledger.take();
            self.injected.taken.insert(lane, seq + 1);
            if self.rng.chance(self.knobs.transaction) {
                self.broker.transactions.insert((lane, seq), Transaction::Open);
            }
            if self.rng.chance(self.knobs.dropped) {
                drop_it(&mut self.rng, &mut self.injected, ledger, lane, seq);
            } else {
                self.flights.push(Flight { lane, seq, partition });
                if self.rng.chance(self.knobs.clash) {
                    self.injected.resent += 1;
                    self.flights.push(Flight { lane, seq, partition });
                }
            }
        }
        if self.rng.chance(self.knobs.slow_answer / 2) {
            self.write_ledger_of(lane);
            self.deliver_ledger();
        }
    }

    /// The lane in which a producer counts what it sends to a partition.
    pub(super) fn lane(&self, who: usize, partition: usize) -> LaneKey {
        let label = if self.spans[who] { SPAN } else { PARTITIONS[partition] };
        LaneKey { stream: STREAM, label, producer: PRODUCERS[who], epoch: self.epochs[who] }
    }

    fn alien(&mut self, partition: usize) {
        let lane = |stream, label| LaneKey { stream, label, producer: "z", epoch: 7 };
        let elsewhere = if partition == 0 { "1" } else { "0" };
        let mark = match self.rng.below(5) {
            0 => Mark::None,
            1 => Mark::Malformed("1;a;03;1b0ecf0b;0;0"),
            2 => Mark::Unsupported("2;anything"),
            3 => Mark::Foreign(lane("t", PARTITIONS[partition]), 4),
            _ => Mark::Foreign(lane(STREAM, elsewhere), 4),
        };
        self.broker.logs[partition].slots.push(Slot::Held(mark));
    }

    fn send(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let overtakes = self.rng.chance(self.knobs.overtake);
        let index = if overtakes { self.rng.index(self.flights.len()) } else { 0 };
        self.send_at(index);
    }

    pub(super) fn send_at(&mut self, index: usize) {
        let Flight { lane, seq, partition } = self.flights.remove(index);
        let slots = &mut self.broker.logs[partition].slots;
        slots.push(Slot::Held(Mark::Of(lane, seq)));
        self.injected.stored.insert((lane, seq));
        if self.rng.chance(self.knobs.resent) {
            self.injected.resent += 1;
            if self.rng.chance(50) {
                slots.push(Slot::Held(Mark::Of(lane, seq)));
            } else {
                self.flights.push(Flight { lane, seq, partition });
            }
        }
        let open = self.broker.transactions.contains_key(&(lane, seq));
        if open {
            return;
        }
        self.answers.push((lane, seq));
        if !self.rng.chance(self.knobs.slow_answer) {
            self.answer();
        }
    }

    /// All answers that are on their way arrive.
    fn answer(&mut self) {
        for (lane, seq) in std::mem::take(&mut self.answers) {
            let Some(ledger) = self.ledgers.get_mut(&lane) else { continue };
            ledger.entry.pending.remove(&seq);
            if self.rng.chance(self.knobs.dropped / 2) {
                // It was written, but the answer was lost.
                ledger.entry.unanswered.insert(seq);
            }
        }
    }

    fn settle_transactions(&mut self) {
        for (&(lane, seq), state) in &mut self.broker.transactions {
            let on_its_way = self.flights.iter().any(|f| f.lane == lane && f.seq == seq);
            if *state != Transaction::Open || on_its_way {
                continue;
            }
            let Some(ledger) = self.ledgers.get_mut(&lane) else { continue };
            let said =
                ledger.entry.unanswered.contains(&seq) || ledger.entry.refused.contains(&seq);
            ledger.entry.pending.remove(&seq);
            *state = if self.rng.chance(30) && !said {
                ledger.entry.aborted.insert(seq);
                Transaction::Aborted
            } else {
                Transaction::Committed
            };
        }
    }

    fn write_ledger(&mut self) {
        let lanes: Vec<LaneKey> = self.ledgers.keys().copied().collect();
        if !lanes.is_empty() {
            let lane = self.rng.pick(&lanes);
            self.write_ledger_of(lane);
            if !self.rng.chance(self.knobs.ledger_late) {
                self.deliver_ledger();
            }
        }
    }

    fn write_ledger_of(&mut self, lane: LaneKey) {
        let forgets = self.rng.chance(self.knobs.ledger_from);
        let Some(ledger) = self.ledgers.get_mut(&lane) else { return };
        let from = if forgets { self.rng.below(ledger.entry.next + 1) } else { 0 };
        let record = ledger.record(from, self.now);
        if !ledger.silent && !self.rng.chance(self.knobs.ledger_lost) {
            self.post.push(record);
        }
    }

    fn deliver_ledger(&mut self) {
        if self.post.is_empty() {
            return;
        }
        let late = self.rng.chance(self.knobs.ledger_late);
        let index = if late { self.rng.index(self.post.len()) } else { 0 };
        let entry = self.post.remove(index);
        if late && self.rng.chance(20) {
            self.post.push(entry.clone());
        }
        self.injected.told.insert(entry.lane);
        self.lines.push(Line::Ledger(entry));
    }

    // --- readers ---------------------------------------------------------------------------

    fn begin_readers(&mut self, step: u64) {
        for reader in self.readers.iter_mut().filter(|r| !r.watching && r.joins_at <= step) {
            let log = &self.broker.logs[reader.partition];
            let start = self.rng.chance(60) || reader.joins_at == 0;
            reader.watching = true;
            reader.generation = log.generation;
            reader.next = if start { log.begin } else { log.slots.len() };
            reader.reached = reader.next;
            if !self.rng.chance(self.knobs.no_watch) {
                let position = position(&self.knobs, reader.next);
                self.lines.push(watch(reader, start, position, self.now));
            }
        }
    }

    fn read(&mut self, step: u64) {
        let index = self.rng.index(self.readers.len());
        if !self.readers[index].watching || self.readers[index].stalled_until > step {
            return;
        }
        if self.rng.chance(self.knobs.stale_end / 4) {
            self.end(index);
        }
        for _ in 0..self.rng.between(1, 4) {
            if !self.read_one(index) {
                if self.rng.chance(60) {
                    self.end(index);
                }
                break;
            }
        }
    }

    /// Reads the next record; false at the end.
    pub(super) fn read_one(&mut self, index: usize) -> bool {
        let knobs = &self.knobs;
        let reader = &mut self.readers[index];
        let log = &self.broker.logs[reader.partition];
        let is_log = reader.place.view == LOG;
        if reader.next < log.begin {
            if knobs.positions && self.rng.chance(90) {
                let (first, last) = (wide(reader.next), wide(log.begin) - 1);
                let (place, why, at) = (reader.place, Why::Retention, reader.clock(self.now));
                self.lines.push(Line::Absent { place, first, last, why, at });
            }
            reader.next = log.begin;
        }
        let mut at_offset = reader.next;
        if let Some(&deferred) = reader.deferred.first()
            && (self.rng.chance(40) || reader.next >= log.slots.len())
        {
            at_offset = deferred;
            reader.deferred.remove(0);
        } else if reader.next >= log.slots.len() {
            return false;
        } else {
            if reader.committed
                && let Slot::Held(mark) = log.slots[reader.next]
                && self.broker.transaction(mark) == Some(Transaction::Open)
            {
                return false;
            }
            reader.next += 1;
            if !reader.ordered && self.rng.chance(40) {
                reader.deferred.push(at_offset);
                return true;
            }
        }
        reader.reached = reader.reached.max(reader.next);
        let Some(&slot) = log.slots.get(at_offset) else { return true };
        let mut at = reader.clock(self.now);
        if self.rng.chance(knobs.jitter) {
            at -= self.rng.below(9);
        }
        let mark = match slot {
            Slot::Held(mark) => mark,
            Slot::Gone(why) => {
                if let Some(why) = why
                    && knobs.positions
                    && self.rng.chance(80)
                {
                    let place = reader.place;
                    let first = wide(at_offset);
                    self.lines.push(Line::Absent { place, first, last: first, why, at });
                }
                return true;
            }
        };
        if reader.committed && self.broker.transaction(mark) == Some(Transaction::Aborted) {
            return true;
        }
        if !is_log && self.rng.chance(knobs.skipped) {
            return true;
        }
        if let Mark::Of(lane, seq) = mark {
            self.injected.handed.insert((reader.place.view, lane, seq));
        }
        let offset = position(knobs, at_offset);
        let says = !knobs.positions && self.rng.chance(50) && !is_log;
        let place = reader.place;
        let message =
            |redelivered| Line::Message { place, position: offset, at, mark, redelivered };
        self.lines.push(message(says.then_some(false)));
        if !is_log && self.rng.chance(knobs.redelivered) {
            if matches!(mark, Mark::Of(..)) {
                *self.injected.redelivered.entry(reader.place.view).or_default() += 1;
            }
            self.lines.push(message(says.then_some(true)));
        }
        if is_log && knobs.positions && self.rng.chance(knobs.reread) {
            self.lines.push(message(None));
        }
        true
    }

    fn end(&mut self, index: usize) {
        let reader = &mut self.readers[index];
        let len = self.broker.logs[reader.partition].slots.len();
        if !reader.watching {
            return;
        }
        if reader.next >= len && reader.deferred.is_empty() {
            reader.caught_up = Some((self.now, len));
        }
        // The broker may have been asked a while ago.
        let stale = self.rng.chance(self.knobs.stale_end);
        let Some((at, len)) = reader.caught_up.filter(|&(at, _)| stale || at == self.now) else {
            return;
        };
        let position = if self.rng.chance(70) { position(&self.knobs, len) } else { None };
        self.lines.push(Line::End { place: reader.place, position, at: reader.clock(at) });
    }
}

/// A number that never reaches the log, and what its producer says of it.
fn drop_it(rng: &mut Rng, injected: &mut Injected, ledger: &mut Ledger, lane: LaneKey, seq: u64) {
    let entry = &mut ledger.entry;
    match rng.below(4) {
        0 => {
            entry.pending.remove(&seq);
            entry.refused.insert(seq);
            injected.refused.insert((lane, seq));
        }
        1 => {
            entry.pending.remove(&seq);
            entry.unanswered.insert(seq);
            injected.lost_on_the_way.insert((lane, seq));
        }
        2 => {
            entry.pending.remove(&seq);
            injected.lost_by_broker.insert((lane, seq));
        }
        // It stays pending: no answer ever comes.
        _ => {
            injected.lost_on_the_way.insert((lane, seq));
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

pub(super) fn watch(reader: &Reader, start: bool, position: Option<u64>, now: u64) -> Line {
    let Reader { place, committed, ordered, .. } = *reader;
    let at = reader.clock(now);
    Line::Watch { place, start, position, at, committed, handover: false, ordered }
}

pub(super) fn position(knobs: &Knobs, offset: usize) -> Option<u64> {
    knobs.positions.then(|| wide(offset))
}

pub(super) fn wide(offset: usize) -> u64 {
    u64::try_from(offset).unwrap_or(u64::MAX)
}
