//! Numbers, times and states as the page shows them.

use lacuna_core::report::GapRow;
use lacuna_core::totals::{Count, Totals};
use lacuna_core::verdict::State;
use maud::{Markup, html};

use crate::report::{Grouped, gap_state, reason_word, stage_word};

/// How many numbers a row has.
pub(super) fn count(row: &GapRow) -> Count {
    Count::from(row.last - row.first) + 1
}

/// `count` with its thousands apart.
pub(super) fn number(count: impl Into<Count>) -> Markup {
    html! { (Grouped(count.into()).to_string()) }
}

/// A number in a table: what is 0 steps back.
pub(super) fn cell(count: impl Into<Count>, class: &str) -> Markup {
    let count = count.into();
    html! {
        @if count == 0 { span.zero { "0" } } @else { span class=(class) { (number(count)) } }
    }
}

/// What is lost, in a table: what nobody has dealt with, and apart from it what somebody has.
pub(super) fn lost(count: Count, acknowledged: Count) -> Markup {
    html! {
        (cell(count.saturating_sub(acknowledged), "lost"))
        @if acknowledged > 0 { " " span.done { "+ " (number(acknowledged)) " acknowledged" } }
    }
}

/// `message` or `messages`.
pub(super) fn messages(count: Count) -> &'static str {
    if count == 1 { "message" } else { "messages" }
}

/// What cannot be judged, but for what was there before the watch began.
pub(super) fn unjudged(totals: &Totals) -> Count {
    let unknown = &totals.unknown;
    unknown.paused + unknown.evicted + unknown.transaction
}

/// A time, ms since the Unix epoch: in UTC here, in the reader's zone where a script runs.
pub(super) fn time(at: u64) -> Markup {
    let utc = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    html! {
        @match utc {
            Some(utc) => {
                @let full = format!("{utc:.3}");
                @let shown = full.replace('T', " ");
                time datetime=(full) title={ (shown.trim_end_matches('Z')) " UTC" } {
                    (shown.split('.').next().unwrap_or(&shown))
                }
            }
            None => { (at) " ms" }
        }
    }
}

/// How long ago that was; a script counts on.
pub(super) fn ago(then: u64, now: u64) -> Markup {
    html! { span.ago data-then=(then) { (duration(now.saturating_sub(then))) " ago" } }
}

/// A span of time in its largest whole unit.
fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The badge of a row's state.
pub(super) fn badge(state: Option<State>, acknowledged: bool) -> Markup {
    let (class, detail) = match state {
        Some(State::Lost(stage)) if acknowledged => ("done", Some(stage_word(stage))),
        Some(State::Lost(stage)) => ("lost", Some(stage_word(stage))),
        Some(State::Missing) => ("missing", None),
        Some(State::Unknown(reason)) => ("unknown", Some(reason_word(reason))),
        Some(State::Refused) => ("refused", None),
        Some(State::ByDesign(_) | State::LostInLog) => ("design", None),
        None => ("recovered", None),
    };
    html! {
        span class={ "badge " (class) } {
            (gap_state(state))
            @if let Some(detail) = detail { " " span.detail { (detail) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_to_the_millisecond_on_hover() {
        let shown = time(1_763_631_000_123).into_string();
        let expected = r#"<time datetime="2025-11-20T09:30:00.123Z" title="2025-11-20 09:30:00.123 UTC">2025-11-20 09:30:00</time>"#;
        assert_eq!(shown, expected);
        assert_eq!(time(u64::MAX).into_string(), "18446744073709551615 ms");
    }

    #[test]
    fn a_duration_is_never_rounded_up() {
        for (ms, text) in [
            (0, "0 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (3_599_999, "59 min"),
            (3_600_000, "1 h"),
            (172_799_999, "47 h"),
            (172_800_000, "2 days"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }
}
