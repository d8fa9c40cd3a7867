//! Found against truth: every number of every lane, every count, and every level's sum.

use std::collections::{BTreeMap, BTreeSet};

use lacuna_core::Checker;
use lacuna_core::report::{Base as CoreBase, Filter, GapRow, LaneRow, PartitionRow, StreamRow};
use lacuna_core::totals::Totals;
use lacuna_core::verdict::{
    Cause, Reason, Repeat as CoreRepeat, Stage as CoreStage, State, Verdict,
};

use crate::line::{LaneKey, Name, SPAN, Why};
use crate::oracle::{Base, Fate, LaneTruth, Oracle, PartTruth, Repeat, Sight, Stage, Unsure};

/// The first thing in which found and truth are not equal, in words.
pub type Difference = String;

/// All that a core reports.
#[derive(Clone, Debug)]
pub struct Found {
    /// The report's rows, with lanes.
    pub rows: Vec<StreamRow>,
    /// Rows of gaps in every state.
    pub gaps: Vec<GapRow>,
    /// The sum over all.
    pub totals: Totals,
}

impl Found {
    /// What one checker reports.
    pub fn of(checker: &mut Checker) -> Self {
        let everything = |_: Option<State>| true;
        Self {
            rows: checker.report(&Filter::default(), true),
            gaps: checker.gaps(&Filter::default(), &everything, None, usize::MAX),
            totals: checker.totals(),
        }
    }
}

/// Holds the core's whole report against the truth.
///
/// # Errors
///
/// The first difference.
pub fn compare(oracle: &Oracle, found: &Found) -> Result<(), Difference> {
    let Found { rows, gaps, totals } = found;
    let wanted: BTreeSet<(&str, &str)> = oracle.streams().collect();
    let says_something = |row: &&StreamRow| {
        let mut partitions = row.partitions.iter();
        partitions.any(|part| part.watched.is_some() || !part.lanes.is_empty())
            || row.totals != Totals::default()
    };
    let rows: Vec<&StreamRow> = rows.iter().filter(says_something).collect();
    let found: BTreeSet<(&str, &str)> =
        rows.iter().map(|row| (row.view.as_str(), row.stream.as_str())).collect();
    equal("views of streams", &found, &wanted)?;
    for row in &rows {
        stream(oracle, row, gaps)?;
    }
    adds_up("all", totals, rows.iter().map(|row| &row.totals))
}

/// Holds the verdict on one message against what it truly was.
///
/// # Errors
///
/// The difference.
pub fn verdict(sight: Sight, verdict: Verdict) -> Result<(), Difference> {
    let same = match verdict {
        Verdict::Unstamped | Verdict::Unsupported | Verdict::Malformed | Verdict::Foreign => {
            sight == Sight::NotCounted
        }
        Verdict::New | Verdict::Seen => sight == Sight::Seen,
        Verdict::Reordered => sight == Sight::Reordered,
        Verdict::Recovered => sight == Sight::Recovered,
        Verdict::Repeated(repeat) => sight == Sight::Repeated(plain_repeat(repeat)),
        Verdict::Reread => sight == Sight::Reread,
        // Whoever judges it does not say so here.
        Verdict::Elsewhere => true,
        Verdict::Unjudged => false,
    };
    if same { Ok(()) } else { Err(format!("verdict {verdict:?}, truth {sight:?}")) }
}

fn stream(oracle: &Oracle, row: &StreamRow, gaps: &[GapRow]) -> Result<(), Difference> {
    let StreamRow { view, stream, totals, partitions } = row;
    let at = format!("{view}/{stream}");
    let truths = oracle.streams().find(|(v, s)| v == view && s == stream);
    let (view, stream) = truths.ok_or_else(|| format!("{at} is no view"))?;
    let lanes = oracle.lanes(view, stream);
    let mut found: BTreeSet<LaneKey> = BTreeSet::new();
    for partition in partitions {
        for row in &partition.lanes {
            let at = format!("{at} {}@{:x} lane {}", row.producer, row.epoch, row.lane);
            let Some((&key, truth)) = lanes.iter().find(|(key, _)| is_lane(key, row)) else {
                return Err(format!("{at}: no such lane"));
            };
            if !found.insert(key) {
                return Err(format!("{at}: stands twice"));
            }
            equal(&format!("{at}: partition"), &partition.partition.as_str(), &key.label)?;
            lane(&at, row, truth)?;
            numbers(&at, row, truth, view, stream, gaps)?;
        }
        levels(&at, partition)?;
    }
    equal(&format!("{at}: lanes"), &found, &lanes.keys().copied().collect())?;
    for (name, truth) in oracle.parts(view, stream) {
        // Nothing was read, and nobody watches: it need not have a row.
        if truth == PartTruth::default() {
            continue;
        }
        let Some(row) = partitions.iter().find(|row| row.partition == name) else {
            return Err(format!("{at}: no partition {name}"));
        };
        let o = row.totals.observed;
        let observed = [o.valid, o.absent, o.malformed, o.unsupported, o.foreign];
        equal(&format!("{at} {name}: observed"), &observed, &truth.observed)?;
        equal(&format!("{at} {name}: log cuts"), &row.totals.log_cuts, &truth.cuts)?;
    }
    adds_up(&at, totals, partitions.iter().map(|row| &row.totals))
}

fn is_lane(key: &LaneKey, row: &LaneRow) -> bool {
    key.producer == row.producer && key.epoch == row.epoch && key.label == row.lane
}

fn lane(at: &str, row: &LaneRow, truth: &LaneTruth) -> Result<(), Difference> {
    let count = |fate: Fate| truth.fates.values().filter(|&&f| f == fate).count();
    let totals = &row.totals;
    let wide = |n: usize| u128::try_from(n).unwrap_or(u128::MAX);
    let states = [
        ("seen", u128::from(totals.seen), Fate::Seen),
        ("missing", totals.missing, Fate::Missing),
        ("lost produce", totals.lost.produce, Fate::Lost(Stage::Produce)),
        ("lost store", totals.lost.store, Fate::Lost(Stage::Store)),
        ("lost consume", totals.lost.consume, Fate::Lost(Stage::Consume)),
        ("lost undetermined", totals.lost.undetermined, Fate::Lost(Stage::Undetermined)),
        ("refused", totals.refused, Fate::Refused),
        ("aborted", totals.by_design.aborted, Fate::ByDesign(Why::Aborted)),
        ("compacted", totals.by_design.compacted, Fate::ByDesign(Why::Compacted)),
        ("expired", totals.by_design.expired, Fate::ByDesign(Why::Expired)),
        ("retention", totals.by_design.retention, Fate::ByDesign(Why::Retention)),
        ("joined", totals.unknown.joined, Fate::Unknown(Unsure::Joined)),
        ("paused", totals.unknown.paused, Fate::Unknown(Unsure::Paused)),
        ("transaction", totals.unknown.transaction, Fate::Unknown(Unsure::Transaction)),
    ];
    for (name, found, fate) in states {
        equal_in(at, name, &found, &wide(count(fate)), truth)?;
    }
    equal_in(at, "evicted", &totals.unknown.evicted, &0, truth)?;
    let counts = &truth.counts;
    for (name, found, wanted) in [
        ("observed", totals.observed.valid, counts.observed),
        ("recovered", totals.recovered, counts.recovered),
        ("reordered", totals.reordered, counts.reordered),
        ("resent", totals.duplicates.resent, counts.resent),
        ("redelivered", totals.duplicates.redelivered, counts.redelivered),
        ("repeats undetermined", totals.duplicates.undetermined, counts.undetermined),
        ("open gaps", totals.open_gaps, open_gaps(truth)),
    ] {
        equal_in(at, name, &found, &wanted, truth)?;
    }
    equal_in(at, "clash", &row.clash, &truth.clash, truth)?;
    equal_in(at, "ledger", &row.ledger.is_some(), &truth.has_ledger, truth)?;
    if let Some(base) = truth.base {
        let found = match row.base {
            CoreBase::Zero => Some(Base::Zero),
            CoreBase::Joined => Some(Base::Joined),
            CoreBase::Paused => Some(Base::Paused),
            CoreBase::Evicted => None,
        };
        equal_in(at, "base", &found, &Some(base), truth)?;
        equal_in(at, "first", &row.first, &truth.first, truth)?;
    }
    // What is lost in the log has no state in a group; all else has one.
    let has_state: u128 = [
        u128::from(totals.seen),
        totals.missing,
        totals.lost_sum(),
        totals.refused,
        totals.by_design.aborted + totals.by_design.compacted,
        totals.by_design.expired + totals.by_design.retention,
        totals.unknown.joined + totals.unknown.paused,
        totals.unknown.evicted + totals.unknown.transaction,
    ]
    .into_iter()
    .sum();
    let lost_in_log = wide(count(Fate::LostInLog));
    equal_in(at, "all numbers", &has_state, &(u128::from(row.next) - lost_in_log), truth)
}

/// Rows in state missing and lost: a range is split where state or stage changes.
fn open_gaps(truth: &LaneTruth) -> u64 {
    let mut rows = 0;
    let mut before: Option<(u64, Fate)> = None;
    for (&n, &fate) in &truth.fates {
        let goes_on = before.is_some_and(|(m, f)| m + 1 == n && f == fate);
        let open = matches!(fate, Fate::Missing | Fate::Lost(_));
        rows += u64::from(open && !goes_on);
        before = Some((n, fate));
    }
    rows
}

/// The rows of a lane, spread out, are its numbers that were not seen.
fn numbers(
    at: &str,
    row: &LaneRow,
    truth: &LaneTruth,
    view: Name,
    stream: Name,
    gaps: &[GapRow],
) -> Result<(), Difference> {
    let mut found: BTreeMap<u64, Fate> = BTreeMap::new();
    let ours = |gap: &&GapRow| {
        (gap.view.as_str(), gap.stream.as_str()) == (view, stream)
            && (&gap.producer, gap.epoch, &gap.lane) == (&row.producer, row.epoch, &row.lane)
    };
    for gap in gaps.iter().filter(ours) {
        let Some(state) = gap.state else { continue };
        let Some(fate) = plain_state(state) else {
            return Err(format!("{at}: a row in state {state:?}"));
        };
        if gap.last - gap.first > 10_000 {
            return Err(format!("{at}: a row [{}, {}]", gap.first, gap.last));
        }
        for n in gap.first..=gap.last {
            if found.insert(n, fate).is_some() {
                return Err(format!("{at}: {n} stands in two rows"));
            }
        }
    }
    found.retain(|_, fate| *fate != Fate::LostInLog);
    let mut wanted = truth.fates.clone();
    wanted.retain(|_, fate| !matches!(fate, Fate::Seen | Fate::LostInLog));
    equal(&format!("{at}: rows"), &found, &wanted)
}

pub(crate) fn plain_state(state: State) -> Option<Fate> {
    Some(match state {
        State::Missing => Fate::Missing,
        State::Lost(CoreStage::Produce) => Fate::Lost(Stage::Produce),
        State::Lost(CoreStage::Store) => Fate::Lost(Stage::Store),
        State::Lost(CoreStage::Consume) => Fate::Lost(Stage::Consume),
        State::Lost(CoreStage::Undetermined) => Fate::Lost(Stage::Undetermined),
        State::Refused => Fate::Refused,
        State::ByDesign(Cause::Aborted) => Fate::ByDesign(Why::Aborted),
        State::ByDesign(Cause::Compacted) => Fate::ByDesign(Why::Compacted),
        State::ByDesign(Cause::Expired) => Fate::ByDesign(Why::Expired),
        State::ByDesign(Cause::Retention) => Fate::ByDesign(Why::Retention),
        State::Unknown(Reason::Joined) => Fate::Unknown(Unsure::Joined),
        State::Unknown(Reason::Paused) => Fate::Unknown(Unsure::Paused),
        State::Unknown(Reason::Transaction) => Fate::Unknown(Unsure::Transaction),
        State::Unknown(Reason::Evicted) => return None,
        State::LostInLog => Fate::LostInLog,
    })
}

fn plain_repeat(repeat: CoreRepeat) -> Repeat {
    match repeat {
        CoreRepeat::Resent => Repeat::Resent,
        CoreRepeat::Redelivered => Repeat::Redelivered,
        CoreRepeat::Undetermined => Repeat::Undetermined,
    }
}

/// A partition is its lanes and its rest.
fn levels(at: &str, row: &PartitionRow) -> Result<(), Difference> {
    let at = format!("{at} {}", row.partition);
    let mut totals = row.totals;
    // Messages are counted where they were read, lanes only their own; cuts are a partition's.
    totals.observed = lacuna_core::totals::Observed::default();
    totals.log_cuts = 0;
    let mut parts: Vec<Totals> = row.lanes.iter().map(|lane| lane.totals).collect();
    parts.push(row.rest);
    for part in &mut parts {
        part.observed = lacuna_core::totals::Observed::default();
    }
    if row.partition != SPAN {
        let spans = row.totals.observed.valid;
        let own: u64 = row.lanes.iter().map(|lane| lane.totals.observed.valid).sum();
        if own > spans {
            return Err(format!("{at}: lanes observed {own}, partition {spans}"));
        }
    }
    adds_up(&at, &totals, parts.iter())
}

/// All but `producers`, which are names.
fn adds_up<'a>(
    at: &str,
    whole: &Totals,
    parts: impl Iterator<Item = &'a Totals>,
) -> Result<(), Difference> {
    let mut sum = Totals::default();
    for part in parts {
        sum += part;
    }
    sum.producers = whole.producers;
    equal(&format!("{at}: sum of the level below"), whole, &sum)
}

fn equal<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: &T,
    truth: &T,
) -> Result<(), Difference> {
    if found == truth {
        return Ok(());
    }
    Err(format!("{what}\n  found {found:?}\n  truth {truth:?}"))
}

fn equal_in<T: PartialEq + std::fmt::Debug>(
    at: &str,
    what: &str,
    found: &T,
    wanted: &T,
    truth: &LaneTruth,
) -> Result<(), Difference> {
    equal(&format!("{at}: {what}"), found, wanted)
        .map_err(|difference| format!("{difference}\n  lane {truth:?}"))
}
