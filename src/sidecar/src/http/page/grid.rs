//! Where: every partition of every stream as one small cell.

use std::collections::HashMap;

use lacuna_core::report::{PartitionRow, StreamRow};
use lacuna_core::totals::{Count, Totals};
use maud::{Markup, html};

use super::query::Query;
use super::shown::{Place, Shown};
use super::words::{cell as figure, lost, number, unjudged};
use crate::report::Many;

/// Streams that have a row of their own; of those that are more, the ones with findings come first
/// and the rest stand in one block.
const ROWS: usize = 16;
/// Cells that are links, and say to a reader's aid what they hold; the rows below say the rest.
const LINKS: usize = 500;

/// What a cell shows: the most urgent of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Fine,
    Off,
    Unknown,
    Done,
    Repeated,
    Missing,
    Lost,
}

const LEGEND: [(Kind, &str); 7] = [
    (Kind::Lost, "lost"),
    (Kind::Missing, "missing"),
    (Kind::Repeated, "repeated"),
    (Kind::Done, "lost, acknowledged"),
    (Kind::Unknown, "cannot be judged"),
    (Kind::Off, "not checked"),
    (Kind::Fine, "nothing to report"),
];

impl Kind {
    fn of(totals: &Totals, acknowledged: Count, on: bool) -> Self {
        let lost = totals.lost_sum();
        if lost > acknowledged {
            Self::Lost
        } else if totals.missing > 0 {
            Self::Missing
        } else if totals.duplicates_sum() > 0 {
            Self::Repeated
        } else if lost > 0 {
            Self::Done
        } else if unjudged(totals) > 0 {
            Self::Unknown
        } else if !on {
            Self::Off
        } else {
            Self::Fine
        }
    }

    const fn class(self) -> &'static str {
        match self {
            Self::Fine => "f",
            Self::Off => "o",
            Self::Unknown => "u",
            Self::Done => "d",
            Self::Repeated => "r",
            Self::Missing => "m",
            Self::Lost => "l",
        }
    }
}

/// A stream's row, and what is worst in it.
struct Row<'a> {
    stream: &'a StreamRow,
    kinds: Vec<Kind>,
    worst: Kind,
}

pub(super) fn grid(shown: &Shown) -> Markup {
    let acknowledged = shown.acknowledged_by_place();
    let mut rows: Vec<Row<'_>> = shown
        .streams()
        .iter()
        .map(|stream| {
            let on = shown.switch.is_on(Some(&stream.stream));
            let kinds: Vec<_> =
                stream.partitions.iter().map(|row| kind(stream, row, &acknowledged, on)).collect();
            let worst = kinds.iter().copied().max().unwrap_or(Kind::Fine);
            Row { stream, kinds, worst }
        })
        .collect();
    let cells: usize = rows.iter().map(|row| row.kinds.len()).sum();
    rows.sort_by_key(|row| std::cmp::Reverse(row.worst));
    let (own, rest) = rows.split_at(rows.len().min(ROWS));
    let mut links = LINKS;
    html! {
        section.where #where aria-labelledby="where-title" {
            header {
                h2 #where-title { "Where" }
                p.sub { (Many(rows.len() as u64, "view").to_string()) " of streams, "
                    (Many(cells as u64, "partition").to_string()) }
                (legend(&rows))
            }
            @if rows.is_empty() {
                p.empty {
                    @if shown.query.is_filtered() { "Nothing matches." }
                    @else { "No stream is known yet." }
                }
            }
            div.grid.(size(cells)) {
                @for row in own { (stream_row(shown, row, &acknowledged, &mut links)) }
                @if !rest.is_empty() {
                    div.stream.rest {
                        div.name { (Many(rest.len() as u64, "more view").to_string()) " of streams" }
                        div.cells {
                            @for row in rest { (cells_of(row, &mut links)) }
                        }
                    }
                }
            }
            p.pointed aria-hidden="true" { "\u{a0}" }
        }
    }
}

fn kind(
    stream: &StreamRow,
    row: &PartitionRow,
    acknowledged: &HashMap<Place<'_>, Count>,
    on: bool,
) -> Kind {
    Kind::of(&row.totals, done(stream, row, acknowledged), on)
}

/// What of a partition's losses somebody has dealt with.
fn done(stream: &StreamRow, row: &PartitionRow, acknowledged: &HashMap<Place<'_>, Count>) -> Count {
    let place = (stream.view.as_str(), stream.stream.as_str(), row.partition.as_str());
    acknowledged.get(&place).copied().unwrap_or(0)
}

/// So large that few are read at a glance, so small that ten thousand fit.
const fn size(cells: usize) -> &'static str {
    match cells {
        0..=96 => "large",
        97..=1_000 => "middle",
        _ => "small",
    }
}

/// What the kinds that are there look like.
fn legend(rows: &[Row<'_>]) -> Markup {
    let there = |kind: Kind| rows.iter().any(|row| row.kinds.contains(&kind));
    html! {
        ul.legend aria-label="Legend" {
            @for (kind, name) in LEGEND.into_iter().filter(|(kind, _)| there(*kind)) {
                li { i.(kind.class()) {} (name) }
            }
        }
    }
}

fn stream_row(
    shown: &Shown,
    row: &Row<'_>,
    acknowledged: &HashMap<Place<'_>, Count>,
    links: &mut usize,
) -> Markup {
    let Row { stream: StreamRow { view, stream, totals, partitions }, .. } = row;
    let off = !shown.switch.is_on(Some(stream));
    let done = acknowledged.iter().filter(|((of, name, _), _)| of == view && name == stream);
    let done: Count = done.map(|(_, count)| count).sum();
    let open = totals.lost_sum().saturating_sub(done);
    html! {
        div.stream {
            div.name {
                a href=(Query::place(view, stream, None).link()) { (stream) }
                " " span.view { (view) }
                @if off { " " span.off { "not checked" } }
            }
            (cells_of(row, links))
            div.sums aria-label={ (Many(partitions.len() as u64, "partition").to_string()) } {
                @if open > 0 { span.lost { (number(open)) " lost" } }
                @if done > 0 { span.done { (number(done)) " acknowledged" } }
                @if totals.missing > 0 { span.missing { (number(totals.missing)) " missing" } }
                @if totals.duplicates_sum() > 0 {
                    span.repeated { (number(totals.duplicates_sum())) " repeated" }
                }
            }
        }
    }
}

/// Cells without findings are as little as can be: there may be ten thousand. A script finds what
/// one is by its place among the others.
fn cells_of(row: &Row<'_>, links: &mut usize) -> Markup {
    let Row { stream: StreamRow { view, stream, partitions, .. }, kinds, .. } = row;
    let numbered =
        partitions.iter().enumerate().all(|(index, row)| row.partition == index.to_string());
    let labels: Vec<&str> = partitions.iter().map(|row| row.partition.as_str()).collect();
    let labels = (!numbered).then(|| serde_json::json!(labels).to_string());
    html! {
        div.cells role="group" aria-label={ "Partitions of " (stream) ", view " (view) }
            data-view=(view) data-stream=(stream) data-labels=[labels] {
            @for (row, kind) in partitions.iter().zip(kinds) {
                @if *kind == Kind::Fine {
                    i {}
                } @else if *links > 0 {
                    @let () = *links -= 1;
                    a.(kind.class()) href=(Query::place(view, stream, Some(&row.partition)).link())
                        aria-label=(says(row)) {}
                } @else {
                    i.(kind.class()) {}
                }
            }
        }
    }
}

/// What a partition's cell stands for.
fn says(row: &PartitionRow) -> String {
    let totals = &row.totals;
    let counts = [
        (totals.lost_sum(), "lost"),
        (totals.missing, "missing"),
        (totals.duplicates_sum().into(), "repeated"),
        (unjudged(totals), "that cannot be judged"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> =
        counts.map(|(count, what)| format!("{} {what}", number(count).into_string())).collect();
    let counts = if counts.is_empty() { "not checked".to_owned() } else { counts.join(", ") };
    format!("partition {}: {counts}", row.partition)
}

/// A chosen stream's partitions in figures.
pub(super) fn partitions(shown: &Shown) -> Markup {
    let acknowledged = shown.acknowledged_by_place();
    let all = shown.streams().iter();
    let mut rows: Vec<_> = all
        .flat_map(|stream| stream.partitions.iter().map(move |row| (stream, row)))
        .map(|(stream, row)| (kind(stream, row, &acknowledged, true), stream, row))
        .collect();
    rows.sort_by_key(|(kind, ..)| std::cmp::Reverse(*kind));
    let more = rows.len().saturating_sub(ROWS);
    html! {
        div.table {
            table {
                thead { tr {
                    th { "Partition" } th { "View" } th.n { "Lost" } th.n { "Missing" }
                    th.n { "Repeated" } th.n { "Not judged" } th.n { "Seen" } th.n { "Read to" }
                    th.n { "Log end" }
                } }
                tbody {
                    @for (_, stream, row) in rows.iter().take(ROWS) {
                        @let place = Query::place(&stream.view, &stream.stream, Some(&row.partition));
                        tr {
                            th scope="row" { a href=(place.link()) { (stream.stream) " / " (row.partition) } }
                            td { (stream.view) }
                            td.n { (lost(row.totals.lost_sum(), done(stream, row, &acknowledged))) }
                            td.n { (figure(row.totals.missing, "missing")) }
                            td.n { (figure(row.totals.duplicates_sum(), "repeated")) }
                            td.n { (figure(unjudged(&row.totals), "unknown")) }
                            td.n { (number(row.totals.seen)) }
                            td.n { (position(row.position)) }
                            td.n { (position(row.end)) }
                        }
                    }
                }
            }
            @if more > 0 { p.more { "and " (Many(more as u64, "more partition").to_string()) } }
        }
    }
}

fn position(position: Option<u64>) -> Markup {
    html! { @if let Some(position) = position { (number(position)) } @else { span.zero { "–" } } }
}

#[cfg(test)]
mod tests {
    use lacuna_core::totals::{Duplicates, Lost};

    use super::*;

    #[test]
    fn a_cell_shows_the_most_urgent() {
        let lost = Totals { lost: Lost { store: 7, ..Lost::default() }, ..Totals::default() };
        assert_eq!(Kind::of(&lost, 6, true), Kind::Lost);
        assert_eq!(Kind::of(&lost, 7, true), Kind::Done);
        assert_eq!(Kind::of(&Totals { missing: 1, ..lost }, 7, true), Kind::Missing);
        let repeated = Duplicates { resent: 1, ..Duplicates::default() };
        let repeated = Totals { duplicates: repeated, ..lost };
        assert_eq!(Kind::of(&repeated, 7, true), Kind::Repeated);
        assert_eq!(Kind::of(&Totals::default(), 0, false), Kind::Off);
        assert_eq!(Kind::of(&Totals::default(), 0, true), Kind::Fine);
        let joined = lacuna_core::totals::Unknown { joined: 9, ..Default::default() };
        let joined = Totals { unknown: joined, ..Totals::default() };
        assert_eq!(Kind::of(&joined, 0, true), Kind::Fine);
    }
}
