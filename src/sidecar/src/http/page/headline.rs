//! Is anything lost now, and since when: one glance.

use lacuna_core::totals::{Count, Lost};
use maud::{Markup, html};

use super::shown::Shown;
use super::words::{ago, messages, number, time, unjudged};
use crate::report::Many;

/// How it is, the most urgent first. None of these says "fine" where something cannot be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// This many are lost, and nobody has dealt with them.
    Lost(Count),
    /// Checking is off, of everything.
    Off,
    /// These sources cannot read.
    Blind(Vec<String>),
    /// No stamped message was seen.
    Nothing,
    /// This many are missing, not judged yet.
    Missing(Count),
    /// Nothing is lost as far as it can be known.
    Partly,
    /// Nothing is lost.
    Fine,
}

impl Status {
    pub(super) fn of(shown: &Shown) -> Self {
        let totals = shown.totals();
        let blind: Vec<_> = shown.sources.iter().filter(|source| !source.up).collect();
        if shown.open_lost() > 0 {
            Self::Lost(shown.open_lost())
        } else if !shown.switch.is_on(None) {
            Self::Off
        } else if !blind.is_empty() {
            Self::Blind(blind.into_iter().map(|source| source.name.clone()).collect())
        } else if totals.seen == 0 {
            Self::Nothing
        } else if totals.missing > 0 {
            Self::Missing(totals.missing)
        } else if unjudged(&totals) > 0 {
            Self::Partly
        } else {
            Self::Fine
        }
    }

    /// For the style, and for the tab's title.
    pub(super) const fn class(&self) -> &'static str {
        match self {
            Self::Lost(_) => "lost",
            Self::Off | Self::Blind(_) | Self::Missing(_) => "warn",
            Self::Nothing | Self::Partly => "unsure",
            Self::Fine => "fine",
        }
    }

    /// What the tab says.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Lost(count) => format!("{} lost · Lacuna", number(*count).into_string()),
            Self::Off => "Checking is off · Lacuna".to_owned(),
            Self::Blind(_) => "A source cannot read · Lacuna".to_owned(),
            Self::Nothing | Self::Missing(_) | Self::Partly | Self::Fine => "Lacuna".to_owned(),
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::Lost(count) => {
                let is = if *count == 1 { "is" } else { "are" };
                format!("{} {} {is} lost", number(*count).into_string(), messages(*count))
            }
            Self::Off => "Checking is off".to_owned(),
            Self::Blind(names) => match &names[..] {
                [one] => format!("Source {one} cannot be read"),
                more => format!("{} sources cannot be read", more.len()),
            },
            Self::Nothing => "Nothing to judge yet".to_owned(),
            Self::Missing(count) => {
                let is = if *count == 1 { "is" } else { "are" };
                format!("Nothing is lost; {} {is} missing", number(*count).into_string())
            }
            Self::Partly => "Nothing is known to be lost".to_owned(),
            Self::Fine => "Nothing is lost".to_owned(),
        }
    }
}

pub(super) fn headline(shown: &Shown) -> Markup {
    let status = Status::of(shown);
    html! {
        section.headline.(status.class()) #lost aria-labelledby="headline" {
            div.mark aria-hidden="true" {}
            div.said {
                h1 #headline aria-live="polite" { (status.sentence()) }
                p { (beneath(shown, &status)) }
            }
        }
        (figures(shown))
    }
}

fn beneath(shown: &Shown, status: &Status) -> Markup {
    let totals = shown.totals();
    let done = shown.acknowledged_lost();
    html! {
        @match status {
            Status::Lost(_) => {
                @if let Some(since) = shown.overview.lost.since {
                    "since " (time(since)) " · " (stages(&shown.overview.lost.open).join(", "))
                    // Last in its line: it grows, and nothing may move with it.
                    " · " (ago(since, shown.at))
                } @else {
                    "Their lanes were dropped to bound the memory: the log has the ranges"
                }
            }
            Status::Off => { "Nothing is judged, and what passes meanwhile can never be." }
            Status::Blind(_) => {
                "What is written there now is not looked at. "
                a href="#sources" { "Which, and why" }
            }
            Status::Nothing => { "No stamped message has been read here." }
            Status::Missing(_) => { "Not judged yet: the grace is not over, or nothing later was read." }
            Status::Partly => {
                (number(unjudged(&totals))) " cannot be judged. " a href="#unknown" { "Why" }
            }
            Status::Fine => {
                "Of " (number(totals.seen)) " numbers seen in "
                (Many(shown.streams().len() as u64, "stream").to_string())
            }
        }
        @if done > 0 {
            span.aside { (number(done)) " more lost, and acknowledged" }
        }
    }
}

fn stages(lost: &Lost) -> Vec<String> {
    let Lost { produce, store, consume, undetermined } = *lost;
    let all = [
        (produce, "on the way to the broker"),
        (store, "by the store"),
        (consume, "between log and group"),
        (undetermined, "at an undetermined stage"),
    ];
    let some = all.into_iter().filter(|(count, _)| *count > 0);
    some.map(|(count, stage)| format!("{} {stage}", number(count).into_string())).collect()
}

/// The figures beneath, each a way to its section.
fn figures(shown: &Shown) -> Markup {
    let totals = shown.totals();
    let lag = shown.sources.iter().map(|source| u128::from(source.lag)).sum::<u128>();
    let missing = format!("{}#numbers", shown.query.in_state(Some("missing")).link());
    let figures = [
        ("lost", "Lost", shown.open_lost(), "#numbers"),
        ("missing", "Missing", totals.missing, missing.as_str()),
        ("repeated", "Repeated", totals.duplicates_sum().into(), "#repeats"),
        ("unknown", "Cannot be judged", unjudged(&totals), "#unknown"),
        ("behind", "Behind the log", lag, "#sources"),
        ("seen", "Seen", totals.seen.into(), "#where"),
    ];
    html! {
        nav.figures aria-label="Figures" {
            @for (class, name, count, to) in figures {
                a href=(to) class={ (class) @if count == 0 { " none" } } {
                    span.name { (name) }
                    span.value { (number(count)) }
                }
            }
        }
    }
}
