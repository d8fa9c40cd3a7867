//! One partition as the broker stored it.

use crate::line::{LaneKey, Mark, Name, Why};
use crate::rng::Rng;

use super::history::{BEGINNING, Course};

/// A record of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) mark: Mark,
    /// When it was stored.
    pub(super) at: u64,
    /// A group that reads committed messages only is not handed it, or maybe not.
    pub(super) committed: Option<bool>,
    /// It had gone before the log was read.
    pub(super) is_gone: bool,
}

/// One partition's records. Where it was cut back, `after` stands from the cut on.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) partition: Name,
    pub(super) before: Vec<Slot>,
    pub(super) cut: Option<usize>,
    pub(super) after: Vec<Slot>,
    /// Why records have gone.
    pub(super) why: Option<Why>,
}

impl Log {
    /// Stores what was sent: lanes mixed, some of it late, some of it twice, with what is not ours
    /// in between.
    pub(super) fn draw(
        rng: &mut Rng,
        partition: Name,
        sent: Vec<(LaneKey, u64, Course)>,
        why: Option<Why>,
        positions: bool,
    ) -> Self {
        let mut slots: Vec<Slot> = mixed(rng, sent)
            .into_iter()
            .map(|(key, n, course)| Slot {
                mark: Mark::Of(key, n),
                at: 0,
                committed: course.is_committed(),
                is_gone: false,
            })
            .collect();
        let noise = rng.chance(30);
        if why.is_none() && rng.chance(40) {
            overtake(rng, &mut slots);
        }
        let cut = (positions && why.is_none() && slots.len() > 2 && rng.chance(20))
            .then(|| rng.index(slots.len()));
        let mut after = cut.map_or_else(Vec::new, |_| slots.split_off(rng.index(slots.len()) + 1));
        if why.is_none() && rng.chance(40) {
            repeat(rng, &mut slots);
            repeat(rng, &mut after);
        }
        if noise {
            let mark = rng.pick(&[Mark::None, Mark::Malformed("1;a;03;1b0ecf0b;0;0")]);
            let at = rng.index(slots.len() + 1);
            slots.insert(at, Slot { mark, at: 0, committed: Some(true), is_gone: false });
        }
        let mut log =
            Self { partition, cut: cut.map(|at| at.min(slots.len())), before: slots, after, why };
        let mut now = BEGINNING;
        let pace = rng.pick(&[1, 4, 12]);
        for slot in log.before.iter_mut().chain(&mut log.after) {
            now += rng.below(pace + 1);
            if rng.chance(8) {
                now += 80;
            }
            slot.at = now;
        }
        log.lose(rng);
        log
    }

    fn lose(&mut self, rng: &mut Rng) {
        let Some(why) = self.why else { return };
        let len = self.before.len();
        // Retention takes the oldest, everything else picks.
        let oldest = rng.index(len + 1);
        for (position, slot) in self.before.iter_mut().enumerate() {
            slot.is_gone = if why == Why::Retention { position < oldest } else { rng.chance(30) };
        }
    }

    /// The numbers that had gone before the log was read.
    pub(super) fn gone(&self) -> impl Iterator<Item = ((LaneKey, u64), Why)> {
        let gone = self.before.iter().filter(|slot| slot.is_gone);
        gone.filter_map(|slot| match slot.mark {
            Mark::Of(key, n) => self.why.map(|why| ((key, n), why)),
            Mark::None | Mark::Malformed(_) | Mark::Unsupported(_) | Mark::Foreign(..) => None,
        })
    }

    /// One above the last position.
    pub(super) fn end(&self) -> usize {
        self.cut.map_or(self.before.len(), |cut| cut + self.after.len())
    }
}

/// Lanes in turns, each in its own order.
fn mixed(rng: &mut Rng, sent: Vec<(LaneKey, u64, Course)>) -> Vec<(LaneKey, u64, Course)> {
    let mut lanes: Vec<Vec<(LaneKey, u64, Course)>> = Vec::new();
    for one in sent {
        match lanes.iter_mut().find(|lane| lane[0].0 == one.0) {
            Some(lane) => lane.push(one),
            None => lanes.push(vec![one]),
        }
    }
    let mut mixed = Vec::new();
    while !lanes.is_empty() {
        let index = rng.index(lanes.len());
        mixed.push(lanes[index].remove(0));
        lanes.retain(|lane| !lane.is_empty());
    }
    mixed
}

fn overtake(rng: &mut Rng, slots: &mut [Slot]) {
    for _ in 0..slots.len() / 3 {
        let late = rng.index(slots.len());
        let by = rng.index(4);
        let until = (late + by + 1).min(slots.len());
        slots[late..until].rotate_left(1);
    }
}

fn repeat(rng: &mut Rng, slots: &mut Vec<Slot>) {
    for _ in 0..slots.len() / 4 {
        let first = rng.index(slots.len());
        let second = first + 1 + rng.index(slots.len() - first);
        slots.insert(second, slots[first]);
    }
}
