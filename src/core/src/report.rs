//! What the checker reports: the rows of contracts §6 as plain values. Turning them into JSON or
//! text is the sidecar's part.

use alloc::string::String;
use alloc::vec::Vec;

use crate::totals::Totals;
use crate::verdict::{Repeat, State};

/// How a partition is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// From its very first message; else from the moment it was joined.
    pub from_start: bool,
    /// When the watch began, ms since the Unix epoch.
    pub since: u64,
}

/// A view of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRow {
    /// `log`, or a consumer group's name.
    pub view: String,
    /// The stream.
    pub stream: String,
    /// The sum of its partitions.
    pub totals: Totals,
    /// Its partitions by number, then by label; lanes over the whole stream stand under `*`.
    pub partitions: Vec<PartitionRow>,
}

/// A partition in a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRow {
    /// Its label.
    pub partition: String,
    /// `None` where it is not watched: only the ledger speaks of it, or it is row `*`.
    pub watched: Option<Watched>,
    /// Highest position read.
    pub position: Option<u64>,
    /// The log's end when it was last asked.
    pub end: Option<u64>,
    /// The sum of its lanes and of `rest`, and what was observed here.
    pub totals: Totals,
    /// Lanes that were retired or evicted.
    pub rest: Totals,
    /// When the last message was read, in the view's time.
    pub last_at: Option<u64>,
    /// Its lanes, in the order of their first appearance.
    pub lanes: Vec<LaneRow>,
}

/// Why a lane's count begins where it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Base {
    /// From 0: all of it was watched.
    #[default]
    Zero,
    /// The checker joined while it was running.
    Joined,
    /// It appeared while the checker was not looking.
    Paused,
    /// It may have been known and dropped.
    Evicted,
}

/// A lane in a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRow {
    /// The producer's name.
    pub producer: String,
    /// The producer's epoch.
    pub epoch: u64,
    /// The lane's label.
    pub lane: String,
    /// Why it begins where it does.
    pub base: Base,
    /// Its base line: the first number that is judged.
    pub first: u64,
    /// One above the highest number known (observed, or taken as the ledger says).
    pub next: u64,
    /// When it was last seen, in the view's time; `None`: never in this view.
    pub last_at: Option<u64>,
    /// The newest ledger record.
    pub ledger: Option<LedgerRow>,
    /// Two live clients share this identity.
    pub clash: bool,
    /// Its counts; `observed` has only the valid ones.
    pub totals: Totals,
}

/// What the newest ledger record of a lane says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// The number that the next message will take.
    pub next: u64,
    /// How many numbers are pending.
    pub pending: u64,
    /// Whether the lane ended in good order.
    pub closed: bool,
    /// The producer's clock, ms since the Unix epoch.
    pub at: Option<u64>,
}

/// A number seen, beside a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The number.
    pub seq: u64,
    /// The partition it was read from.
    pub partition: String,
    /// Its position.
    pub position: Option<u64>,
    /// When it was observed.
    pub at: u64,
    /// The message's own time.
    pub time: Option<u64>,
}

/// What a ledger says of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// Sent, no answer yet.
    Pending,
    /// Given up without an answer.
    Unanswered,
    /// Certainly not part of the stream.
    Refused,
    /// Rolled back.
    Aborted,
    /// Acknowledged by the broker.
    Acknowledged,
}

/// One finding: a range of numbers in one state, or one that was recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapRow {
    /// Stable while its first number and lane are the same.
    pub id: u64,
    /// Orders rows: a younger gap has a greater one.
    pub age: u64,
    /// The view.
    pub view: String,
    /// The stream.
    pub stream: String,
    /// The partition, or `*`.
    pub partition: String,
    /// The lane's label.
    pub lane: String,
    /// The producer.
    pub producer: String,
    /// The producer's epoch.
    pub epoch: u64,
    /// First number, inclusive.
    pub first: u64,
    /// Last number, inclusive.
    pub last: u64,
    /// Its state; `None`: recovered.
    pub state: Option<State>,
    /// The nearest number seen below, while it is remembered.
    pub before: Option<Neighbour>,
    /// The nearest number seen above, while it is remembered.
    pub after: Option<Neighbour>,
    /// What the ledger says of it, and when (producer's clock).
    pub says: Option<(Says, Option<u64>)>,
    /// Views that have seen what the log lost.
    pub seen_in: Vec<String>,
    /// When the gap opened (or was last answered), in the view's time.
    pub since: u64,
    /// When it was judged; `None` while missing, or no longer remembered.
    pub judged_at: Option<u64>,
    /// When it was recovered.
    pub recovered_at: Option<u64>,
    /// Judged because the recording was said to be whole.
    pub at_end: bool,
}

/// One repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateRow {
    /// Orders rows: a younger repeat has a greater one.
    pub age: u64,
    /// The view.
    pub view: String,
    /// The stream.
    pub stream: String,
    /// The partition where the repeat was read.
    pub partition: String,
    /// The lane's label.
    pub lane: String,
    /// The producer.
    pub producer: String,
    /// The producer's epoch.
    pub epoch: u64,
    /// The number.
    pub seq: u64,
    /// What kind of repeat.
    pub kind: Repeat,
    /// The repeat's position.
    pub position: Option<u64>,
    /// When the repeat was observed.
    pub at: u64,
    /// The message's own time.
    pub time: Option<u64>,
    /// An earlier copy's position, while it is remembered.
    pub earlier: Option<u64>,
}

/// Which rows to give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this view.
    pub view: Option<String>,
    /// Only this stream.
    pub stream: Option<String>,
    /// Only this partition.
    pub partition: Option<String>,
    /// Only this producer's lanes: all above them are their sums.
    pub producer: Option<String>,
}

impl Filter {
    /// Whether this view of this stream is asked for.
    #[must_use]
    pub fn takes(&self, view: &str, stream: &str) -> bool {
        is(&self.view, view) && is(&self.stream, stream)
    }

    /// Whether this partition is asked for.
    #[must_use]
    pub fn takes_partition(&self, partition: &str) -> bool {
        is(&self.partition, partition)
    }

    /// Whether this producer's lanes are asked for.
    #[must_use]
    pub fn takes_producer(&self, producer: &str) -> bool {
        is(&self.producer, producer)
    }
}

/// The rows of several checkers that share the partitions, as one. `producers` of a stream is left
/// at the sum: only the checkers know which names are the same.
#[must_use]
pub fn join(parts: Vec<Vec<StreamRow>>) -> Vec<StreamRow> {
    let mut rows: Vec<StreamRow> = Vec::new();
    let mut parts: Vec<StreamRow> = parts.into_iter().flatten().collect();
    parts.sort_by(|a, b| (&a.stream, &a.view).cmp(&(&b.stream, &b.view)));
    for part in parts {
        match rows.last_mut() {
            Some(row) if (&row.stream, &row.view) == (&part.stream, &part.view) => {
                row.totals += &part.totals;
                row.partitions.extend(part.partitions);
            }
            _ => rows.push(part),
        }
    }
    for row in &mut rows {
        row.sort();
    }
    rows
}

impl StreamRow {
    pub(crate) fn sort(&mut self) {
        self.partitions.sort_by(|a, b| order(&a.partition).cmp(&order(&b.partition)));
    }
}

/// Partitions by number, then by label.
fn order(label: &str) -> (bool, u64, &str) {
    label.parse().map_or((true, 0, label), |number| (false, number, label))
}

fn is(wanted: &Option<String>, have: &str) -> bool {
    wanted.as_deref().is_none_or(|wanted| wanted == have)
}
