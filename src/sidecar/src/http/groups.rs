//! `GET /v1/groups`: watched consumer groups.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::query;
use super::report::json;
use super::router::Api;
use crate::groups::{Finding, GroupRow, PartitionRow};

/// Ranges of one partition that are shown at most.
const RANGES: usize = 100;

/// Which are shown; all where nothing is said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    group: Option<String>,
    stream: Option<String>,
    partition: Option<String>,
}

#[derive(Serialize)]
struct Groups<'a> {
    v: u8,
    groups: Vec<GroupJson<'a>>,
}

#[derive(Serialize)]
struct GroupJson<'a> {
    group: &'a str,
    source: &'a str,
    at: Option<u64>,
    error: Option<&'a str>,
    partitions: Vec<PartitionJson<'a>>,
    findings: Vec<FindingJson<'a>>,
}

#[derive(Serialize)]
struct PartitionJson<'a> {
    stream: &'a str,
    partition: &'a str,
    committed: Option<u64>,
    log_start: u64,
    log_end: u64,
    lag: Option<u64>,
    /// Positions, since the start.
    retention_lost: u64,
    /// Ranges that were committed, that the log has, and that no reporting member was handed.
    committed_unhanded: Vec<(u64, u64)>,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    id: String,
    stream: &'a str,
    partition: &'a str,
    cause: &'static str,
    state: &'static str,
    first: u64,
    last: u64,
    count: u64,
    since: u64,
}

pub(super) async fn groups(State(api): State<Api>, uri: Uri) -> Result<Response, Problem> {
    let which: Which = query::read(&uri)?;
    let rows = api.engine.groups();
    let wanted = |given: &Option<String>, name: &str| given.as_ref().is_none_or(|own| own == name);
    let shown = rows.iter().filter(|row| wanted(&which.group, &row.group)).map(|row| {
        let partitions = row.partitions.iter().filter(|partition| {
            wanted(&which.stream, &partition.stream)
                && wanted(&which.partition, &partition.partition)
        });
        group(row, partitions.collect())
    });
    let mut groups: Vec<_> = shown.collect();
    let places = groups.iter().flat_map(|group| group.partitions.iter().map(|p| p.place(group)));
    let mut unhanded = api.engine.unhanded(places.collect(), RANGES).await?.into_iter();
    for partition in groups.iter_mut().flat_map(|group| &mut group.partitions) {
        partition.committed_unhanded = unhanded.next().unwrap_or_default();
    }
    json(&Groups { v: 1, groups })
}

fn group<'a>(row: &'a GroupRow, partitions: Vec<&'a PartitionRow>) -> GroupJson<'a> {
    let GroupRow { group, source, at, error, partitions: _ } = row;
    let findings = partitions.iter().flat_map(|partition| {
        partition.findings.iter().map(|found| FindingJson::of(group, partition, found))
    });
    let findings = findings.collect();
    let there = partitions.into_iter().filter(|partition| !partition.gone);
    let partitions = there.map(PartitionJson::from).collect();
    GroupJson { group, source, at: *at, error: error.as_deref(), partitions, findings }
}

impl PartitionJson<'_> {
    /// The group, the stream, the partition, and up to where it was committed.
    fn place(&self, group: &GroupJson<'_>) -> (String, String, String, u64) {
        let committed = self.committed.unwrap_or(0);
        (group.group.to_owned(), self.stream.to_owned(), self.partition.to_owned(), committed)
    }
}

impl<'a> From<&'a PartitionRow> for PartitionJson<'a> {
    fn from(row: &'a PartitionRow) -> Self {
        let PartitionRow {
            stream,
            partition,
            gone: _,
            committed,
            log_start,
            log_end,
            lost,
            findings: _,
        } = row;
        Self {
            stream,
            partition,
            committed: *committed,
            log_start: *log_start,
            log_end: *log_end,
            lag: row.lag(),
            retention_lost: *lost,
            committed_unhanded: Vec::new(),
        }
    }
}

impl<'a> FindingJson<'a> {
    fn of(group: &str, row: &'a PartitionRow, finding: &Finding) -> Self {
        let Finding { first, last, lost, since } = *finding;
        Self {
            id: row.id(group, finding),
            stream: &row.stream,
            partition: &row.partition,
            cause: "retention",
            state: if lost { "lost" } else { "unknown" },
            first,
            last,
            count: last - first + 1,
            since,
        }
    }
}
