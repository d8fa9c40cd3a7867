//! A message: what it turned out to be, and what it does to its lane.

use super::fate::{Fate, Unsure};
use super::lane::{Base, Copy, Gap, Lane, Repeat};
use super::part::Read;
use super::world::Oracle;
use crate::line::{LOG, LaneKey, Mark, Name, Place, SPAN};

/// What a message turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// No stamp that is judged here.
    NotCounted,
    /// It was not known, or not judged, to be missing.
    Seen,
    /// Missing, and came before it was judged.
    Reordered,
    /// It had been judged lost.
    Recovered,
    /// Seen before.
    Repeated(Repeat),
    /// The checker's own second reading.
    Reread,
}

impl Oracle {
    pub(super) fn message(
        &mut self,
        place: Place,
        position: Option<u64>,
        at: u64,
        mark: Mark,
        flag: Option<bool>,
    ) -> Sight {
        let time = self.log_time(place, position).unwrap_or(at);
        let part = self.place(place);
        match &mut part.watch {
            None => self.first_watch(place, false, position, at, false, true),
            Some(_) if part.undecided.is_some() => self.decide(place, position),
            Some(watch) if watch.begin.is_none() => {
                watch.begin = position;
                watch.start &= position.is_none_or(|p| p == 0);
            }
            Some(_) => {}
        }
        self.move_clock(place, time);
        let part = self.place(place);
        let observed = &mut part.observed;
        let what = match mark {
            Mark::None => {
                observed.absent += 1;
                None
            }
            Mark::Malformed(_) => {
                observed.malformed += 1;
                None
            }
            Mark::Unsupported(_) => {
                observed.unsupported += 1;
                None
            }
            Mark::Foreign(..) => {
                observed.foreign += 1;
                None
            }
            Mark::Of(key, n) => {
                observed.valid += 1;
                Some((key, n))
            }
        };
        let read = Read { what, at: part.clock };
        let before = position.and_then(|p| part.reads.get(&p).copied());
        if let (Some(before), Some(position)) = (before, position)
            && before.what != what
        {
            if place.view == LOG {
                let clock = part.clock;
                self.cut(place, position, clock);
            } else {
                part.reads.remove(&position);
            }
        }
        if let Some(position) = position {
            self.place(place).read(position, read);
        }
        let sight = match what {
            Some((key, n)) => {
                let again = before.is_some_and(|before| before.what == what);
                self.see(place, key, n, position, flag, again)
            }
            None => Sight::NotCounted,
        };
        self.mark_past(place);
        sight
    }

    fn see(
        &mut self,
        place: Place,
        key: LaneKey,
        n: u64,
        position: Option<u64>,
        flag: Option<bool>,
        again: bool,
    ) -> Sight {
        let clock = self.place(place).clock;
        let (since, broken) = self.last_break(place, key);
        let grace = self.grace;
        let was = self.fate(place.view, key, n);
        let waiting =
            if was == Some(Fate::Seen) { Vec::new() } else { self.groups_waiting(place, key, n) };
        let base = self.base_at(&self.views[&(place.view, place.stream)], key, clock);
        let copy = Copy { partition: place.partition, position };

        let lane = self.eyes(place).lanes.entry(key).or_default();
        lane.observed += 1;
        lane.last_at = lane.last_at.max(Some(clock));
        let shown = lane.shown.entry(place.partition).or_insert(n);
        *shown = n.max(*shown);
        if was == Some(Fate::Seen) {
            let same = lane.copies[&n].contains(&copy) && position.is_some();
            lane.copies.entry(n).or_default().push(copy);
            let repeat = match (flag, position) {
                _ if place.view == LOG && again => return Sight::Reread,
                (Some(true), _) => Repeat::Redelivered,
                (Some(false), _) => Repeat::Resent,
                (None, Some(_)) if same => Repeat::Redelivered,
                (None, Some(_)) => Repeat::Resent,
                (None, None) => Repeat::Undetermined,
            };
            lane.repeat(n, repeat);
            return Sight::Repeated(repeat);
        }

        let highest = lane.highest;
        if highest.is_none_or(|h| n > h) {
            lane.rise(n, base, clock, (since + grace, broken));
        }
        let gap = lane.gaps.remove(&n);
        lane.copies.entry(n).or_default().push(copy);
        // What the ledger announced ahead and now comes in its turn is just seen.
        let below = highest.is_some_and(|h| n < h)
            || gap.as_ref().is_some_and(|gap| !gap.tail && highest == Some(n));
        let in_time = gap.is_some_and(|gap| clock <= gap.grace_from() + grace);
        let sight = match was {
            Some(Fate::Lost(_)) => Sight::Recovered,
            Some(Fate::Missing) if below => Sight::Reordered,
            Some(_) if below && in_time => Sight::Reordered,
            _ => Sight::Seen,
        };
        lane.recovered += u64::from(sight == Sight::Recovered);
        lane.reordered += u64::from(sight == Sight::Reordered);
        for view in waiting {
            let group = Place { view, ..place };
            if let Some(gap) = self.lane_mut(group, key).gaps.get_mut(&n) {
                gap.judged = false;
                gap.past = None;
                gap.restart(gap.opened.max(clock));
            }
            self.mark_past(group);
        }
        self.explain(place, key);
        sight
    }

    /// When the lane's partition began to be watched, and why what was before is unknown; lane `*`:
    /// the last one of them that joined or was paused.
    fn last_break(&self, place: Place, key: LaneKey) -> (u64, Unsure) {
        let eyes = &self.views[&(place.view, place.stream)];
        let watches = eyes.parts_of(key).filter_map(|part| part.watch.as_ref());
        watches
            .filter(|w| key.label != SPAN || !w.start || w.again)
            .map(|w| (w.since, if w.again { Unsure::Paused } else { Unsure::Joined }))
            .max()
            .unwrap_or((0, Unsure::Joined))
    }

    /// Groups in whose view the number waits for what the log has just shown.
    fn groups_waiting(&self, place: Place, key: LaneKey, n: u64) -> Vec<Name> {
        let groups = self.views.keys().filter(|(_, stream)| *stream == place.stream);
        groups
            .map(|&(view, _)| view)
            .filter(|&view| place.view == LOG && view != LOG)
            .filter(|&view| {
                matches!(self.fate(view, key, n), Some(Fate::Missing | Fate::LostInLog))
            })
            .collect()
    }
}

impl Lane {
    /// A number above all observed: gaps open below it.
    fn rise(&mut self, n: u64, base: Base, clock: u64, first_grace: (u64, Unsure)) {
        let first_sight = self.highest.is_none();
        let mut unsure = self.blind;
        if first_sight {
            self.base = Some(base);
            self.first = if base == Base::Zero { 0 } else { n };
            let joined = match base {
                Base::Zero => None,
                Base::Joined => Some(Unsure::Joined),
                Base::Paused => Some(Unsure::Paused),
            };
            // A lane that is expected from 0 is expected whole, unless a pause lies between.
            unsure = joined.or(unsure);
            if joined.is_some() {
                self.tender = self.tender.max(Some(first_grace));
            }
        }
        // Now there is footing: what the ledger says above it can be judged.
        let whole = first_sight && base == Base::Zero && self.blind.is_none();
        let expected_from = if whole { 0 } else { n + 1 };
        for (_, gap) in self.gaps.range_mut(expected_from..) {
            if gap.unsure.take().is_some() {
                gap.restart(clock);
            }
        }
        let tender = self.tender.filter(|&(until, _)| clock <= until).map(|(_, unsure)| unsure);
        for m in self.highest.map_or(0, |h| h + 1)..n {
            let gap = self.gaps.entry(m).or_insert_with(|| Gap::new(clock, false));
            gap.tail = false;
            if gap.judged {
                continue;
            }
            if gap.unsure.is_none() {
                gap.restart(clock);
                gap.unsure = unsure.or(tender);
            } else if first_sight && base != Base::Zero && unsure.is_some() {
                gap.unsure = unsure;
            }
        }
        self.blind = None;
        self.highest = Some(n);
    }
}
