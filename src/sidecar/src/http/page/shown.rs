use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lacuna_core::report::{GapRow, StreamRow};
use lacuna_core::totals::{Count, Totals};

use super::super::router::KafkaBrokers;
use super::query::Query;
use super::words::count;
use crate::acknowledged::Said;
use crate::engine::{Overview, SourceStatus, Switch};
use crate::groups::GroupRow;

/// All that one page shows.
pub(super) struct Shown {
    /// When it was asked for, ms since the Unix epoch.
    pub(super) at: u64,
    pub(super) query: Query,
    pub(super) overview: Overview,
    /// Gap rows, and what was said of each.
    pub(super) gaps: Vec<(GapRow, Option<Said>)>,
    /// Where the next pages of gap rows and of repeats begin.
    pub(super) older: Option<String>,
    pub(super) older_repeats: Option<String>,
    pub(super) sources: Vec<SourceStatus>,
    pub(super) groups: Vec<GroupRow>,
    pub(super) switch: Switch,
    pub(super) grace_ms: u64,
    pub(super) clock_skew_ms: u64,
    pub(super) brokers: Arc<[KafkaBrokers]>,
}

/// A partition in a view of a stream.
pub(super) type Place<'a> = (&'a str, &'a str, &'a str);

impl Shown {
    /// The totals of what is chosen. Where one producer is, its lanes' alone: a partition's are
    /// those of all its producers.
    pub(super) fn totals(&self) -> Totals {
        if self.query.producer.is_none() || self.overview.without_lanes {
            return self.overview.totals;
        }
        let partitions = self.overview.streams.iter().flat_map(|stream| &stream.partitions);
        let mut totals = Totals::default();
        for lane in partitions.flat_map(|partition| &partition.lanes) {
            totals += &lane.totals;
        }
        Totals { producers: self.overview.totals.producers, ..totals }
    }

    /// What is lost and nobody has dealt with.
    pub(super) fn open_lost(&self) -> Count {
        self.totals().lost_sum().saturating_sub(self.acknowledged_lost())
    }

    /// What is lost and somebody has dealt with.
    pub(super) fn acknowledged_lost(&self) -> Count {
        self.overview.lost.acknowledged.iter().map(count).sum()
    }

    /// The same by partition.
    pub(super) fn acknowledged_by_place(&self) -> HashMap<Place<'_>, Count> {
        let mut places = HashMap::new();
        for row in &self.overview.lost.acknowledged {
            let place = (row.view.as_str(), row.stream.as_str(), row.partition.as_str());
            *places.entry(place).or_default() += count(row);
        }
        places
    }

    /// The same by producer.
    pub(super) fn acknowledged_by_producer(&self) -> BTreeMap<&str, Count> {
        let mut producers = BTreeMap::new();
        for row in &self.overview.lost.acknowledged {
            *producers.entry(row.producer.as_str()).or_default() += count(row);
        }
        producers
    }

    pub(super) fn streams(&self) -> &[StreamRow] {
        &self.overview.streams
    }
}
