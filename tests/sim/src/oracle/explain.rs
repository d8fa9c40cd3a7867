//! Gaps whose positions were named: retention, compaction, a rolled back transaction, expiry.

use std::collections::BTreeSet;

use super::fate::Fate;
use super::lane::Lane;
use super::part::Part;
use super::world::Oracle;
use crate::line::{LaneKey, Name, Place, SPAN, Why};

impl Oracle {
    /// Looks again at every gap of this lane.
    pub(super) fn explain(&mut self, place: Place, key: LaneKey) {
        if key.label == SPAN {
            return;
        }
        let eyes = &self.views[&(place.view, place.stream)];
        let (lane, part) = (&eyes.lanes[&key], &eyes.parts[&place.partition]);
        let mut found: Vec<(u64, Why)> = Vec::new();
        for run in unseen_runs(lane) {
            let wanted = run.iter().filter(|&&n| self.needs_a_position(place.view, key, n)).count();
            if let Some(why) = cause(lane, part, place.partition, &run, wanted) {
                // Above all that was seen, a number may come yet until it is judged.
                let explained = |n: &u64| !lane.gaps[n].tail || lane.gaps[n].judged;
                found.extend(run.into_iter().filter(explained).map(|n| (n, why)));
            }
        }
        let lane = self.lane_mut(place, key);
        for (n, why) in found {
            if let Some(gap) = lane.gaps.get_mut(&n) {
                gap.why.get_or_insert(why);
            }
        }
    }

    /// What was refused never had a position.
    fn needs_a_position(&self, view: Name, key: LaneKey, n: u64) -> bool {
        self.fate(view, key, n) != Some(Fate::Refused)
    }
}

/// The numbers between two neighbours that were seen, or at an open end.
fn unseen_runs(lane: &Lane) -> Vec<Vec<u64>> {
    let mut runs: Vec<Vec<u64>> = Vec::new();
    for &n in lane.gaps.keys() {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|&last| last + 1 == n) => run.push(n),
            _ => runs.push(vec![n]),
        }
    }
    // Below a base line there is no neighbour, and no gap.
    let expected = |n: u64| lane.base.is_some() || lane.gaps[&n].unsure.is_none();
    let stood = |run: &Vec<u64>| run.iter().any(|n| lane.gaps[n].gone);
    runs.retain(|run| run[0] >= lane.first && expected(run[0]) && !stood(run));
    runs
}

fn cause(lane: &Lane, part: &Part, partition: Name, run: &[u64], wanted: usize) -> Option<Why> {
    // A neighbour stands where it was first seen.
    let position = |n: u64| {
        let first = lane.copies.get(&n)?.first()?;
        first.position.filter(|_| first.partition == partition)
    };
    let (first, last) = (*run.first()?, *run.last()?);
    let neighbour = first.checked_sub(1);
    let low = match first.checked_sub(1) {
        None => part.watch.as_ref()?.begin?,
        Some(below) => position(below)? + 1,
    };
    let high = match lane.copies.contains_key(&(last + 1)) {
        true => position(last + 1)?,
        // An end that was asked for before the lower neighbour came says nothing.
        false => part.end_position.filter(|&end| end >= low)?,
    };
    if neighbour.is_none() && low > high {
        return None;
    }
    // A number that came late stands behind its upper neighbour.
    let between = if low > high { high + 1..low - 1 } else { low..high };
    let covered =
        |p: u64| part.reads.contains_key(&p) || part.passed.contains(&p) || part.is_named(p);
    if !between.clone().all(covered) {
        return None;
    }
    let kinds: BTreeSet<Why> = part.named.iter().map(|named| named.1).collect();
    kinds.into_iter().find(|&why| {
        let named = between.clone().filter(|p| part.named.contains(&(*p, why))).count();
        named > 0 && named >= wanted
    })
}
