//! The report as JSON: totals, then streams → partitions → lanes.

use lacuna_core::report::{Base, GapRow, LaneRow, LedgerRow, PartitionRow, StreamRow, Watched};
use lacuna_core::totals::Totals;
use serde::{Serialize, Serializer};

use super::counts::Counts;
use super::rows::GapJson;

/// How far down a report goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// The totals alone.
    Totals,
    /// Each view of each stream.
    Streams,
    /// Each partition of those.
    #[default]
    Partitions,
    /// Each lane of those.
    Lanes,
}

/// What a report says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its time, ms since the Unix epoch: the clock's, or the highest of the recording's.
    pub at: Option<u64>,
    /// Whether checking is on.
    pub checking: bool,
    /// The grace of streams without one of their own, ms.
    pub grace_ms: u64,
    /// The clock skew of streams without one of their own, ms.
    pub clock_skew_ms: u64,
    /// Whether the recording was said to be whole.
    pub complete: bool,
}

/// A report.
#[derive(Debug)]
pub struct Document<'a> {
    /// What it says of itself.
    pub header: Header,
    /// The sum of everything.
    pub totals: &'a Totals,
    /// Streams of which a ledger speaks and that no view looks at.
    pub unwatched: &'a [String],
    /// Its rows; those deeper than `depth` are not shown.
    pub streams: &'a [StreamRow],
    /// How far down it goes.
    pub depth: Depth,
    /// Gap rows, where they were asked for.
    pub gaps: Option<&'a [GapRow]>,
    /// Where the next page of lanes begins: `None` where there are no pages, an inner `None` on the
    /// last one.
    pub cursor: Option<Option<String>>,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Header { at, checking, grace_ms, clock_skew_ms, complete } = self.header;
        let depth = self.depth;
        DocumentJson {
            v: 1,
            at,
            checking,
            grace_ms,
            clock_skew_ms,
            complete,
            totals: full(self.totals),
            unwatched_streams: self.unwatched,
            streams: (depth >= Depth::Streams)
                .then_some(Each(self.streams, |row| StreamJson::of(row, depth))),
            gaps: self.gaps.map(|rows| Each(rows, GapJson::from)),
            cursor: self.cursor.as_ref(),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
struct DocumentJson<'a, S: Serialize, G: Serialize> {
    v: u8,
    at: Option<u64>,
    checking: bool,
    grace_ms: u64,
    clock_skew_ms: u64,
    complete: bool,
    totals: Counts<'a>,
    unwatched_streams: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    streams: Option<S>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gaps: Option<G>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a Option<String>>,
}

const fn full(totals: &Totals) -> Counts<'_> {
    Counts { totals, sparse: false }
}

/// Rows, each turned into its JSON only when it is written: a report may have a million lanes.
struct Each<'a, T, F>(&'a [T], F);

impl<'a, T, J: Serialize, F: Fn(&'a T) -> J> Serialize for Each<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

#[derive(Serialize)]
struct StreamJson<'a, P: Serialize> {
    view: &'a str,
    stream: &'a str,
    totals: Counts<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitions: Option<P>,
}

impl<'a> StreamJson<'a, ()> {
    fn of(row: &'a StreamRow, depth: Depth) -> StreamJson<'a, impl Serialize + use<'a>> {
        let StreamRow { view, stream, totals, partitions } = row;
        StreamJson {
            view,
            stream,
            totals: full(totals),
            partitions: (depth >= Depth::Partitions)
                .then(|| Each(partitions, move |row| PartitionJson::of(row, depth))),
        }
    }
}

#[derive(Serialize)]
struct PartitionJson<'a, L: Serialize> {
    partition: &'a str,
    watched: Option<WatchedJson>,
    position: Option<u64>,
    end: Option<u64>,
    totals: Counts<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rest: Option<Counts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lanes: Option<L>,
}

impl<'a> PartitionJson<'a, ()> {
    fn of(row: &'a PartitionRow, depth: Depth) -> PartitionJson<'a, impl Serialize + use<'a>> {
        let PartitionRow { partition, watched, position, end, totals, rest, last_at: _, lanes } =
            row;
        PartitionJson {
            partition,
            watched: watched.as_ref().map(WatchedJson::from),
            position: *position,
            end: *end,
            totals: full(totals),
            rest: (*rest != Totals::default()).then(|| full(rest)),
            lanes: (depth >= Depth::Lanes).then(|| Each(lanes, LaneJson::from)),
        }
    }
}

#[derive(Serialize)]
struct WatchedJson {
    from: &'static str,
    since: u64,
}

impl From<&Watched> for WatchedJson {
    fn from(&Watched { from_start, since }: &Watched) -> Self {
        Self { from: if from_start { "start" } else { "here" }, since }
    }
}

#[derive(Serialize)]
struct LaneJson<'a> {
    producer: &'a str,
    epoch: String,
    lane: &'a str,
    base: &'static str,
    first: u64,
    next: u64,
    last_at: Option<u64>,
    ledger: Option<LedgerJson>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    clash: bool,
    totals: Counts<'a>,
}

impl<'a> From<&'a LaneRow> for LaneJson<'a> {
    fn from(row: &'a LaneRow) -> Self {
        let LaneRow { producer, epoch, lane, base, first, next, last_at, ledger, clash, totals } =
            row;
        Self {
            producer,
            epoch: format!("{epoch:x}"),
            lane,
            base: match base {
                Base::Zero => "zero",
                Base::Joined => "joined",
                Base::Paused => "paused",
                Base::Evicted => "evicted",
            },
            first: *first,
            next: *next,
            last_at: *last_at,
            ledger: ledger.as_ref().map(LedgerJson::from),
            clash: *clash,
            totals: Counts { totals, sparse: true },
        }
    }
}

#[derive(Serialize)]
struct LedgerJson {
    next: u64,
    pending: u64,
    closed: bool,
    at: Option<u64>,
}

impl From<&LedgerRow> for LedgerJson {
    fn from(&LedgerRow { next, pending, closed, at }: &LedgerRow) -> Self {
        Self { next, pending, closed, at }
    }
}
