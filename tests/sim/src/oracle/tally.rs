//! The truth of now, counted.

use std::collections::BTreeMap;

use super::fate::Fate;
use super::lane::Base;
use super::world::Oracle;
use crate::line::{LaneKey, Name};

/// What is counted of a lane besides the state of its numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Stamps read.
    pub observed: u64,
    /// Numbers that came after they had been judged lost.
    pub recovered: u64,
    /// Numbers that came late.
    pub reordered: u64,
    /// Repeats stored again.
    pub resent: u64,
    /// Repeats handed over again.
    pub redelivered: u64,
    /// Repeats of either kind.
    pub undetermined: u64,
}

/// A lane in a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneTruth {
    /// The state of every number from 0 up.
    pub fates: BTreeMap<u64, Fate>,
    /// Why it begins where it does; `None`: never seen in this view.
    pub base: Option<Base>,
    /// Its base line.
    pub first: u64,
    /// Events.
    pub counts: Counts,
    /// Whether two clients seem to share its name and epoch.
    pub clash: bool,
    /// Whether a ledger record came.
    pub has_ledger: bool,
}

/// A partition in a view: what was read there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartTruth {
    /// Valid, absent, malformed, unsupported, foreign.
    pub observed: [u64; 5],
    /// Times the log was cut back.
    pub cuts: u64,
}

impl Oracle {
    /// Every view of a stream that looks at it, or was told of its lanes.
    pub fn streams(&self) -> impl Iterator<Item = (Name, Name)> {
        self.views
            .iter()
            .filter(|(_, eyes)| {
                !eyes.lanes.is_empty()
                    || eyes.parts.values().any(|part| part.is_watched() || part.cuts > 0)
            })
            .map(|(&name, _)| name)
    }

    /// The lanes of a view of a stream.
    #[must_use]
    pub fn lanes(&self, view: Name, stream: Name) -> BTreeMap<LaneKey, LaneTruth> {
        let Some(eyes) = self.views.get(&(view, stream)) else { return BTreeMap::new() };
        let truth = |key: LaneKey| {
            let lane = &eyes.lanes[&key];
            LaneTruth {
                fates: (0..lane.next())
                    .filter_map(|n| self.fate(view, key, n).map(|fate| (n, fate)))
                    .collect(),
                base: lane.base,
                first: lane.first,
                counts: Counts {
                    observed: lane.observed,
                    recovered: lane.recovered,
                    reordered: lane.reordered,
                    resent: lane.resent,
                    redelivered: lane.redelivered,
                    undetermined: lane.undetermined,
                },
                clash: lane.clash.is_found(),
                has_ledger: self.books.contains_key(&key),
            }
        };
        eyes.lanes.keys().map(|&key| (key, truth(key))).collect()
    }

    /// The partitions of a view of a stream.
    #[must_use]
    pub fn parts(&self, view: Name, stream: Name) -> BTreeMap<Name, PartTruth> {
        let Some(eyes) = self.views.get(&(view, stream)) else { return BTreeMap::new() };
        let parts = eyes.parts.iter();
        parts
            .map(|(&name, part)| {
                let o = &part.observed;
                let observed = [o.valid, o.absent, o.malformed, o.unsupported, o.foreign];
                (name, PartTruth { observed, cuts: part.cuts })
            })
            .collect()
    }
}
