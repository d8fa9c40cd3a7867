//! What cannot be known, and why: no count of it is left out.

use lacuna_core::totals::{ByDesign, Count, Observed, Unknown};
use maud::{Markup, html};

use super::shown::Shown;
use super::words::number;
use crate::report::Many;

pub(super) fn unknown(shown: &Shown) -> Markup {
    let totals = shown.totals();
    let Unknown { joined, paused, evicted, transaction } = totals.unknown;
    let ByDesign { aborted, compacted, expired, retention } = totals.by_design;
    let Observed { valid: _, absent, malformed, unsupported, foreign } = totals.observed;
    let without = totals.lanes_without_ledger;
    let judged: [(Count, &str, &str); 4] = [
        (
            paused,
            "paused",
            "from while nothing was looking: checking was off, the sidecar was away, or its source could not read",
        ),
        (
            evicted,
            "evicted",
            "dropped to bound the memory: raise limits.lanes or limits.cut_memory_bytes",
        ),
        (
            transaction,
            "transaction",
            "in the log, and possibly rolled back: no ledger says that it was committed",
        ),
        (
            joined,
            "joined",
            "from before the watch began: watch from the beginning to judge these too",
        ),
    ];
    let design: [(Count, &str, &str); 5] = [
        (
            totals.refused,
            "refused",
            "the broker or client refused them, and the application was told: if it ignored that, they are gone",
        ),
        (aborted, "aborted", "rolled back with their transaction"),
        (compacted, "compacted", "replaced by a later message with their key"),
        (expired, "expired", "older than their time to live"),
        (retention, "retention", "deleted by the log's retention before they were read"),
    ];
    let stamps: [(Count, &str, &str); 4] = [
        (
            absent.into(),
            "without a stamp",
            "their producers do not stamp: nothing can be said of them",
        ),
        (malformed.into(), "with a malformed stamp", "something writes or changes the header"),
        (
            unsupported.into(),
            "with a stamp of another version",
            "newer producers than this sidecar",
        ),
        (
            foreign.into(),
            "with another stream's stamp",
            "copied here by a forwarder or mirror: aliases declares one",
        ),
    ];
    html! {
        section.unknown #unknown aria-labelledby="unknown-title" {
            header { h2 #unknown-title { "Unknown, and why" } }
            (list("Numbers that cannot be judged", &judged))
            (list("Numbers that are absent for a reason", &design))
            (list("Messages that are not counted", &stamps))
            @if without > 0 {
                p { (Many(without, "lane").to_string())
                    " without a ledger: of those an end that was lost cannot be told." }
            }
            @for stream in &shown.overview.unwatched {
                p { "A producer's ledger speaks of stream " b { (stream) } ", and nothing looks at it." }
            }
            @let all = judged.iter().chain(&design).chain(&stamps);
            @if all.map(|(count, ..)| *count).sum::<Count>() == 0 && without == 0
                && shown.overview.unwatched.is_empty() {
                p.empty { "Nothing: every number that was seen here is judged." }
            }
        }
    }
}

fn list(title: &str, rows: &[(Count, &str, &str)]) -> Markup {
    html! {
        @if rows.iter().any(|(count, ..)| *count > 0) {
            h3 { (title) }
            dl.kinds {
                @for (count, name, why) in rows.iter().filter(|(count, ..)| *count > 0) {
                    div { dt { b { (number(*count)) } " " (name) } dd { (why) } }
                }
            }
        }
    }
}
