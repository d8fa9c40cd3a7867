//! One history in many orders: what is found in the end must be what was drawn.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lacuna_core::Checker;
use lacuna_core::report::{Filter, GapRow};

use super::counters::Counters;
use super::evidence;
use super::expected::{Expected, expected, truths};
use super::history::{BEGINNING, History, Repeats, Topic, View, generate};
use super::order::{Turns, ends, live, told};
use crate::compare::{Difference, plain_state};
use crate::core_side;
use crate::line::{LaneKey, Line, Name};
use crate::oracle::{Fate, Oracle};
use crate::rng::Rng;
use crate::trial::{Terms, said, shrink};

/// In how many orders each history is told.
const ORDERS: u64 = 10;

/// How every grace comes to be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The recording is said to be whole.
    Complete,
    /// Everybody reads to the end, and again.
    Ends,
    /// So they do, and all that came was judged by the time of its arrival.
    Live,
}

/// An order in which something else was found.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which of the orders.
    pub order: u64,
    /// As it was told.
    pub lines: Vec<Line>,
    /// How it came to its end.
    pub ending: Ending,
    /// Who found what.
    pub what: Difference,
}

/// Tells a seed's history in every order, to the core and to the plain account.
///
/// # Errors
///
/// The history and the first order in which one of them found something else.
pub fn run_seed(seed: u64) -> Result<(), Box<(History, Failure)>> {
    let history = generate(seed);
    let wanted = expected(&history);
    for order in 0..ORDERS {
        let mut rng = Rng::new(seed.wrapping_mul(31) + order);
        let mut lines = told(&mut rng, &history, Turns::of(order));
        let joins = history.topics.iter().any(Topic::is_joined);
        let ending = match rng.below(3) {
            0 => Ending::Complete,
            // What passes in the first grace after a join is a matter of its time.
            1 if !joins => Ending::Live,
            _ => Ending::Ends,
        };
        if ending == Ending::Live {
            live(&mut rng, &mut lines);
        }
        if ending != Ending::Complete {
            lines.extend(ends(&mut rng, &history, &lines));
        }
        let failed = catch_unwind(AssertUnwindSafe(|| judge(&history, &wanted, &lines, ending)))
            .unwrap_or_else(|panic| Err(format!("it stopped: {}", said(&*panic))));
        if let Err(what) = failed {
            return Err(Box::new((history, Failure { order, lines, ending, what })));
        }
    }
    Ok(())
}

fn judge(
    history: &History,
    wanted: &BTreeMap<(Name, LaneKey), Expected>,
    lines: &[Line],
    ending: Ending,
) -> Result<(), Difference> {
    let mut oracle = Oracle::new(history.grace, history.skew);
    let mut checker = core_side::checker(history.grace, history.skew);
    let mut counters = Counters::default();
    let mut now = BEGINNING;
    for (index, line) in lines.iter().enumerate() {
        oracle.apply(line);
        now = now.max(line.at().unwrap_or(now));
        if let (Line::Ledger(entry), Ending::Live) = (line, ending) {
            core_side::ledger(&mut checker, entry, now)?;
        } else {
            core_side::apply(&mut checker, line)?;
        }
        if ending == Ending::Live && matches!(line, Line::End { .. }) {
            // The ledger's channel is read as the log is.
            checker.ledger_read(now);
        }
        if index.is_multiple_of(5) {
            counters.read(&mut checker)?;
        }
    }
    if ending == Ending::Complete {
        oracle.complete();
        checker.complete();
    }
    counters.read(&mut checker)?;
    same("plain account", &truth(&oracle), wanted)?;
    same("core", &found(&mut checker)?, wanted)?;
    let gaps = checker.gaps(&Filter::default(), &|_| true, None, usize::MAX);
    for truth in truths(history) {
        for view in truth.topic.views() {
            for row in gaps.iter().filter(|row| row.state.is_some() && is_of(row, &truth.key, view))
            {
                evidence::check(&truth, view, row)?;
            }
        }
    }
    Ok(())
}

fn is_of(row: &GapRow, key: &LaneKey, view: &View) -> bool {
    let lane = (row.view.as_str(), row.stream.as_str(), row.lane.as_str());
    lane == (view.name, key.stream, key.label)
        && (row.producer.as_str(), row.epoch) == (key.producer, key.epoch)
}

fn same(
    who: &str,
    found: &BTreeMap<(Name, LaneKey), Expected>,
    wanted: &BTreeMap<(Name, LaneKey), Expected>,
) -> Result<(), Difference> {
    let nothing = Expected::default();
    for key in found.keys().chain(wanted.keys()) {
        let (found, wanted) =
            (found.get(key).unwrap_or(&nothing), wanted.get(key).unwrap_or(&nothing));
        if found != wanted {
            let (view, lane) = key;
            return Err(format!("{who}: {view} {lane:?}\n  found {found:?}\n  drawn {wanted:?}"));
        }
    }
    Ok(())
}

/// What the core's report says, lane by lane; its names are those of the lines.
fn found(checker: &mut Checker) -> Result<BTreeMap<(Name, LaneKey), Expected>, Difference> {
    let mut all: BTreeMap<(Name, LaneKey), Expected> = BTreeMap::new();
    let name = |text: &str| NAMES.into_iter().find(|name| *name == text);
    let lane = |stream: &str, label: &str, producer: &str, epoch: u64| {
        let (stream, label, producer) = (name(stream)?, name(label)?, name(producer)?);
        Some(LaneKey { stream, label, producer, epoch })
    };
    let unnamed = || "a name that nobody said".to_owned();
    let gaps = checker.gaps(&Filter::default(), &|_| true, None, usize::MAX);
    for stream in checker.report(&Filter::default(), true) {
        let view = name(&stream.view).ok_or_else(unnamed)?;
        for row in stream.partitions.iter().flat_map(|part| &part.lanes) {
            let key = lane(&stream.stream, &row.lane, &row.producer, row.epoch);
            let key = key.ok_or_else(unnamed)?;
            let mut fates: BTreeMap<u64, Fate> = BTreeMap::new();
            let ours = gaps.iter().filter(|gap| {
                gap.view == view
                    && lane(&gap.stream, &gap.lane, &gap.producer, gap.epoch) == Some(key)
            });
            for gap in ours {
                let Some(state) = gap.state else { continue };
                let fate = plain_state(state).ok_or("a row in no state of these")?;
                fates.extend((gap.first..=gap.last).map(|n| (n, fate)));
            }
            let lacuna_core::totals::Duplicates { resent, redelivered, undetermined } =
                row.totals.duplicates;
            let repeats = Repeats { resent, redelivered, undetermined };
            let seen = row.totals.seen;
            all.insert((view, key), Expected { seen, ..Expected::of(fates, repeats) });
        }
    }
    Ok(all)
}

const NAMES: [Name; 12] = ["s", "t", "0", "1", "2", "*", "a", "b", "c", "log", "billing", "audit"];

fn truth(oracle: &Oracle) -> BTreeMap<(Name, LaneKey), Expected> {
    let mut all = BTreeMap::new();
    for (view, stream) in oracle.streams() {
        for (key, truth) in oracle.lanes(view, stream) {
            let crate::oracle::Counts { resent, redelivered, undetermined, .. } = truth.counts;
            let repeats = Repeats { resent, redelivered, undetermined };
            all.insert((view, key), Expected::of(truth.fates, repeats));
        }
    }
    all
}

/// What a failing seed prints.
#[must_use]
pub fn account(seed: u64, history: &History, failure: &Failure) -> String {
    let History { grace, skew, .. } = *history;
    let Failure { order, lines, ending, what } = failure;
    // Where the plain account finds what was drawn, its difference from the core is the same one.
    let (fewest, shorter) = shrink(lines, Terms { grace, skew, every: 1, checkers: 1, lost: None });
    let shown = if shorter.is_some() { &fewest } else { lines };
    let trace: Vec<String> = shown.iter().map(Line::to_string).collect();
    format!(
        "stages, seed {seed}, order {order}, {ending:?}: {what}\n\
         replay: cargo run -p lacuna-sim --release -- --family stages --seed {seed}\n\
         lines (--grace {grace}ms --clock-skew {skew}ms){}:\n{}\n",
        shorter.map_or_else(String::new, |s| format!(", fewest, after {}: {}", s.after, s.what)),
        trace.join("\n"),
    )
}
