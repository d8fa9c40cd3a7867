//! What all partitions of a checker share: limits, the newest findings, the newest repeats.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use crate::hole::Hole;
use crate::lane::NONE;
use crate::settings::Limits;
use crate::state::{Block, List};
use crate::verdict::{Change, Repeat};

/// A lane in a view: the cell, the view's index in it, the lane's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) cell: u32,
    pub(crate) view: u16,
    pub(crate) lane: u32,
}

/// A number seen, and where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Near {
    pub(crate) seq: u64,
    /// Index of the partition's cell.
    pub(crate) cell: u32,
    pub(crate) position: u64,
    pub(crate) at: u64,
    pub(crate) time: u64,
}

/// What is remembered of the unseen numbers between two seen ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) last: u64,
    pub(crate) before: Option<Near>,
    pub(crate) after: Option<Near>,
    pub(crate) since: u64,
    pub(crate) judged_at: Option<u64>,
    /// Orders them; set when it is remembered.
    pub(crate) age: u64,
}

/// A repeat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Duplicate {
    pub(crate) place: Place,
    /// The partition where it was read.
    pub(crate) cell: u32,
    pub(crate) seq: u64,
    pub(crate) kind: Repeat,
    pub(crate) position: u64,
    pub(crate) at: u64,
    pub(crate) time: u64,
    pub(crate) age: u64,
}

/// Numbers that came after they had been judged lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recovered {
    pub(crate) place: Place,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) since: u64,
    pub(crate) judged_at: Option<u64>,
    pub(crate) at: u64,
}

/// The newest repeats.
#[derive(Debug, Default)]
pub(crate) struct Duplicates {
    pub(crate) rows: VecDeque<Duplicate>,
    pub(crate) list: List,
}

/// The newest numbers that came late after all.
#[derive(Debug, Default)]
pub(crate) struct RecoveredRows {
    pub(crate) rows: VecDeque<Recovered>,
    pub(crate) list: List,
}

#[derive(Debug, Default)]
pub(crate) struct Context {
    pub(crate) limits: Limits,
    pub(crate) evidence: BTreeMap<(Place, u64), Evidence>,
    pub(crate) evidence_age: u64,
    /// Where evidence was dropped for want of room since the state was saved.
    pub(crate) evidence_dropped: BTreeSet<Block>,
    /// How much of it was, since the process began.
    pub(crate) evidence_forgotten: u64,
    pub(crate) duplicates: Duplicates,
    pub(crate) recovered: RecoveredRows,
    pub(crate) changes: VecDeque<(Place, Change)>,
    pub(crate) changes_dropped: u64,
    /// Orders repeats.
    pub(crate) age: u64,
    /// Live: the ledger's channel is read to its end as of this time.
    pub(crate) ledger_read: Option<u64>,
    /// The recording is whole.
    pub(crate) complete: bool,
    /// Runs that each log's memory may hold.
    pub(crate) runs_each: usize,
    /// Steps that each log's reading times may have.
    pub(crate) steps_each: usize,
    /// Ranges of positions of each partition in each view.
    pub(crate) ranges_each: usize,
}

impl Context {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The evidence for the interval that this number lies in.
    pub(crate) fn evidence(&self, place: Place, number: u64) -> Option<(u64, &Evidence)> {
        let key = (place, number);
        let (key, evidence) = self.evidence.range(..=key).next_back()?;
        (key.0 == place && evidence.last >= number).then_some((key.1, evidence))
    }

    pub(crate) fn remember(&mut self, place: Place, first: u64, evidence: Evidence) {
        let key = (place, first);
        let age = match self.evidence.get(&key) {
            Some(known) => known.age,
            None => {
                self.evidence_age += 1;
                self.evidence_age
            }
        };
        self.evidence.insert(key, Evidence { age, ..evidence });
        self.forget_evidence();
    }

    pub(crate) fn judged(&mut self, place: Place, number: u64, since: u64, at: u64) {
        if let Some((first, &evidence)) = self.evidence(place, number)
            && evidence.judged_at.is_none_or(|before| before < since)
        {
            self.evidence.insert((place, first), Evidence { judged_at: Some(at), ..evidence });
        }
    }

    /// A missing number was seen: it is the neighbour of what is missing beside it, and the interval
    /// that it lay in is two now, or one, or none.
    pub(crate) fn split(&mut self, place: Place, near: Near) {
        if let Some(above) = self.evidence.get_mut(&(place, near.seq.saturating_add(1))) {
            above.before = Some(near);
        }
        let below = (place, near.seq);
        if let Some((key, below)) = self.evidence.range_mut(..below).next_back()
            && key.0 == place
            && below.last.saturating_add(1) == near.seq
        {
            below.after = Some(near);
        }
        let Some((first, &evidence)) = self.evidence(place, near.seq) else {
            return;
        };
        self.evidence.remove(&(place, first));
        if first < near.seq {
            let left = Evidence { last: near.seq - 1, after: Some(near), ..evidence };
            self.remember(place, first, left);
        }
        if near.seq < evidence.last {
            self.remember(place, near.seq + 1, Evidence { before: Some(near), ..evidence });
        }
    }

    /// A gap opened, or what the ledger had announced is passed now: its neighbours are known.
    pub(crate) fn bracket(
        &mut self,
        place: Place,
        (first, last): (u64, u64),
        before: Option<Near>,
        after: Near,
        since: u64,
    ) {
        let keys: Vec<u64> =
            self.evidence.range((place, first)..=(place, last)).map(|(key, _)| key.1).collect();
        let known = keys.into_iter().filter_map(|key| self.evidence.remove(&(place, key)));
        let judged_at = known.filter_map(|evidence| evidence.judged_at).max();
        let after = Some(after);
        let age = 0;
        self.remember(place, first, Evidence { last, before, after, since, judged_at, age });
    }

    /// A cut took away what stood at or above a position: neighbours there have none any more.
    pub(crate) fn unplace(&mut self, cell: u32, view: u16, position: u64) {
        let from = Place { cell, view, lane: 0 };
        let to = Place { cell, view, lane: u32::MAX };
        for (_, evidence) in self.evidence.range_mut((from, 0)..=(to, u64::MAX)) {
            for near in [&mut evidence.before, &mut evidence.after].into_iter().flatten() {
                if near.position != NONE && near.position >= position {
                    near.position = NONE;
                }
            }
        }
    }

    /// Numbers that a cut took away are nobody's neighbours.
    pub(crate) fn forget_near(&mut self, place: Place, first: u64, last: u64) {
        // An interval's lower neighbour is the number below its key, its upper one follows it.
        let reach = (place, first.saturating_sub(1))..=(place, last.saturating_add(1));
        let below = self.evidence.range(..(place, first)).next_back().map(|(key, _)| *key);
        let keys = self.evidence.range(reach).map(|(key, _)| *key);
        for key in keys.chain(below.filter(|key| key.0 == place)).collect::<Vec<_>>() {
            let Some(evidence) = self.evidence.get_mut(&key) else { continue };
            for near in [&mut evidence.before, &mut evidence.after] {
                *near = near.filter(|near| !(first..=last).contains(&near.seq));
            }
        }
    }

    /// A neighbour whose position was taken back stands elsewhere too.
    pub(crate) fn place_again(&mut self, place: Place, seq: u64, position: u64) {
        for beside in [seq.checked_sub(1), Some(seq + 1)].into_iter().flatten() {
            let Some((first, _)) = self.evidence(place, beside) else { continue };
            let Some(evidence) = self.evidence.get_mut(&(place, first)) else { continue };
            for near in [&mut evidence.before, &mut evidence.after].into_iter().flatten() {
                if near.seq == seq && near.position == NONE {
                    near.position = position;
                }
            }
        }
    }

    /// The intervals of one view of one cell.
    pub(crate) fn intervals(&self, cell: u32, view: u16) -> Vec<(u32, u64)> {
        let from = Place { cell, view, lane: 0 };
        let to = Place { cell, view, lane: u32::MAX };
        self.evidence
            .range((from, 0)..=(to, u64::MAX))
            .map(|(key, _)| (key.0.lane, key.1))
            .collect()
    }

    pub(crate) fn repeat(&mut self, mut duplicate: Duplicate) {
        self.age += 1;
        duplicate.age = self.age;
        let Duplicates { rows, list } = &mut self.duplicates;
        rows.push_back(duplicate);
        if rows.len() > self.limits.duplicates {
            rows.pop_front();
            list.dropped(1);
        }
    }

    pub(crate) fn recover(&mut self, place: Place, hole: &Hole, seq: u64, at: u64) {
        let judged_at = self.evidence(place, seq).and_then(|(_, evidence)| evidence.judged_at);
        let RecoveredRows { rows, list } = &mut self.recovered;
        if let Some(last) = rows.back_mut()
            && last.place == place
            && last.last.wrapping_add(1) == seq
            && (last.since, last.judged_at, last.at) == (hole.opened, judged_at, at)
        {
            last.last = seq;
            return;
        }
        let since = hole.opened;
        rows.push_back(Recovered { place, first: seq, last: seq, since, judged_at, at });
        if rows.len() > self.limits.evidence {
            rows.pop_front();
            list.dropped(1);
        }
    }

    pub(crate) fn change(&mut self, place: Place, change: Change) {
        if self.limits.changes == 0 || change.from == change.to {
            return;
        }
        if let Some((last_place, last)) = self.changes.back_mut()
            && *last_place == place
            && last.last.wrapping_add(1) == change.first
            && (last.from, last.to, last.at) == (change.from, change.to, change.at)
        {
            last.last = change.last;
            return;
        }
        if self.changes.len() >= self.limits.changes {
            self.changes_dropped += 1;
            return;
        }
        self.changes.push_back((place, change));
    }

    /// Forgets everything of lanes whose slots are about to be used again.
    pub(crate) fn forget(&mut self, dead: impl Fn(u32, u32) -> bool) {
        self.evidence.retain(|key, _| !dead(key.0.cell, key.0.lane));
        let gone = |place: Place| dead(place.cell, place.lane);
        if self.duplicates.rows.iter().any(|row| gone(row.place)) {
            self.duplicates.list.changed(0);
            self.duplicates.rows.retain(|row| !gone(row.place));
        }
        if self.recovered.rows.iter().any(|row| gone(row.place)) {
            self.recovered.list.changed(0);
            self.recovered.rows.retain(|row| !gone(row.place));
        }
        self.changes.retain(|row| !dead(row.0.cell, row.0.lane));
    }
}
