//! Line by line, as contracts §3 has it: first the clock of the partition moves and what is due is
//! judged, then the line takes effect.

use std::collections::BTreeMap;

use super::book::Book;
use super::lane::Lane;
use super::part::Part;
use super::sight::Sight;
use crate::line::{Entry, LOG, LaneKey, Line, Name, Place, SPAN};

#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) parts: BTreeMap<Name, Part>,
    pub(super) lanes: BTreeMap<LaneKey, Lane>,
}

impl View {
    /// The partitions that a lane can be seen in.
    pub(super) fn parts_of(&self, key: LaneKey) -> impl Iterator<Item = &Part> {
        self.parts
            .iter()
            .filter(move |(name, _)| key.label == SPAN || key.label == **name)
            .map(|(_, part)| part)
    }

    /// The furthest clock of its partitions: lane `*` goes by it.
    pub(super) fn latest(&self) -> u64 {
        self.parts.values().map(|part| part.clock).max().unwrap_or(0)
    }
}

/// The plain truth.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    pub(super) grace: u64,
    pub(super) skew: u64,
    /// The highest `at` of all lines.
    now: Option<u64>,
    /// Records that came before any line with a time.
    early: Vec<Entry>,
    pub(super) books: BTreeMap<LaneKey, Book>,
    pub(super) views: BTreeMap<(Name, Name), View>,
    /// The recording is whole: every grace is over.
    pub(super) whole: bool,
}

impl Oracle {
    /// A checker with this grace and clock skew, in ms.
    #[must_use]
    pub fn new(grace: u64, skew: u64) -> Self {
        Self { grace, skew, ..Self::default() }
    }

    /// Takes one line; a message's meaning is given back.
    pub fn apply(&mut self, line: &Line) -> Option<Sight> {
        if let Some(at) = line.at() {
            if self.now.is_none() {
                for entry in std::mem::take(&mut self.early) {
                    self.ledger(entry, at);
                }
            }
            self.now = self.now.max(Some(at));
        }
        match line {
            Line::Message { place, position, at, mark, redelivered } => {
                return Some(self.message(*place, *position, *at, *mark, *redelivered));
            }
            Line::Ledger(entry) => match self.now {
                Some(now) => self.ledger(entry.clone(), now),
                None => self.early.push(entry.clone()),
            },
            Line::Watch { .. } => self.watch(line),
            Line::End { place, position, at } => self.end(*place, *position, *at),
            Line::Cut { place, position, at } => {
                self.place(*place);
                self.cut(*place, *position, *at);
            }
            Line::Absent { place, first, last, why, .. } => {
                let part = self.place(*place);
                part.named.extend((*first..=*last).map(|position| (position, *why)));
                self.explain_all(*place);
            }
        }
        None
    }

    /// The recording is whole: an end of every watched partition, every grace over.
    pub fn complete(&mut self) {
        self.whole = true;
        let mut places: Vec<Place> = Vec::new();
        for (&(view, stream), eyes) in &self.views {
            for (&partition, _) in eyes.parts.iter().filter(|(_, part)| part.is_watched()) {
                places.push(Place { view, stream, partition });
            }
        }
        // The log first: what it has lost has no state in a group.
        places.sort_by_key(|place| place.view != LOG);
        for &place in &places {
            self.decide(place, None);
        }
        for view_is_log in [true, false] {
            for &place in places.iter().filter(|place| (place.view == LOG) == view_is_log) {
                self.judge(place);
                self.lag(place, None);
                self.judge(place);
                self.explain_all(place);
            }
        }
    }

    /// The partition; a view that is new to the stream hears of every ledger at once.
    pub(super) fn place(&mut self, place: Place) -> &mut Part {
        let at = (place.view, place.stream);
        let is_new = !self.views.contains_key(&at);
        self.views.entry(at).or_default();
        if is_new {
            let keys: Vec<LaneKey> = self.books.keys().copied().collect();
            for key in keys.into_iter().filter(|key| key.stream == place.stream) {
                let arrival = self.books[&key].last_arrival;
                self.announce(at, key, arrival);
            }
        }
        self.eyes(place).parts.entry(place.partition).or_default()
    }

    pub(super) fn eyes(&mut self, place: Place) -> &mut View {
        self.views.entry((place.view, place.stream)).or_default()
    }

    pub(super) fn lane_mut(&mut self, place: Place, key: LaneKey) -> &mut Lane {
        self.eyes(place).lanes.entry(key).or_default()
    }

    /// Every number not seen of the lanes that this partition judges.
    pub(super) fn gaps_at(&self, place: Place) -> Vec<(LaneKey, u64)> {
        let Some(eyes) = self.views.get(&(place.view, place.stream)) else { return Vec::new() };
        eyes.lanes
            .iter()
            .filter(|(key, _)| key.label == place.partition || key.label == SPAN)
            .flat_map(|(&key, lane)| lane.gaps.keys().map(move |&n| (key, n)))
            .collect()
    }

    pub(super) fn explain_all(&mut self, place: Place) {
        let keys: Vec<LaneKey> = self.eyes(place).lanes.keys().copied().collect();
        for key in keys.into_iter().filter(|key| key.label == place.partition) {
            self.explain(place, key);
        }
    }

    /// The log's time of a position that a group reads.
    pub(super) fn log_time(&self, place: Place, position: Option<u64>) -> Option<u64> {
        if place.view == LOG {
            return None;
        }
        let log = self.views.get(&(LOG, place.stream))?;
        log.parts.get(&place.partition)?.reads.get(&position?).map(|read| read.at)
    }
}
