//! The tellers' lines in one order out of many.

use super::history::{BEGINNING, History};
use crate::line::{LOG, Line, Place};
use crate::rng::Rng;

/// How the tellers take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turns {
    /// As it happened.
    ByTime,
    /// The ledger, the log, the groups, one after the other.
    LedgerFirst,
    /// The groups, the log, the ledger, one after the other.
    LedgerLast,
    /// The log, the ledger, the groups.
    LogFirst,
    /// Whoever is drawn, for as long as is drawn; the ledger's records overtake each other.
    Drawn,
}

impl Turns {
    /// The order of the `index`th telling: first those that are most alike, then drawn ones.
    pub(super) fn of(index: u64) -> Self {
        match index {
            0 => Self::ByTime,
            1 => Self::LedgerFirst,
            2 => Self::LedgerLast,
            3 => Self::LogFirst,
            _ => Self::Drawn,
        }
    }
}

/// All lines; every teller's own in their order.
pub(super) fn told(rng: &mut Rng, history: &History, turns: Turns) -> Vec<Line> {
    let mut ledger = history.ledger.clone();
    if turns == Turns::Drawn {
        for index in (1..ledger.len()).rev() {
            ledger.swap(index, rng.index(index + 1));
        }
    }
    let views = |is_log: bool| {
        let tellers =
            history.tellers.iter().filter(move |(place, ..)| (place.view == LOG) == is_log);
        tellers.map(|(.., lines)| lines.clone())
    };
    let mixed = |rng: &mut Rng, is_log| drawn(rng, views(is_log).collect());
    match turns {
        Turns::ByTime => {
            let mut lines: Vec<Line> = views(true).chain(views(false)).flatten().collect();
            lines.sort_by_key(Line::at);
            let step = lines.len() / (ledger.len() + 1) + 1;
            for (index, record) in (1..).zip(ledger) {
                lines.insert((index * (step + 1) - 1).min(lines.len()), record);
            }
            lines
        }
        Turns::LedgerFirst => [ledger, mixed(rng, true), mixed(rng, false)].concat(),
        Turns::LedgerLast => [mixed(rng, false), mixed(rng, true), ledger].concat(),
        Turns::LogFirst => [mixed(rng, true), ledger, mixed(rng, false)].concat(),
        Turns::Drawn => drawn(rng, views(true).chain(views(false)).chain([ledger]).collect()),
    }
}

fn drawn(rng: &mut Rng, mut tellers: Vec<Vec<Line>>) -> Vec<Line> {
    let longest = rng.pick(&[1, 3, 20]);
    tellers.retain(|lines| !lines.is_empty());
    for lines in &mut tellers {
        lines.reverse();
    }
    let mut told = Vec::new();
    while !tellers.is_empty() {
        let index = rng.index(tellers.len());
        for _ in 0..rng.between(1, longest) {
            told.extend(tellers[index].pop());
        }
        tellers.retain(|lines| !lines.is_empty());
    }
    told
}

/// As a live sidecar has it: whatever comes, comes now.
pub(super) fn live(rng: &mut Rng, lines: &mut [Line]) {
    let mut now = BEGINNING;
    for line in lines {
        now += if rng.chance(3) { 70 } else { rng.below(4) };
        match line {
            Line::Ledger(_) => {}
            Line::Message { at, .. }
            | Line::Watch { at, .. }
            | Line::End { at, .. }
            | Line::Cut { at, .. }
            | Line::Absent { at, .. } => *at = now,
        }
    }
}

/// Everybody has read to the end, again and again until every grace is over.
pub(super) fn ends(rng: &mut Rng, history: &History, told: &[Line]) -> Vec<Line> {
    let last = told.iter().filter_map(Line::at).max().unwrap_or(0);
    let mut lines = Vec::new();
    for round in 1..=3 {
        let at = last + round * (history.grace + 1);
        let mut places: Vec<(Place, Option<u64>)> =
            history.tellers.iter().map(|(place, end, _)| (*place, *end)).collect();
        while !places.is_empty() {
            let (place, position) = places.remove(rng.index(places.len()));
            lines.push(Line::End { place, position, at });
        }
    }
    lines
}
