//! Duplicates: how many of which kind, and the newest rows.

use lacuna_core::report::DuplicateRow;
use lacuna_core::totals::Duplicates;
use lacuna_core::verdict::Repeat;
use maud::{Markup, html};

use super::query::Query;
use super::shown::Shown;
use super::words::{ago, number, time};
use crate::report::repeat_word;

pub(super) fn repeats(shown: &Shown) -> Markup {
    let Duplicates { resent, redelivered, undetermined } = shown.totals().duplicates;
    let kinds = [
        (
            "resent",
            resent,
            "stored again at another position: by a producer's retry, or its application's",
        ),
        ("redelivered", redelivered, "the same stored message, handed over again"),
        ("undetermined", undetermined, "neither a position nor the broker's flag tells which"),
    ];
    let rows = &shown.overview.duplicates;
    html! {
        section.repeats #repeats aria-labelledby="repeats-title" {
            header { h2 #repeats-title { "Repeated" } }
            @if kinds.iter().all(|(_, count, _)| *count == 0) {
                p.empty { "No message came twice." }
            } @else {
                dl.kinds {
                    @for (kind, count, what) in kinds.into_iter().filter(|(_, count, _)| *count > 0) {
                        div { dt { b { (number(count)) } " " (kind) } dd { (what) } }
                    }
                }
            }
            @if !rows.is_empty() {
                div.table {
                    table {
                        thead { tr {
                            th { "Number" } th { "Kind" } th { "Where" } th { "Producer" }
                            th.n { "First at" } th.n { "Again at" } th { "When" }
                        } }
                        tbody { @for row in rows { (repeat(shown, row)) } }
                    }
                }
            }
            @if let Some(older) = &shown.older_repeats {
                p.more { a href={ (Query { repeats: Some(older.clone()), ..shown.query.clone() }.link()) "#repeats" } { "Older" } }
            }
        }
    }
}

fn repeat(shown: &Shown, row: &DuplicateRow) -> Markup {
    let kind = match row.kind {
        Repeat::Resent | Repeat::Redelivered | Repeat::Undetermined => repeat_word(row.kind),
    };
    let position = |position: Option<u64>| match position {
        Some(position) => number(position),
        None => html! { span.zero { "–" } },
    };
    html! {
        tr {
            th scope="row" { (number(row.seq)) }
            td { (kind) }
            td { (row.stream) " / " (row.partition)
                @if row.view != "log" { " " span.view { (row.view) } } }
            td { a.id href=(shown.query.of_producer(&row.producer).link()) { (row.producer) } }
            td.n { (position(row.earlier)) }
            td.n { (position(row.position)) }
            td { (time(row.time.unwrap_or(row.at))) " " span.view { (ago(row.at, shown.at)) } }
        }
    }
}
