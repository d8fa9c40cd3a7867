//! The document around the sections.

use maud::{DOCTYPE, Markup, html};

use super::headline::Status;
use super::shown::Shown;
use super::words::time;
use super::{assets, checking, grid, headline, numbers, producers, repeats, sources, unknown};
use crate::duration::Millis;

/// The whole page.
pub(super) fn document(shown: &Shown) -> Markup {
    let status = Status::of(shown);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (status.title()) }
                link rel="icon" href=(assets::address("icon.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(assets::address("page.css"));
                script src=(assets::address("idiomorph.js")) defer {}
                script src=(assets::address("page.js")) defer {}
            }
            body {
                a.skip href="#numbers" { "Skip to the numbers" }
                (bar(shown))
                main #report data-at=(shown.at) data-status=(status.class()) {
                    (headline::headline(shown))
                    (grid::grid(shown))
                    @if shown.query.stream.is_some() { (grid::partitions(shown)) }
                    (producers::producers(shown))
                    (numbers::numbers(shown))
                    (repeats::repeats(shown))
                    div.pair {
                        (unknown::unknown(shown))
                        div {
                            (sources::sources(shown))
                            (checking::checking(shown))
                        }
                    }
                }
                (foot(shown))
            }
        }
    }
}

/// Name, what is chosen, and whether this is live.
fn bar(shown: &Shown) -> Markup {
    let query = &shown.query;
    html! {
        header.bar {
            a.brand href="/" { "Lacuna" }
            nav.chosen aria-label="Chosen" {
                @for (name, value) in query.filters() {
                    @if let Some(value) = value {
                        a href=(query.without(name).link()) aria-label={ "Show every " (name) ", not " (value) " alone" } {
                            span.name { (name) } " " (value) " " span.cross aria-hidden="true" { "×" }
                        }
                    }
                }
            }
            details.choose {
                summary { "Filter" }
                form method="get" action="/" {
                    @for (name, value) in query.filters() {
                        label { span { (name) } input name=(name) value=[value] autocomplete="off" spellcheck="false"; }
                    }
                    @if let Some(state) = &query.state { input type="hidden" name="state" value=(state); }
                    button type="submit" { "Show" }
                    a href="/" { "Everything" }
                }
            }
            p.live #live role="status" { "as of " (time(shown.at)) " UTC" }
        }
    }
}

fn foot(shown: &Shown) -> Markup {
    html! {
        footer {
            p { "Lacuna " (env!("CARGO_PKG_VERSION")) " · grace " (Millis(shown.grace_ms).to_string())
                " · clock skew " (Millis(shown.clock_skew_ms).to_string())
                " · times are " span #zone { "UTC" } }
            nav aria-label="For programs" {
                a href=(shown.query.report(false)) { "Report" }
                a href="/v1/gaps" { "Gaps" } a href="/v1/duplicates" { "Repeats" }
                a href="/v1/groups" { "Groups" } a href="/v1/acknowledgements" { "Acknowledgements" }
                a href="/metrics" { "Metrics" } a href="/openapi.json" { "OpenAPI" }
            }
        }
    }
}
