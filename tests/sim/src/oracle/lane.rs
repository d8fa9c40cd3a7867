//! One lane as one view knows it: a map from each number to its copies, and a map from each number
//! not seen to its gap.

use std::collections::BTreeMap;

use super::clash::Clash;
use super::fate::Unsure;
use crate::line::{Name, Why};

/// Why a lane's count begins where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// From 0.
    Zero,
    /// The checker joined while it was running.
    Joined,
    /// It appeared while the checker was not looking.
    Paused,
}

/// What kind of repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Stored again.
    Resent,
    /// Handed over again.
    Redelivered,
    /// One or the other.
    Undetermined,
}

/// One sight of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Copy {
    pub(super) partition: Name,
    pub(super) position: Option<u64>,
}

/// A number that is known and was not seen, or was cut away.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    /// The grace runs from here.
    pub(super) opened: u64,
    /// Only the ledger speaks of it: nothing above was observed.
    pub(super) tail: bool,
    /// The grace is over and the view has moved past.
    pub(super) judged: bool,
    /// Cannot be judged.
    pub(super) unsure: Option<Unsure>,
    /// Its positions were named.
    pub(super) why: Option<Why>,
    /// Lane `*`: the clock when the last watched partition was past it.
    pub(super) past: Option<u64>,
    /// It was seen, and cut away: no named position explains that.
    pub(super) gone: bool,
}

impl Gap {
    pub(super) fn new(opened: u64, tail: bool) -> Self {
        Self { opened, tail, judged: false, unsure: None, why: None, past: None, gone: false }
    }

    /// From when the grace runs out: lane `*` waits until the last partition is past the gap.
    pub(super) fn grace_from(&self) -> u64 {
        self.opened.max(self.past.unwrap_or(0))
    }

    /// The grace runs anew.
    pub(super) fn restart(&mut self, at: u64) {
        self.opened = at;
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    /// Decided at the first sight.
    pub(super) base: Option<Base>,
    /// The first number that is judged.
    pub(super) first: u64,
    /// The highest number that was ever observed.
    pub(super) highest: Option<u64>,
    /// In the order in which they were observed.
    pub(super) copies: BTreeMap<u64, Vec<Copy>>,
    pub(super) gaps: BTreeMap<u64, Gap>,
    /// Lane `*`: the highest number that each partition showed.
    pub(super) shown: BTreeMap<Name, u64>,
    /// It existed when its partition was paused: what comes first after is no gap.
    pub(super) blind: Option<Unsure>,
    /// Until when gaps cannot be judged, and why: the first grace after a join or a pause.
    pub(super) tender: Option<(u64, Unsure)>,
    pub(super) observed: u64,
    pub(super) recovered: u64,
    pub(super) reordered: u64,
    pub(super) resent: u64,
    pub(super) redelivered: u64,
    pub(super) undetermined: u64,
    pub(super) clash: Clash,
    pub(super) last_at: Option<u64>,
}

impl Lane {
    /// One above the highest number known.
    pub(super) fn next(&self) -> u64 {
        let seen = self.highest.map_or(0, |n| n + 1);
        let known = self.gaps.last_key_value().map_or(0, |(n, _)| n + 1);
        seen.max(known)
    }

    pub(super) fn is_seen(&self, n: u64) -> bool {
        self.copies.contains_key(&n)
    }

    pub(super) fn repeat(&mut self, n: u64, repeat: Repeat) {
        match repeat {
            Repeat::Resent => {
                self.resent += 1;
                self.clash.resent(n, self.highest);
            }
            Repeat::Redelivered => self.redelivered += 1,
            Repeat::Undetermined => self.undetermined += 1,
        }
    }

    /// Takes away the copies at or above `position`; gives the numbers that have none left.
    pub(super) fn cut(&mut self, partition: Name, position: u64) -> Vec<u64> {
        let mut gone = Vec::new();
        self.copies.retain(|&n, copies| {
            copies.retain(|copy| {
                copy.partition != partition || copy.position.is_none_or(|p| p < position)
            });
            if copies.is_empty() {
                gone.push(n);
            }
            !copies.is_empty()
        });
        gone
    }
}
