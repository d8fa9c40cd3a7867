//! All that one look needs, asked in one question, so that its parts do not contradict each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use lacuna_core::Checker;
use lacuna_core::report::{DuplicateRow, Filter, GapRow, StreamRow};
use lacuna_core::totals::{Lost, Totals};
use lacuna_core::verdict::{Stage, State};

use super::asking::Wanted;
use super::merge::{self, Ages};
use super::worker::Worker;
use crate::acknowledged::Acknowledgements;

/// Lanes of which a look gathers rows. For more of them it would take longer than a worker may be
/// kept from reading.
const LANES: u64 = 20_000;

/// What one look asks for.
#[derive(Clone)]
pub struct Look {
    /// Whose rows.
    pub filter: Filter,
    /// Gap rows in which states.
    pub wanted: Wanted,
    /// Gap rows older than this `age`.
    pub gaps_before: Option<u64>,
    /// Gap rows at most.
    pub limit: usize,
    /// Repeats older than this `age`.
    pub repeats_before: Option<u64>,
    /// Repeats at most.
    pub repeats: usize,
    /// What people have dealt with.
    pub acknowledged: Arc<Acknowledgements>,
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("filter", &self.filter).finish_non_exhaustive()
    }
}

/// What one look gives.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// Streams and partitions; with their lanes where there are not too many of these.
    pub streams: Vec<StreamRow>,
    /// Their sum.
    pub totals: Totals,
    /// Whether lanes were left out, because there are too many.
    pub without_lanes: bool,
    /// Gap rows, newest first.
    pub gaps: Vec<GapRow>,
    /// Repeats, newest first.
    pub duplicates: Vec<DuplicateRow>,
    /// What is lost now.
    pub lost: LostNow,
    /// Streams of which a ledger speaks and that no view looks at.
    pub unwatched: Vec<String>,
}

/// What is lost now and has a range.
#[derive(Clone, Debug, Default)]
pub struct LostNow {
    /// Numbers that nobody has dealt with.
    pub open: Lost,
    /// When the oldest of them was noticed, ms since the Unix epoch.
    pub since: Option<u64>,
    /// Rows that somebody has dealt with.
    pub acknowledged: Vec<GapRow>,
}

impl LostNow {
    fn of(checker: &mut Checker, filter: &Filter, acknowledged: &Acknowledgements) -> Self {
        let mut now = Self::default();
        for row in lost(checker, std::slice::from_ref(filter)) {
            for (row, said) in acknowledged.split(row) {
                if said.is_some() {
                    now.acknowledged.push(row);
                    continue;
                }
                if let Some(State::Lost(stage)) = row.state {
                    *stage_mut(&mut now.open, stage) += u128::from(row.last - row.first) + 1;
                }
                now.since = Some(now.since.map_or(row.since, |since| since.min(row.since)));
            }
        }
        now
    }

    fn add(&mut self, other: Self) {
        for stage in [Stage::Produce, Stage::Store, Stage::Consume, Stage::Undetermined] {
            let mut theirs = other.open;
            *stage_mut(&mut self.open, stage) += *stage_mut(&mut theirs, stage);
        }
        self.since = self.since.into_iter().chain(other.since).min();
        self.acknowledged.extend(other.acknowledged);
    }
}

/// The count of this stage.
pub(crate) const fn stage_mut(lost: &mut Lost, stage: Stage) -> &mut u128 {
    match stage {
        Stage::Produce => &mut lost.produce,
        Stage::Store => &mut lost.store,
        Stage::Consume => &mut lost.consume,
        Stage::Undetermined => &mut lost.undetermined,
    }
}

/// One worker's part of a look.
#[derive(Debug)]
pub(super) struct Part {
    streams: merge::Part,
    producers: BTreeSet<u64>,
    without_lanes: bool,
    gaps: Vec<GapRow>,
    duplicates: Vec<DuplicateRow>,
    lost: LostNow,
    watched: BTreeMap<String, bool>,
}

impl Part {
    pub(super) fn of(worker: &mut Worker, look: &Look, ages: Ages) -> Self {
        let Look { filter, wanted, gaps_before, limit, repeats_before, repeats, acknowledged } =
            look;
        let mut streams = worker.part(filter, false);
        let lanes = streams.iter().map(|(stream, _)| stream.totals.lanes).sum::<u64>();
        // One producer's are few, wherever they are.
        let with_lanes = lanes <= LANES || filter.producer.is_some();
        if with_lanes {
            streams = worker.part(filter, true);
        }
        let (index, checker) = (worker.index, &mut worker.checker);
        let mut duplicates =
            checker.duplicates(filter, ages.before(index, *repeats_before), *repeats);
        duplicates.iter_mut().for_each(|row| row.age = ages.global(index, row.age));
        Self {
            streams,
            producers: checker.producers(filter),
            without_lanes: !with_lanes,
            gaps: checker.gaps(filter, &**wanted, *gaps_before, *limit),
            duplicates,
            lost: LostNow::of(checker, filter, acknowledged),
            watched: checker.watched_streams(),
        }
    }
}

impl Overview {
    pub(super) fn join(parts: Vec<Part>, limit: usize, repeats: usize) -> Self {
        let mut sum = Self::default();
        let (mut streams, mut gaps, mut duplicates, mut watched) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut producers = BTreeSet::new();
        for part in parts {
            sum.without_lanes |= part.without_lanes;
            sum.lost.add(part.lost);
            producers.extend(part.producers);
            streams.push(part.streams);
            gaps.push(part.gaps);
            duplicates.push(part.duplicates);
            watched.push(part.watched);
        }
        sum.streams = merge::streams(streams);
        for stream in &sum.streams {
            sum.totals += &stream.totals;
        }
        sum.totals.producers = producers.len() as u64;
        sum.gaps = merge::newest(gaps, |row| row.age, limit);
        sum.duplicates = merge::newest(duplicates, |row| row.age, repeats);
        sum.unwatched = merge::unwatched(watched);
        sum
    }
}

/// The lost rows that these filters take, each once.
pub(super) fn lost(checker: &mut Checker, of: &[Filter]) -> Vec<GapRow> {
    let lost = |state| matches!(state, Some(State::Lost(_)));
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    for filter in of {
        let more = checker.gaps(filter, &lost, None, usize::MAX);
        rows.extend(more.into_iter().filter(|row| seen.insert(row.id)));
    }
    rows
}
