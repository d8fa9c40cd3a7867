//! Readers at work: they begin, read on, and say where the log ends.

use super::broker::{Slot, Transaction};
use super::reader::Reader;
use super::scenario::{World, position, wide};
use crate::line::{LOG, Line, Mark, Why};

impl World {
    pub(super) fn begin_readers(&mut self, step: u64) {
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

    pub(super) fn read(&mut self, step: u64) {
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

    pub(super) fn end(&mut self, index: usize) {
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

pub(super) fn watch(reader: &Reader, start: bool, position: Option<u64>, now: u64) -> Line {
    let Reader { place, committed, ordered, .. } = *reader;
    let at = reader.clock(now);
    Line::Watch { place, start, position, at, committed, handover: false, ordered }
}
