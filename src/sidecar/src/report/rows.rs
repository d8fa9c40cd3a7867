//! Findings as JSON, and the words for what they are.

use lacuna_core::report::{DuplicateRow, GapRow, Neighbour, Says};
use lacuna_core::verdict::{Cause, Reason, Repeat, Stage, State};
use serde::Serialize;

use crate::acknowledged::Said;

/// The word for a row's state; `None` is recovered.
#[must_use]
pub const fn gap_state(state: Option<State>) -> &'static str {
    match state {
        Some(State::Missing) => "missing",
        Some(State::Lost(_)) => "lost",
        Some(State::Refused) => "refused",
        Some(State::ByDesign(cause)) => cause_word(cause),
        Some(State::Unknown(_)) => "unknown",
        Some(State::LostInLog) => "lost_in_log",
        None => "recovered",
    }
}

/// The words that choose rows by their state.
pub(crate) const STATES: [&str; 9] = [
    "missing",
    "lost",
    "refused",
    "aborted",
    "compacted",
    "expired",
    "retention",
    "unknown",
    "recovered",
];

/// Reads the states that are asked for: words of [`gap_state`] with commas between, or `all`. In
/// error, what is not one of them, and what is.
pub fn parse_state(text: &str) -> Result<Vec<&'static str>, String> {
    if text == "all" {
        return Ok(STATES.to_vec());
    }
    text.split(',')
        .map(|word| {
            STATES
                .into_iter()
                .find(|state| *state == word)
                .ok_or_else(|| format!("{word:?} is no state: {} or all are", STATES.join(", ")))
        })
        .collect()
}

/// What is shown where nothing is chosen: lost and missing.
#[must_use]
pub const fn open(state: Option<State>) -> bool {
    matches!(state, Some(State::Missing | State::Lost(_)))
}

/// The word for a cause.
pub(crate) const fn cause_word(cause: Cause) -> &'static str {
    match cause {
        Cause::Aborted => "aborted",
        Cause::Compacted => "compacted",
        Cause::Expired => "expired",
        Cause::Retention => "retention",
    }
}

/// The word for a stage.
pub(crate) const fn stage_word(stage: Stage) -> &'static str {
    match stage {
        Stage::Produce => "produce",
        Stage::Store => "store",
        Stage::Consume => "consume",
        Stage::Undetermined => "undetermined",
    }
}

/// The word for a reason.
pub(crate) const fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Joined => "joined",
        Reason::Paused => "paused",
        Reason::Evicted => "evicted",
        Reason::Transaction => "transaction",
    }
}

/// The word for a kind of repeat.
pub(crate) const fn repeat_word(repeat: Repeat) -> &'static str {
    match repeat {
        Repeat::Resent => "resent",
        Repeat::Redelivered => "redelivered",
        Repeat::Undetermined => "undetermined",
    }
}

/// The word for what a ledger says.
pub(crate) const fn says_word(says: Says) -> &'static str {
    match says {
        Says::Pending => "pending",
        Says::Unanswered => "unanswered",
        Says::Refused => "refused",
        Says::Aborted => "aborted",
        Says::Acknowledged => "acknowledged",
    }
}

/// A gap row as JSON.
#[derive(Debug, Serialize)]
pub struct GapJson<'a> {
    id: String,
    view: &'a str,
    stream: &'a str,
    partition: &'a str,
    lane: &'a str,
    producer: &'a str,
    epoch: String,
    first: u64,
    last: u64,
    count: u64,
    state: &'static str,
    stage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    before: Option<NeighbourJson<'a>>,
    after: Option<NeighbourJson<'a>>,
    ledger: Option<SaysJson>,
    seen_in: &'a [String],
    since: u64,
    judged_at: Option<u64>,
    recovered_at: Option<u64>,
    acknowledged: Option<&'a Said>,
    at_end: bool,
}

impl<'a> From<&'a GapRow> for GapJson<'a> {
    fn from(row: &'a GapRow) -> Self {
        Self::of(row, None)
    }
}

impl<'a> GapJson<'a> {
    /// The row, and what a person said of it.
    #[must_use]
    pub fn of(row: &'a GapRow, acknowledged: Option<&'a Said>) -> Self {
        let (stage, reason) = match row.state {
            Some(State::Lost(stage)) => (Some(stage_word(stage)), None),
            Some(State::Unknown(reason)) => (None, Some(reason_word(reason))),
            Some(State::Missing | State::Refused | State::ByDesign(_) | State::LostInLog)
            | None => (None, None),
        };
        Self {
            id: format!("{:016x}", row.id),
            view: &row.view,
            stream: &row.stream,
            partition: &row.partition,
            lane: &row.lane,
            producer: &row.producer,
            epoch: format!("{:x}", row.epoch),
            first: row.first,
            last: row.last,
            count: row.last - row.first + 1,
            state: gap_state(row.state),
            stage,
            reason,
            before: row.before.as_ref().map(NeighbourJson::from),
            after: row.after.as_ref().map(NeighbourJson::from),
            ledger: row.says.map(|(says, at)| SaysJson { says: says_word(says), at }),
            seen_in: &row.seen_in,
            since: row.since,
            judged_at: row.judged_at,
            recovered_at: row.recovered_at,
            acknowledged,
            at_end: row.at_end,
        }
    }
}

#[derive(Debug, Serialize)]
struct NeighbourJson<'a> {
    seq: u64,
    partition: &'a str,
    position: Option<u64>,
    at: u64,
    time: Option<u64>,
}

impl<'a> From<&'a Neighbour> for NeighbourJson<'a> {
    fn from(row: &'a Neighbour) -> Self {
        let Neighbour { seq, partition, position, at, time } = row;
        Self { seq: *seq, partition, position: *position, at: *at, time: *time }
    }
}

#[derive(Debug, Serialize)]
struct SaysJson {
    says: &'static str,
    at: Option<u64>,
}

/// A repeat as JSON.
#[derive(Debug, Serialize)]
pub struct DuplicateJson<'a> {
    view: &'a str,
    stream: &'a str,
    partition: &'a str,
    lane: &'a str,
    producer: &'a str,
    epoch: String,
    seq: u64,
    kind: &'static str,
    position: Option<u64>,
    at: u64,
    time: Option<u64>,
    earlier: Option<EarlierJson>,
}

#[derive(Debug, Serialize)]
struct EarlierJson {
    position: u64,
}

impl<'a> From<&'a DuplicateRow> for DuplicateJson<'a> {
    fn from(row: &'a DuplicateRow) -> Self {
        Self {
            view: &row.view,
            stream: &row.stream,
            partition: &row.partition,
            lane: &row.lane,
            producer: &row.producer,
            epoch: format!("{:x}", row.epoch),
            seq: row.seq,
            kind: repeat_word(row.kind),
            position: row.position,
            at: row.at,
            time: row.time,
            earlier: row.earlier.map(|position| EarlierJson { position }),
        }
    }
}
