//! The tellers: each partition of each view in lines, and what it was shown.

use super::history::{BEGINNING, History, Topic, View};
use super::log::{Log, Slot};
use crate::line::{LOG, Line, Mark, Place};
use crate::rng::Rng;

/// Tells every view's part of every partition that it watches.
pub(super) fn tell(rng: &mut Rng, topic: &Topic, history: &mut History) {
    for view in &topic.views {
        let watched = topic.logs.iter().zip(&view.watches).filter(|(_, watches)| **watches);
        for (log, _) in watched {
            let place = Place { view: view.name, stream: topic.stream, partition: log.partition };
            let now = BEGINNING + rng.below(20);
            let lines = Vec::new();
            let mut teller =
                Teller { rng: &mut *rng, topic, view, place, now, joined: None, lines };
            teller.tell(log, history);
            let end = topic.positions.then(|| wide(log.end()));
            let lines = teller.lines;
            history.tellers.push((place, end, lines));
        }
    }
}

struct Teller<'a> {
    rng: &'a mut Rng,
    topic: &'a Topic,
    view: &'a View,
    place: Place,
    now: u64,
    /// When its first grace after a join is over.
    joined: Option<u64>,
    lines: Vec<Line>,
}

impl Teller<'_> {
    fn tell(&mut self, log: &Log, history: &mut History) {
        let joins = self.topic.joins(self.view, log) && !log.before.is_empty();
        let begin = if joins { self.rng.index(log.before.len()) } else { 0 };
        if joins {
            self.now = self.now.max(log.before[begin].at);
            self.joined = Some(self.now + history.grace);
        }
        self.watch(!joins, Some(begin));
        let Some(cut) = log.cut else {
            self.read(log, begin, &log.before[begin..], history);
            self.end(log.end());
            return;
        };
        // A group may come to the cut before it has read all that is cut away.
        let len = log.before.len();
        let reached = if self.view.name == LOG { len } else { cut + self.rng.index(len - cut + 1) };
        self.read(log, 0, &log.before[..reached], history);
        self.cut(log, cut, reached, history);
        self.read(log, cut, &log.after, history);
        self.end(log.end());
    }

    fn read(&mut self, log: &Log, begin: usize, slots: &[Slot], history: &mut History) {
        let mut handed: Vec<(usize, Slot)> = Vec::new();
        let mut position = begin;
        for (index, slot) in slots.iter().enumerate() {
            position = begin + index;
            self.now = self.now.max(slot.at + self.rng.below(6));
            if slot.is_gone {
                self.hand(&mut handed, history);
                self.absent(log, position);
            } else if !self.skips(slot) {
                handed.push((position, *slot));
            }
            let next = slots.get(index + 1);
            let pauses = next.is_some_and(|next| self.now < next.at);
            if self.view.ordered || pauses && self.rng.chance(30) {
                self.hand(&mut handed, history);
            }
            if pauses && handed.is_empty() && self.rng.chance(15) {
                self.end(position + 1);
            }
            let stands_next = next.is_some_and(|next| !next.is_gone);
            if handed.is_empty() && self.has_read(position) && self.rng.chance(8) {
                self.go_on(position + 1, stands_next && self.view.name == LOG);
            }
        }
        self.hand(&mut handed, history);
        if self.view.name != LOG {
            self.hand_again(position, slots.last(), history);
        }
    }

    /// Whether what was said last is that this position was read.
    fn has_read(&self, position: usize) -> bool {
        match self.lines.last() {
            Some(Line::Message { position: Some(at), .. }) => *at == wide(position),
            Some(Line::End { position: Some(at), .. }) => *at == wide(position) + 1,
            _ => false,
        }
    }

    fn skips(&mut self, slot: &Slot) -> bool {
        if self.view.name == LOG {
            return false;
        }
        let hidden = match slot.committed {
            Some(committed) => !committed,
            None => self.rng.chance(50),
        };
        self.view.committed && hidden || self.rng.chance(12)
    }

    /// Hands over what was read, without an order where none is promised.
    fn hand(&mut self, handed: &mut Vec<(usize, Slot)>, history: &mut History) {
        while !handed.is_empty() {
            let index = if self.view.ordered { 0 } else { self.rng.index(handed.len()) };
            let (position, slot) = handed.remove(index);
            self.message(position, &slot, false);
            self.note(&slot, false, history);
            if self.view.name != LOG {
                if self.rng.chance(8) {
                    self.message(position, &slot, true);
                    self.note(&slot, true, history);
                }
            } else if self.topic.positions && self.rng.chance(6) {
                // Its own second reading.
                self.message(position, &slot, false);
            }
        }
    }

    fn note(&self, slot: &Slot, again: bool, history: &mut History) {
        let joining = self.joined.map(|until| self.now <= until);
        history.note(self.view, self.topic, slot, again, joining);
    }

    /// The last one once more, after others.
    fn hand_again(&mut self, position: usize, slot: Option<&Slot>, history: &mut History) {
        let Some(slot) = slot.filter(|_| self.rng.chance(10)) else { return };
        let was_handed = self.lines.iter().any(|line| {
            matches!(line, Line::Message { position: at, mark, .. }
                if *mark == slot.mark && (!self.topic.positions || *at == Some(wide(position))))
        });
        if was_handed {
            self.message(position, slot, true);
            self.note(slot, true, history);
        }
    }

    fn cut(&mut self, log: &Log, cut: usize, reached: usize, history: &mut History) {
        if self.view.name == LOG {
            for (name, shown) in &mut history.shown {
                if name.0 != LOG {
                    continue;
                }
                let stands = |slot: &&Slot| matches!(slot.mark, Mark::Of(key, _) if key == name.1);
                let cut_away = log.before[cut..].iter().filter(stands);
                let stays: Vec<Mark> = log.before[..cut].iter().map(|slot| slot.mark).collect();
                for slot in cut_away {
                    if let Mark::Of(_, n) = slot.mark
                        && !stays.contains(&slot.mark)
                    {
                        shown.stands.remove(&n);
                    }
                }
            }
        }
        // In the log another record at a position that was read says the same.
        let is_shown = self.view.name == LOG
            && match (log.before.get(cut), log.after.first()) {
                (Some(was), Some(is)) => was.mark != is.mark,
                _ => false,
            };
        let tells = !is_shown || self.rng.chance(60);
        if reached > cut && tells {
            let (place, position, at) = (self.place, wide(cut), self.now);
            self.lines.push(Line::Cut { place, position, at });
        }
    }

    // --- lines -----------------------------------------------------------------------------

    fn message(&mut self, position: usize, slot: &Slot, again: bool) {
        let (place, at, mark) = (self.place, self.now, slot.mark);
        let position = self.topic.positions.then(|| wide(position));
        // Where there are positions, the flag would only say it again.
        let redelivered = (self.view.flags && !self.topic.positions).then_some(again);
        self.lines.push(Line::Message { place, position, at, mark, redelivered });
    }

    fn absent(&mut self, log: &Log, position: usize) {
        let Some(why) = log.why.filter(|_| self.view.name == LOG) else { return };
        let (place, first, at) = (self.place, wide(position), self.now);
        self.lines.push(Line::Absent { place, first, last: first, why, at });
    }

    fn end(&mut self, len: usize) {
        let says = self.topic.positions;
        let (place, at) = (self.place, self.now);
        self.lines.push(Line::End { place, position: says.then(|| wide(len)), at });
    }

    fn go_on(&mut self, next: usize, may_be_unsaid: bool) {
        let says = !may_be_unsaid || self.rng.chance(50);
        self.watch(false, says.then_some(next));
    }

    fn watch(&mut self, start: bool, position: Option<usize>) {
        let View { committed, ordered, .. } = *self.view;
        let position = position.filter(|_| self.topic.positions).map(wide);
        let (place, at) = (self.place, self.now);
        self.lines.push(Line::Watch {
            place,
            start,
            position,
            at,
            committed,
            handover: false,
            ordered,
        });
    }
}

fn wide(offset: usize) -> u64 {
    u64::try_from(offset).unwrap_or(u64::MAX)
}
