//! Who: producers, and of a chosen one its lanes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use lacuna_core::report::{Base, LaneRow, LedgerRow};
use lacuna_core::totals::{Count, Totals};
use maud::{Markup, html};

use super::shown::Shown;
use super::words::{ago, cell, lost, number, unjudged};
use crate::report::{Grouped, Many};

/// Producers that are shown, those with findings first.
const PRODUCERS: usize = 15;
/// Lanes of a chosen producer or partition that are shown.
const LANES: usize = 100;

/// One producer, all of its lanes added up.
#[derive(Default)]
struct Producer {
    totals: Totals,
    epochs: BTreeSet<u64>,
    last_at: Option<u64>,
    clash: bool,
}

pub(super) fn producers(shown: &Shown) -> Markup {
    let acknowledged = shown.acknowledged_by_producer();
    let mut rows: Vec<(&str, Producer)> = gather(shown).into_iter().collect();
    rows.sort_by_cached_key(|(name, row)| {
        let done = acknowledged.get(name).copied().unwrap_or(0);
        let lost = row.totals.lost_sum();
        Reverse((
            lost.saturating_sub(done),
            row.totals.missing,
            row.totals.duplicates_sum(),
            lost,
            unjudged(&row.totals),
            row.last_at,
        ))
    });
    let more = rows.len().saturating_sub(PRODUCERS);
    html! {
        section.who #who aria-labelledby="who-title" {
            header {
                h2 #who-title { "Who" }
                @if !shown.overview.without_lanes {
                    p.sub { (Many(rows.len() as u64, "producer").to_string()) ", "
                        (Many(shown.totals().lanes, "lane").to_string()) }
                }
            }
            @if shown.overview.without_lanes {
                p.empty {
                    (number(shown.overview.totals.lanes))
                    " lanes are too many to add up here: choose a stream or a partition, or ask "
                    code { "/v1/report?producer=…" }
                }
            } @else if rows.is_empty() {
                p.empty { "No producer is known here." }
            } @else {
                div.table {
                    table {
                        thead { tr {
                            th { "Producer" } th.n { "Lost" } th.n { "Missing" }
                            th.n { "Repeated" } th.n { "Not judged" } th.n { "Seen" }
                            th.n { "Runs" } th { "Last seen" }
                        } }
                        tbody {
                            @for (name, row) in rows.iter().take(PRODUCERS) {
                                (producer(shown, name, row, acknowledged.get(name).copied().unwrap_or(0)))
                            }
                        }
                    }
                }
                @if more > 0 {
                    p.more { "and " (Many(more as u64, "more producer").to_string()) ": "
                        a href=(shown.query.report(true)) { "all lanes as JSON" } }
                }
            }
            @if shown.query.producer.is_some() || shown.query.partition.is_some() {
                (lanes(shown))
            }
        }
    }
}

fn gather(shown: &Shown) -> BTreeMap<&str, Producer> {
    let mut producers: BTreeMap<&str, Producer> = BTreeMap::new();
    for stream in shown.streams() {
        for lane in stream.partitions.iter().flat_map(|partition| &partition.lanes) {
            let producer = producers.entry(&lane.producer).or_default();
            producer.totals += &lane.totals;
            producer.epochs.insert(lane.epoch);
            producer.last_at = producer.last_at.max(lane.last_at);
            producer.clash |= lane.clash;
        }
    }
    producers
}

fn producer(shown: &Shown, name: &str, row: &Producer, acknowledged: Count) -> Markup {
    let Producer { totals, epochs, last_at, clash } = row;
    html! {
        tr {
            th scope="row" {
                a.id href=(shown.query.of_producer(name).link()) { (name) }
                @if *clash {
                    span.note title="Two live clients share this name and epoch: their numbers look like repeats" {
                        "identity clash"
                    }
                }
            }
            td.n { (lost(totals.lost_sum(), acknowledged)) }
            td.n { (cell(totals.missing, "missing")) }
            td.n { (cell(totals.duplicates_sum(), "repeated")) }
            td.n { (cell(unjudged(totals), "unknown")) }
            td.n { (number(totals.seen)) }
            td.n { (number(epochs.len() as u64)) }
            td { @if let Some(at) = last_at { (ago(*at, shown.at)) } @else { span.zero { "never" } } }
        }
    }
}

fn lanes(shown: &Shown) -> Markup {
    let mut rows: Vec<_> = shown
        .streams()
        .iter()
        .flat_map(|stream| stream.partitions.iter().map(move |partition| (stream, partition)))
        .flat_map(|(stream, partition)| {
            partition.lanes.iter().map(move |lane| (stream, partition, lane))
        })
        .collect();
    rows.sort_by_key(|(.., lane)| Reverse((open(lane), lane.last_at)));
    let more = rows.len().saturating_sub(LANES);
    html! {
        h3 { "Lanes" }
        div.table {
            table {
                thead { tr {
                    th { "Lane" } th { "View" } th { "Run (epoch)" } th.n { "From" } th.n { "Next" }
                    th.n { "Lost" } th.n { "Missing" } th.n { "Repeated" } th { "Ledger" }
                } }
                tbody {
                    @for (stream, partition, lane) in rows.iter().take(LANES) {
                        tr {
                            th scope="row" { (stream.stream) " / " (partition.partition)
                                @if lane.lane != partition.partition { " (" (lane.lane) ")" }
                                " " span.view { (lane.producer) } }
                            td { (stream.view) }
                            td { code { (format!("{:x}", lane.epoch)) } }
                            td.n { (number(lane.first)) @if let Some(why) = base(lane.base) { " " span.view { (why) } } }
                            td.n { (number(lane.next)) }
                            td.n { (cell(lane.totals.lost_sum(), "lost")) }
                            td.n { (cell(lane.totals.missing, "missing")) }
                            td.n { (cell(lane.totals.duplicates_sum(), "repeated")) }
                            td { (ledger(lane.ledger.as_ref())) }
                        }
                    }
                }
            }
        }
        @if more > 0 { p.more { "and " (Many(more as u64, "more lane").to_string()) } }
    }
}

fn open(lane: &LaneRow) -> (Count, Count) {
    (lane.totals.lost_sum(), lane.totals.missing)
}

const fn base(base: Base) -> Option<&'static str> {
    match base {
        Base::Zero => None,
        Base::Joined => Some("joined"),
        Base::Paused => Some("paused"),
        Base::Evicted => Some("evicted"),
    }
}

fn ledger(ledger: Option<&LedgerRow>) -> String {
    match ledger {
        None => "none".to_owned(),
        Some(ledger) if ledger.closed => "closed".to_owned(),
        Some(ledger) if ledger.pending > 0 => {
            format!("{} pending", Grouped(ledger.pending.into()))
        }
        Some(_) => "open".to_owned(),
    }
}
