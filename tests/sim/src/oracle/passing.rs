//! A view moves on: its clock, its ends, and what has had its time then.

use std::collections::BTreeSet;

use super::fate::Fate;
use super::lane::{Base, Gap};
use super::world::Oracle;
use crate::line::{LOG, LaneKey, Place, SPAN};

impl Oracle {
    pub(super) fn end(&mut self, place: Place, position: Option<u64>, at: u64) {
        if !self.place(place).is_watched() {
            self.first_watch(place, false, position, at, false, true);
        }
        let part = self.place(place);
        if let (Some(undecided), Some(position)) = (part.undecided, position) {
            part.undecided = None;
            if part.goes_on_at(position) {
                self.go_on(place, None, undecided.at);
            } else {
                self.pause(place, false, None, undecided.at);
            }
        } else {
            self.decide(place, None);
        }
        self.move_clock(place, at);
        let part = self.place(place);
        part.end_at = part.end_at.max(Some(at));
        if let Some(position) = position {
            part.read_to(position);
        }
        self.mark_past(place);
        self.judge(place);
        self.lag(place, Some(at));
        self.explain_all(place);
    }

    /// A group has read to the end: what the log showed above its highest number was not handed
    /// over. `None`: the recording is whole.
    pub(super) fn lag(&mut self, place: Place, end: Option<u64>) {
        if place.view == LOG {
            return;
        }
        let Some(log) = self.views.get(&(LOG, place.stream)) else { return };
        let eyes = &self.views[&(place.view, place.stream)];
        let part = &eyes.parts[&place.partition];
        let mut late: Vec<(LaneKey, u64)> = Vec::new();
        for (&key, shown) in &log.lanes {
            if key.label != place.partition && key.label != SPAN {
                continue;
            }
            let lane = eyes.lanes.get(&key);
            let highest = lane.and_then(|lane| lane.highest);
            let has_footing = match highest {
                Some(_) => true,
                None => self.base_at(eyes, key, part.clock) == Base::Zero,
            };
            let blind = lane.is_some_and(|lane| lane.blind.is_some());
            // Lane `*` may come in any partition, so that all must have been read to the end.
            let end = if key.label == SPAN && end.is_some() {
                eyes.parts.values().filter(|p| p.is_watched()).map(|p| p.end_at).min().flatten()
            } else {
                end
            };
            let has_ended = self.whole || end.is_some() && end >= shown.last_at;
            if !has_footing || blind || !has_ended {
                continue;
            }
            late.extend(
                shown.copies.keys().filter(|&&n| highest.is_none_or(|h| n > h)).map(|&n| (key, n)),
            );
        }
        let clock = part.clock;
        for (key, n) in late {
            let lane = self.eyes(place).lanes.entry(key).or_default();
            for below in lane.highest.map_or(0, |h| h + 1)..=n {
                if !lane.is_seen(below) {
                    lane.gaps.entry(below).or_insert_with(|| Gap::new(clock, true));
                }
            }
            if self.fate(place.view, key, n) == Some(Fate::Missing)
                && let Some(gap) = self.lane_mut(place, key).gaps.get_mut(&n)
            {
                gap.judged = true;
            }
        }
    }

    pub(super) fn move_clock(&mut self, place: Place, time: u64) {
        let part = self.place(place);
        part.clock = part.clock.max(time);
        self.judge(place);
    }

    pub(super) fn judge(&mut self, place: Place) {
        if !self.place(place).is_watched() {
            return;
        }
        let mut judged = BTreeSet::new();
        for (key, n) in self.gaps_at(place) {
            if self.is_due(place.view, place.partition, key, n)
                && let Some(gap) = self.lane_mut(place, key).gaps.get_mut(&n)
            {
                gap.judged = true;
                judged.insert(key);
            }
        }
        for key in judged.into_iter().filter(|key| key.label == place.partition) {
            self.explain(place, key);
        }
    }

    /// Lane `*`: notes when the last partition has become past a gap.
    pub(super) fn mark_past(&mut self, place: Place) {
        let eyes = &self.views[&(place.view, place.stream)];
        let clock = eyes.latest();
        let mut past: Vec<(LaneKey, u64, bool)> = Vec::new();
        for (&key, lane) in eyes.lanes.iter().filter(|(key, _)| key.label == SPAN) {
            for (&n, gap) in &lane.gaps {
                // What is not missing any more keeps the grace that it had.
                if self.fate(place.view, key, n) == Some(Fate::Missing) {
                    past.push((key, n, Self::is_past(eyes, lane, n, gap)));
                }
            }
        }
        for (key, n, is_past) in past {
            if let Some(gap) = self.lane_mut(place, key).gaps.get_mut(&n) {
                gap.past = if is_past { gap.past.or(Some(clock)) } else { None };
            }
        }
    }
}
