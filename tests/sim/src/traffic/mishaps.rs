//! What goes wrong besides: restarts, leaps, deleted and rewritten logs.

use super::broker::Slot;
use super::producer::{Flight, Ledger};
use super::reader::Reader;
use super::reading::watch;
use super::scenario::{World, epoch, position, wide};
use crate::line::{LOG, Line, Mark, Why};

impl World {
    pub(super) fn mishaps(&mut self, step: u64) {
        if self.rng.chance(self.knobs.restart) {
            let who = self.rng.index(self.knobs.producers);
            let before = self.epochs[who];
            self.epochs[who] = epoch(&mut self.rng, &self.knobs, self.now).max(before + 1);
        }
        let index = self.rng.index(self.readers.len());
        if self.readers[index].watching {
            self.reader_mishaps(index, step);
        }
        if self.knobs.positions && self.rng.chance(self.knobs.halved) {
            self.halve(index);
        }
        if self.rng.chance(self.knobs.pending) {
            self.overtake_pending(index);
        }
        let partition = self.rng.index(self.knobs.partitions);
        let log = &mut self.broker.logs[partition];
        let held = log.slots.len() - log.begin;
        if self.knobs.positions && held > 0 {
            if self.rng.chance(self.knobs.compacted) {
                let at = log.begin + self.rng.index(held);
                let whys = [Why::Compacted, Why::Expired, Why::Aborted];
                let why = if self.rng.chance(90) { Some(self.rng.pick(&whys)) } else { None };
                if let Slot::Held(_) = log.slots[at] {
                    log.slots[at] = Slot::Gone(why);
                }
            }
            if self.rng.chance(self.knobs.retention) {
                log.begin += self.rng.index(held) + 1;
            }
            if self.rng.chance(self.knobs.cut) {
                let position = log.begin + self.rng.index(log.slots.len() - log.begin + 1);
                self.cut(partition, position);
            } else if self.rng.chance(self.knobs.anew) {
                self.anew(partition);
            }
        }
    }

    fn reader_mishaps(&mut self, index: usize, step: u64) {
        let len = self.broker.logs[self.readers[index].partition].slots.len();
        let begin = self.broker.logs[self.readers[index].partition].begin;
        let knobs = &self.knobs;
        let reader = &mut self.readers[index];
        if self.rng.chance(knobs.stall) {
            reader.stalled_until = step + self.rng.between(1, 30);
        }
        let says_where = self.rng.chance(70);
        if self.rng.chance(knobs.resume) && reader.deferred.is_empty() {
            let back = if self.rng.chance(50) { 0 } else { self.rng.index(4) };
            reader.next = reader.next.saturating_sub(back).max(begin.min(reader.next));
            let position = position(knobs, reader.next).filter(|_| says_where);
            self.lines.push(watch(reader, false, position, self.now));
        } else if self.rng.chance(knobs.pause) {
            let jump = self.rng.index(len.saturating_sub(reader.next) + 1);
            if jump > 1 && knobs.positions && self.rng.chance(50) {
                // One more record, which is gone; what it leaps over is not.
                let (place, at) = (reader.place, reader.clock(self.now));
                let (first, last, why) = (wide(reader.next), wide(reader.next), Why::Compacted);
                self.broker.logs[reader.partition].slots[reader.next] = Slot::Gone(Some(why));
                self.lines.push(Line::Absent { place, first, last, why, at });
            }
            reader.next += jump;
            reader.deferred.clear();
            let position = position(knobs, reader.next).filter(|_| says_where);
            let mut line = watch(reader, false, position, self.now);
            if let Line::Watch { handover, .. } = &mut line {
                *handover = reader.place.view != LOG && self.rng.chance(30);
            }
            self.lines.push(line);
        }
    }

    /// What the log's reader comes to next is stored again, and one of the two is cut away: the
    /// second, or the one that was read first, for the reader leapt over the other and came back.
    fn halve(&mut self, index: usize) {
        let reader = &self.readers[index];
        if !reader.watching || reader.place.view != LOG {
            return;
        }
        let partition = reader.partition;
        let log = &mut self.broker.logs[partition];
        let from = reader.next.max(log.begin);
        let stamped = |&at: &usize| matches!(log.slots[at], Slot::Held(Mark::Of(..)));
        let Some(first) = (from..log.slots.len()).find(stamped) else { return };
        let second = log.slots.len();
        log.slots.push(log.slots[first]);
        self.injected.resent += 1;
        let leaps = self.rng.chance(70);
        if leaps {
            self.leap(index, first + 1);
        }
        while self.readers[index].next <= second {
            self.read_one(index);
        }
        if leaps {
            self.leap(index, first);
            self.read_one(index);
        }
        let at_offset = first + 1 + self.rng.index(second - first);
        self.cut(partition, at_offset);
    }

    /// A ledger that is read by a faster clock calls a number pending; the log then shows the two
    /// numbers above it, more than the grace apart.
    fn overtake_pending(&mut self, index: usize) {
        let who = self.rng.index(self.knobs.producers);
        let Reader { place, partition, behind, watching, .. } = self.readers[index];
        let ahead = |r: &Reader| r.watching && r.place.view == LOG && r.behind < behind;
        let Some(faster) = self.readers.iter().position(ahead) else { return };
        if !watching || place.view != LOG || self.spans[who] || self.silent[who] {
            return;
        }
        let lane = self.lane(who, partition);
        let ledger = self.ledgers.entry(lane).or_insert_with(|| Ledger::new(lane, false));
        let numbers = [ledger.take(), ledger.take(), ledger.take()];
        self.injected.taken.insert(lane, numbers[2] + 1);
        let record = ledger.record(0, self.now);
        self.broker.logs[self.readers[faster].partition].slots.push(Slot::Held(Mark::None));
        while self.read_one(faster) {}
        self.injected.told.insert(lane);
        self.lines.push(Line::Ledger(record));
        for seq in [numbers[1], numbers[2]] {
            self.flights.insert(0, Flight { lane, seq, partition });
            self.send_at(0);
            while self.read_one(index) {}
            self.now += self.knobs.grace + 1;
        }
        self.flights.push(Flight { lane, seq: numbers[0], partition });
    }

    fn leap(&mut self, index: usize, to: usize) {
        let reader = &mut self.readers[index];
        reader.next = to;
        self.lines.push(watch(reader, false, Some(wide(to)), self.now));
    }

    fn cut(&mut self, partition: usize, at_offset: usize) {
        let log = &mut self.broker.logs[partition];
        log.slots.truncate(at_offset);
        log.generation += 1;
        for reader in self.readers.iter_mut().filter(|r| r.partition == partition && r.watching) {
            let tells = self.rng.chance(60) || reader.place.view != LOG;
            if reader.reached > at_offset && tells {
                let (place, position) = (reader.place, wide(at_offset));
                self.lines.push(Line::Cut { place, position, at: reader.clock(self.now) });
            }
            reader.next = reader.next.min(at_offset);
            reader.caught_up = None;
            reader.deferred.retain(|&p| p < at_offset);
        }
    }

    fn anew(&mut self, partition: usize) {
        let log = &mut self.broker.logs[partition];
        log.slots.clear();
        log.begin = 0;
        log.generation += 1;
        for reader in self.readers.iter_mut().filter(|r| r.partition == partition && r.watching) {
            reader.next = 0;
            reader.reached = 0;
            reader.caught_up = None;
            reader.deferred.clear();
            self.lines.push(watch(reader, true, Some(0), self.now));
        }
    }
}
