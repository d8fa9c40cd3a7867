//! The core under test: lines become the calls and bytes that a source would make of them.

use lacuna_core::ledger::LedgerRecord;
use lacuna_core::verdict::{Cause, Verdict};
use lacuna_core::{
    Checker, Limits, Observation, PartitionId, Settings, Share, StreamSettings, Watch,
};

use crate::line::{Entry, Line, Place, Why, ranges};

/// A core with the settings of a scenario.
#[must_use]
pub fn checker(grace: u64, skew: u64) -> Checker {
    share(grace, skew, Share::default())
}

/// One of several cores that share the work.
#[must_use]
pub fn share(grace: u64, skew: u64, share: Share) -> Checker {
    let default_stream =
        StreamSettings { grace_ms: grace, clock_skew_ms: skew, ..StreamSettings::default() };
    Checker::new(Settings { default_stream, limits: Limits::default(), hash_seed: 7, share })
}

/// Hands one line to the core; a message's verdict is given back.
///
/// # Errors
///
/// What the core refuses, in its own words: the generator writes nothing that may be refused.
pub fn apply(checker: &mut Checker, line: &Line) -> Result<Option<Verdict>, String> {
    match line {
        Line::Message { place, position, at, mark, redelivered } => {
            let value = mark.value();
            let observation = Observation {
                position: *position,
                at: *at,
                time: None,
                stamp: value.as_deref().map(str::as_bytes),
                redelivered: *redelivered,
            };
            let id = partition(checker, place)?;
            return Ok(Some(checker.observe(id, &observation)));
        }
        Line::Ledger(entry) => {
            checker.ledger(&record(entry), None).map_err(|error| error.to_string())?;
        }
        Line::Watch { place, start, position, at, committed, handover, ordered } => {
            let watch = Watch {
                from_start: *start,
                position: *position,
                at: *at,
                committed: *committed,
                handover: *handover,
                ordered: *ordered,
            };
            let id = partition(checker, place)?;
            checker.watch(id, &watch);
        }
        Line::End { place, position, at } => {
            let id = partition(checker, place)?;
            checker.end(id, *position, *at);
        }
        Line::Cut { place, position, at } => {
            let id = partition(checker, place)?;
            checker.cut(id, *position, *at);
        }
        Line::Absent { place, first, last, why, at } => {
            let cause = match why {
                Why::Aborted => Cause::Aborted,
                Why::Compacted => Cause::Compacted,
                Why::Expired => Cause::Expired,
                Why::Retention => Cause::Retention,
            };
            let id = partition(checker, place)?;
            checker.absent(id, *first, *last, cause, *at);
        }
    }
    Ok(None)
}

/// Hands over a ledger record that came at this time.
///
/// # Errors
///
/// What the core refuses, in its own words.
pub fn ledger(checker: &mut Checker, entry: &Entry, at: u64) -> Result<(), String> {
    checker.ledger(&record(entry), Some(at)).map_err(|error| error.to_string())
}

fn partition(checker: &mut Checker, place: &Place) -> Result<PartitionId, String> {
    checker
        .partition(place.view, place.stream, place.partition)
        .ok_or_else(|| "no room for one more partition".to_owned())
}

fn record(entry: &Entry) -> LedgerRecord<'static> {
    LedgerRecord {
        rev: entry.rev,
        producer: entry.lane.producer,
        epoch: entry.lane.epoch,
        stream: entry.lane.stream,
        lane: entry.lane.label,
        from: entry.from,
        next: entry.next,
        pending: ranges(&entry.pending),
        unanswered: ranges(&entry.unanswered),
        refused: ranges(&entry.refused),
        aborted: ranges(&entry.aborted),
        closed: entry.closed,
        at: Some(entry.at),
    }
}
