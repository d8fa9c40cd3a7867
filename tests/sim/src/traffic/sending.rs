//! Producers at work: numbers are taken and sent, answers come, ledgers are written and posted.

use super::broker::{Slot, Transaction};
use super::producer::{Flight, Ledger};
use super::scenario::{Injected, PARTITIONS, PRODUCERS, STREAM, World};
use crate::line::{LaneKey, Line, Mark, SPAN};
use crate::rng::Rng;

impl World {
    pub(super) fn take(&mut self) {
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

    pub(super) fn alien(&mut self, partition: usize) {
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

    pub(super) fn send(&mut self) {
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
    pub(super) fn answer(&mut self) {
        for (lane, seq) in std::mem::take(&mut self.answers) {
            let Some(ledger) = self.ledgers.get_mut(&lane) else { continue };
            ledger.entry.pending.remove(&seq);
            if self.rng.chance(self.knobs.dropped / 2) {
                // It was written, but the answer was lost.
                ledger.entry.unanswered.insert(seq);
            }
        }
    }

    pub(super) fn settle_transactions(&mut self) {
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

    pub(super) fn write_ledger(&mut self) {
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

    pub(super) fn deliver_ledger(&mut self) {
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
