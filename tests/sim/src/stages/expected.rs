//! What must be found in the end, told from what was drawn and shown.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{History, Repeats, Shown, Topic, View};
use crate::line::{Entry, LOG, LaneKey, Name, SPAN, Why};
use crate::oracle::{Fate, Stage, Unsure};

/// A lane as a view must know it in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// How many numbers are seen.
    pub(super) seen: u64,
    /// The state of every other number that has one in this view.
    pub(super) fates: BTreeMap<u64, Fate>,
    pub(super) repeats: Repeats,
}

impl Expected {
    /// From the state of every number that is known.
    pub(super) fn of(mut fates: BTreeMap<u64, Fate>, repeats: Repeats) -> Self {
        let seen = fates.values().filter(|fate| **fate == Fate::Seen).count();
        fates.retain(|_, fate| !matches!(fate, Fate::Seen | Fate::LostInLog));
        Self { seen: u64::try_from(seen).unwrap_or(u64::MAX), fates, repeats }
    }
}

/// Every lane of a history.
pub(super) fn truths(history: &History) -> impl Iterator<Item = Truth<'_>> {
    history.topics.iter().flat_map(move |topic| {
        let log = topic.views().find(|view| view.name == LOG);
        topic.lanes.iter().map(move |lane| Truth {
            history,
            topic,
            key: lane.key,
            records: &lane.records,
            log,
        })
    })
}

/// Every lane in every view that must know of it.
pub(super) fn expected(history: &History) -> BTreeMap<(Name, LaneKey), Expected> {
    let mut all = BTreeMap::new();
    for truth in truths(history) {
        for view in truth.topic.views() {
            let expected = truth.lane(view);
            if expected != Expected::default() {
                all.insert((view.name, truth.key), expected);
            }
        }
    }
    all
}

/// One lane as it was drawn and shown.
pub(super) struct Truth<'a> {
    history: &'a History,
    pub(super) topic: &'a Topic,
    pub(super) key: LaneKey,
    records: &'a [Entry],
    log: Option<&'a View>,
}

impl Truth<'_> {
    fn lane(&self, view: &View) -> Expected {
        let mut known = self.known(view);
        if let Some(log) = self.log.filter(|_| self.watches(view)) {
            // What the log has and the group has not come to was not handed over.
            known = known.max(self.known(log));
        }
        let fates = (0..known).filter_map(|n| Some((n, self.fate(view, n)?))).collect();
        let repeats = self.shown(view).map(|shown| shown.repeats).unwrap_or_default();
        Expected::of(fates, repeats)
    }

    /// One above the highest number that the ledger or the view itself shows.
    fn known(&self, view: &View) -> u64 {
        let taken = self.records.iter().map(|record| record.next).max().unwrap_or(0);
        let shown = self.shown(view).and_then(|shown| shown.ever.last());
        taken.max(shown.map_or(0, |n| n + 1))
    }

    pub(super) fn shown(&self, view: &View) -> Option<&Shown> {
        self.history.shown.get(&(view.name, self.key))
    }

    fn watches(&self, view: &View) -> bool {
        let mut logs = self.topic.logs.iter().zip(&view.watches);
        self.key.label == SPAN
            || logs.any(|(log, &watches)| watches && log.partition == self.key.label)
    }

    /// `None`: it has no state there, for the log has lost it, or nobody knows of it.
    fn fate(&self, view: &View, n: u64) -> Option<Fate> {
        if self.shown(view).is_some_and(|shown| shown.stands.contains(&n)) {
            return Some(Fate::Seen);
        }
        if self.says(n, |record| &record.refused) {
            return Some(Fate::Refused);
        }
        if self.says(n, |record| &record.aborted) {
            return Some(Fate::ByDesign(Why::Aborted));
        }
        if view.name == LOG {
            return self.in_log(view, n);
        }
        let log = self.log.and_then(|log| self.fate_known(log, n));
        match log {
            Some(by_design @ Fate::ByDesign(_)) => return Some(by_design),
            _ if !self.watches(view) => return Some(Fate::Unknown(Unsure::Joined)),
            Some(Fate::Lost(_)) => return None,
            _ => {}
        }
        if self.is_joined(view, n) {
            return Some(Fate::Unknown(Unsure::Joined));
        }
        Some(match log {
            Some(Fate::Seen) if view.committed && !self.is_acknowledged(n) => {
                Fate::Unknown(Unsure::Transaction)
            }
            Some(Fate::Seen) => Fate::Lost(Stage::Consume),
            _ => Fate::Lost(Stage::Undetermined),
        })
    }

    fn fate_known(&self, view: &View, n: u64) -> Option<Fate> {
        if n < self.known(view) { self.fate(view, n) } else { None }
    }

    fn in_log(&self, view: &View, n: u64) -> Option<Fate> {
        if !self.watches(view) {
            return Some(Fate::Unknown(Unsure::Joined));
        }
        if let Some(&why) = self.history.gone.get(&(self.key, n)) {
            return Some(Fate::ByDesign(why));
        }
        if self.is_joined(view, n) {
            return Some(Fate::Unknown(Unsure::Joined));
        }
        Some(Fate::Lost(if self.is_pending(n) || self.says(n, |record| &record.unanswered) {
            Stage::Produce
        } else if self.is_acknowledged(n) {
            Stage::Store
        } else {
            Stage::Undetermined
        }))
    }

    /// Whether it is from before the view joined, or may have passed just before.
    fn is_joined(&self, view: &View, n: u64) -> bool {
        let mut logs = self.topic.logs.iter().filter(|log| log.partition == self.key.label);
        let joins = logs.any(|log| self.topic.joins(view, log) && !log.before.is_empty());
        let below = self.shown(view).and_then(|shown| shown.joined_below);
        joins && below.is_none_or(|below| n < below)
    }

    /// The newest record calls it pending.
    pub(super) fn is_pending(&self, n: u64) -> bool {
        let newest = self.records.iter().max_by_key(|record| record.rev);
        newest.is_some_and(|record| record.pending.contains(&n))
    }

    pub(super) fn says(&self, n: u64, list: fn(&Entry) -> &BTreeSet<u64>) -> bool {
        self.records.iter().any(|record| list(record).contains(&n))
    }

    /// Some record covers it and does not list it.
    pub(super) fn is_acknowledged(&self, n: u64) -> bool {
        self.records.iter().any(|record| {
            let lists = [&record.pending, &record.unanswered, &record.refused, &record.aborted];
            (record.from..record.next).contains(&n) && !lists.iter().any(|list| list.contains(&n))
        })
    }
}
