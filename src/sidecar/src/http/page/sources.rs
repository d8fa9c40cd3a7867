//! Lag and health: where messages are read, and the consumer groups that are watched.

use std::collections::BTreeMap;

use lacuna_core::totals::Count;
use maud::{Markup, html};

use super::shown::Shown;
use super::words::{ago, cell, number, time};
use crate::engine::SourceStatus;
use crate::groups::{Finding, GroupRow, PartitionRow};

/// Findings of a group that are shown.
const FINDINGS: usize = 20;

pub(super) fn sources(shown: &Shown) -> Markup {
    html! {
        section.sources #sources aria-labelledby="sources-title" {
            header { h2 #sources-title { "Sources and lag" } }
            @if shown.sources.is_empty() {
                p.empty { "No source is configured: only what is posted here is checked." }
            } @else {
                div.table {
                    table {
                        thead { tr {
                            th { "Source" } th { "State" } th.n { "Partitions" }
                            th.n { "Behind the log" }
                        } }
                        tbody { @for row in &shown.sources { (source(row)) } }
                    }
                }
            }
            @if !shown.groups.is_empty() { (groups(shown)) }
        }
    }
}

fn source(row: &SourceStatus) -> Markup {
    let SourceStatus { name, kind, up, ready, lag, partitions, unplaced: _, error } = row;
    html! {
        tr {
            th scope="row" { (name) " " span.view { (kind) } }
            td {
                @if *up && *ready { span.up { "reads" } }
                @else if *up { span.view { "begins" } }
                @else { span.down { "cannot read" } }
                @if let Some(error) = error { span.error { (error) } }
            }
            td.n { (number(*partitions as u64)) }
            td.n { (cell(*lag, "behind")) }
        }
    }
}

fn groups(shown: &Shown) -> Markup {
    html! {
        h3 { "Consumer groups, by what they commit" }
        div.table {
            table {
                thead { tr {
                    th { "Group" } th { "Stream" } th.n { "Partitions" } th.n { "Lag" }
                    th.n { "Taken by retention" } th { "Looked at" }
                } }
                tbody {
                    @for group in &shown.groups {
                        @for (stream, sums) in by_stream(group) {
                            tr {
                                th scope="row" { (group.group)
                                    @if let Some(error) = &group.error { span.error { (error) } } }
                                td { (stream) }
                                td.n { (number(sums.partitions)) }
                                td.n { (cell(sums.lag, "behind"))
                                    @if sums.silent > 0 { " " span.view { (number(sums.silent)) " without a commit" } } }
                                td.n { (cell(sums.lost, "lost")) }
                                td { @if let Some(at) = group.at { (ago(at, shown.at)) } }
                            }
                        }
                        @if group.partitions.is_empty() {
                            tr {
                                th scope="row" { (group.group)
                                    @if let Some(error) = &group.error { span.error { (error) } } }
                                td colspan="5" { span.zero { "nothing committed" } }
                            }
                        }
                    }
                }
            }
        }
        @let findings = shown.groups.iter().flat_map(findings).collect::<Vec<_>>();
        @if !findings.is_empty() {
            h3 { "Retention took these before the group had committed them" }
            ul.plain {
                @for (group, row, Finding { first, last, lost, since }) in findings.iter().take(FINDINGS) {
                    li {
                        span class={ "badge " (if *lost { "lost" } else { "unknown" }) } {
                            (if *lost { "lost" } else { "unknown" })
                        }
                        " " (group.group) ": " (row.stream) " / " (row.partition) ", offsets "
                        b { (number(*first)) "–" (number(*last)) } ", noticed " (time(*since))
                    }
                }
            }
            @if findings.len() > FINDINGS {
                p.more { a href="/v1/groups" { "All of them as JSON" } }
            }
        }
    }
}

#[derive(Default)]
struct Sums {
    partitions: u64,
    lag: Count,
    /// Partitions without a commit, whose lag is not known.
    silent: u64,
    lost: Count,
}

fn by_stream(group: &GroupRow) -> BTreeMap<&str, Sums> {
    let mut streams: BTreeMap<&str, Sums> = BTreeMap::new();
    for row in group.partitions.iter().filter(|row| !row.gone) {
        let sums = streams.entry(&row.stream).or_default();
        sums.partitions += 1;
        match row.lag() {
            Some(lag) => sums.lag += Count::from(lag),
            None => sums.silent += 1,
        }
        sums.lost += Count::from(row.lost);
    }
    streams
}

fn findings(group: &GroupRow) -> impl Iterator<Item = (&GroupRow, &PartitionRow, Finding)> {
    let partitions = group.partitions.iter();
    partitions.flat_map(move |row| row.findings.iter().map(move |finding| (group, row, *finding)))
}
