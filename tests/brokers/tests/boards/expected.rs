//! What each query must give after [`crate::injected`]. Each row is its labels and its value.

/// How values are to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    /// As they are.
    Exact,
    /// Of a range, which Prometheus extrapolates a little: within a tenth.
    Ranged,
    /// The same of a rate, of what happened within the range.
    PerSecond,
    /// Above 0 and not above the value.
    AtMost,
}

use Reading::{AtMost, Exact, PerSecond, Ranged};

type Rows = &'static [&'static str];
/// Board, panel, its kind, the query's letter, and what it gives.
pub(crate) type Expected = (&'static str, &'static str, &'static str, &'static str, Reading, Rows);

const OVERVIEW: &str = "lacuna-overview";
const STREAM: &str = "lacuna-stream";
const PARTITION: &str = "lacuna-partition";
const SIDECAR: &str = "lacuna-sidecar";
const ADOPTION: &str = "lacuna-adoption";

#[rustfmt::skip]
pub(crate) const EXPECTED: &[Expected] = &[
    (OVERVIEW, "Lost now", "stat", "A", Exact, &["11"]),
    (OVERVIEW, "Missing", "stat", "A", Exact, &["1"]),
    (OVERVIEW, "Repeats", "stat", "A", Ranged, &["11"]),
    (OVERVIEW, "Unknown", "stat", "A", Ranged, &["8"]),
    (OVERVIEW, "Sources that read", "stat", "A", Exact, &["0"]),
    (OVERVIEW, "Checking", "stat", "A", Exact, &["1"]),
    (OVERVIEW, "Where it is lost", "table", "A", Exact, LOST_BY_STREAM),
    (OVERVIEW, "Alerts", "table", "A", Exact, &[
        "alertname=LacunaMessagesLost alertstate=firing view=log stream=orders stage=store 1",
        "alertname=LacunaMessagesLost alertstate=firing view=log stream=orders stage=produce 1",
        "alertname=LacunaMessagesLost alertstate=firing view=billing stream=orders stage=consume 1",
        "alertname=LacunaMessagesRefused alertstate=firing view=log stream=orders 1",
        "alertname=LacunaJudgedTooEarly alertstate=firing view=log stream=bills 1",
        "alertname=LacunaMessagesRepeated alertstate=pending view=log stream=orders 1",
        "alertname=LacunaMessagesRepeated alertstate=pending view=log stream=bills 1",
        "alertname=LacunaMessagesRepeated alertstate=pending view=billing stream=orders 1",
        "alertname=LacunaUnknownGrowing alertstate=pending view=log stream=orders reason=joined 1",
        "alertname=LacunaUnknownGrowing alertstate=pending view=log stream=orders reason=paused 1",
        "alertname=LacunaLedgerSilent alertstate=pending view=log stream=orders 1",
        "alertname=LacunaLedgerSilent alertstate=pending view=log stream=bills 1",
        "alertname=LacunaLedgerSilent alertstate=pending view=log stream=late 1",
        "alertname=LacunaSourceDown alertstate=pending source=main 1",
        "alertname=LacunaCheckingOff alertstate=pending stream=bills 1",
        "alertname=LacunaWebhookFailing alertstate=pending 1",
    ]),
    (OVERVIEW, "Lost now", "timeseries", "A", Exact, &[
        "view=log stream=orders 9", "view=billing stream=orders 2",
    ]),
    (OVERVIEW, "Judged lost", "timeseries", "A", PerSecond, &[
        "view=log stream=orders stage=store 7", "view=log stream=orders stage=produce 2",
        "view=log stream=bills stage=undetermined 1", "view=billing stream=orders stage=consume 2",
    ]),
    (OVERVIEW, "Repeats", "timeseries", "A", PerSecond, &[
        "view=log stream=orders kind=resent 4", "view=log stream=bills kind=undetermined 2",
        "view=billing stream=orders kind=redelivered 5",
    ]),
    (OVERVIEW, "Unknown", "timeseries", "A", PerSecond, &[
        "view=log stream=orders reason=joined 6", "view=log stream=orders reason=paused 2",
    ]),
    (OVERVIEW, "Messages", "timeseries", "A", PerSecond, &[
        "view=log stream=orders 28", "view=log stream=bills 12", "view=log stream=late 1",
        "view=billing stream=orders 19",
    ]),
    (OVERVIEW, "Behind the broker", "timeseries", "A", Exact, &["source=main 0"]),

    // Of stream orders.
    (STREAM, "Lost now", "stat", "A", Exact, &["11"]),
    (STREAM, "Missing", "stat", "A", Exact, &["0"]),
    (STREAM, "Open gaps", "stat", "A", Exact, &["3"]),
    (STREAM, "Lanes", "stat", "A", Exact, &["5"]),
    (STREAM, "Lanes without ledger", "stat", "A", Exact, &["1"]),
    (STREAM, "Last message", "stat", "A", AtMost, &["60"]),
    (STREAM, "Partitions", "table", "A", Exact, &[
        "view=log partition=0 7", "view=log partition=1 2", "view=log partition=2 0",
        "view=billing partition=0 2",
    ]),
    (STREAM, "Partitions", "table", "B", Exact, &["view=log partition=0 0"]),
    (STREAM, "Partitions", "table", "C", Exact, &[
        "view=log partition=0 1", "view=log partition=1 1", "view=billing partition=0 1",
    ]),
    (STREAM, "Partitions", "table", "D", Ranged, &[
        "view=log partition=1 4", "view=billing partition=0 5",
    ]),
    (STREAM, "Partitions", "table", "E", PerSecond, &[
        "view=log partition=0 16", "view=log partition=1 9", "view=log partition=2 3",
        "view=billing partition=0 19",
    ]),
    (STREAM, "Partitions", "table", "F", AtMost, &[
        "view=log partition=0 60", "view=log partition=1 60", "view=log partition=2 60",
        "view=billing partition=0 60",
    ]),
    (STREAM, "Partitions", "table", "G", Exact, &[
        "view=log partition=0 1", "view=log partition=1 1", "view=log partition=2 1",
        "view=billing partition=0 1", "view=billing partition=1 1",
    ]),
    (STREAM, "Lost now", "timeseries", "A", Exact, LOST_BY_STAGE),
    (STREAM, "Missing", "timeseries", "A", Exact, &["view=log 0", "view=billing 0"]),
    (STREAM, "Judged lost", "timeseries", "A", PerSecond, LOST_BY_STAGE),
    (STREAM, "Repeats", "timeseries", "A", PerSecond, &[
        "view=log kind=resent 4", "view=billing kind=redelivered 5",
    ]),
    (STREAM, "Unknown", "timeseries", "A", PerSecond, &[
        "view=log reason=joined 6", "view=log reason=paused 2",
    ]),
    (STREAM, "Absent by design", "timeseries", "A", PerSecond, &["view=log cause=aborted 2"]),
    (STREAM, "Late, recovered, refused", "timeseries", "A", PerSecond, &[
        "view=log 1", "view=billing 1",
    ]),
    (STREAM, "Late, recovered, refused", "timeseries", "B", PerSecond, &["view=log 0"]),
    (STREAM, "Late, recovered, refused", "timeseries", "C", PerSecond, &["view=log 3"]),
    (STREAM, "Messages", "timeseries", "A", PerSecond, &[
        "view=log stamp=valid 28", "view=billing stamp=valid 19",
    ]),
    (STREAM, "The log cut back", "timeseries", "A", Ranged, &["view=log 1"]),
    // Only a broker's own source has groups: tests/alerts.
    (STREAM, "Taken by retention", "timeseries", "A", Exact, &[]),

    // Of its partition 0.
    (PARTITION, "Lost now", "stat", "A", Exact, &["9"]),
    (PARTITION, "Missing", "stat", "A", Exact, &["0"]),
    (PARTITION, "Open gaps", "stat", "A", Exact, &["2"]),
    (PARTITION, "Lanes", "stat", "A", Exact, &["2"]),
    (PARTITION, "Lanes without ledger", "stat", "A", Exact, &["0"]),
    (PARTITION, "Last message", "stat", "A", AtMost, &["60"]),
    (PARTITION, "Producers", "timeseries", "A", Exact, &[
        "view=log partition=0 1", "view=billing partition=0 1",
    ]),
    (PARTITION, "Lanes", "timeseries", "A", Exact, &[
        "view=log partition=0 1", "view=billing partition=0 1",
    ]),
    (PARTITION, "Lost now", "timeseries", "A", Exact, &[
        "view=log stage=store 7", "view=billing stage=consume 2",
    ]),
    (PARTITION, "Missing", "timeseries", "A", Exact, &["view=log 0", "view=billing 0"]),
    (PARTITION, "Judged lost", "timeseries", "A", PerSecond, &[
        "view=log stage=store 7", "view=billing stage=consume 2",
    ]),
    (PARTITION, "Repeats", "timeseries", "A", PerSecond, &["view=billing kind=redelivered 5"]),
    (PARTITION, "Unknown", "timeseries", "A", PerSecond, &["view=log reason=joined 0"]),
    (PARTITION, "Absent by design", "timeseries", "A", PerSecond, &["view=log cause=aborted 0"]),
    (PARTITION, "Late, recovered, refused", "timeseries", "A", PerSecond, &[
        "view=log 1", "view=billing 1",
    ]),
    (PARTITION, "Late, recovered, refused", "timeseries", "B", PerSecond, &["view=log 0"]),
    (PARTITION, "Late, recovered, refused", "timeseries", "C", PerSecond, &["view=log 0"]),
    (PARTITION, "Messages", "timeseries", "A", PerSecond, &[
        "view=log stamp=valid 16", "view=billing stamp=valid 19",
    ]),
    (PARTITION, "The log cut back", "timeseries", "A", Ranged, &["view=log 0"]),
    (PARTITION, "Taken by retention", "timeseries", "A", Exact, &[]),

    (SIDECAR, "Answers", "stat", "A", Exact, &["1"]),
    (SIDECAR, "Sources that read", "stat", "A", Exact, &["0"]),
    (SIDECAR, "Lanes", "stat", "A", Exact, &["7"]),
    (SIDECAR, "Partitions", "stat", "A", Exact, &["7"]),
    (SIDECAR, "Open gaps", "stat", "A", Exact, &["4"]),
    (SIDECAR, "Evicted", "stat", "A", Exact, &["0"]),
    (SIDECAR, "Versions", "table", "A", Exact, &["job=lacuna 1"]),
    (SIDECAR, "Switched off", "table", "A", Exact, &["stream=bills 0"]),
    (SIDECAR, "Sources", "timeseries", "A", Exact, &["source=main 0"]),
    (SIDECAR, "Behind the broker", "timeseries", "A", Exact, &["source=main 0"]),
    (SIDECAR, "Messages", "timeseries", "A", PerSecond, &["60"]),
    (SIDECAR, "Since the last message", "timeseries", "A", AtMost, &[
        "view=log stream=orders 60", "view=log stream=bills 60", "view=log stream=late 60",
        "view=billing stream=orders 60",
    ]),
    (SIDECAR, "Limits reached", "timeseries", "A", PerSecond, &["limit=http.max_connections 0"]),
    (SIDECAR, "Scrape", "timeseries", "A", AtMost, &["1"]),
    (SIDECAR, "Series", "timeseries", "A", AtMost, &["1000"]),
    (SIDECAR, "State written", "timeseries", "A", AtMost, &["1000000"]),
    (SIDECAR, "State kept", "timeseries", "A", Exact, &["1"]),
    (SIDECAR, "Disk refused", "timeseries", "A", PerSecond, &["0"]),
    (SIDECAR, "Since the state was kept", "timeseries", "A", AtMost, &["60"]),
    // Nobody listens there.
    (SIDECAR, "Findings posted", "timeseries", "A", AtMost, &["result=failed 1000"]),

    (ADOPTION, "Stamped", "stat", "A", Ranged, &["0.829"]),
    (ADOPTION, "Streams", "stat", "A", Exact, &["3"]),
    (ADOPTION, "Streams with stamps", "stat", "A", Exact, &["3"]),
    (ADOPTION, "Lanes with a ledger", "stat", "A", Exact, &["0.4"]),
    (ADOPTION, "Share of stamped messages", "timeseries", "A", Ranged, STAMPED),
    (ADOPTION, "Streams", "table", "A", Ranged, STAMPED),
    (ADOPTION, "Without a valid stamp", "timeseries", "A", PerSecond, &[
        "stream=bills stamp=absent 3", "stream=bills stamp=malformed 1",
        "stream=bills stamp=unsupported 2", "stream=bills stamp=foreign 1",
    ]),
    (ADOPTION, "Lanes without ledger", "timeseries", "A", Exact, &[
        "stream=orders 1", "stream=bills 1", "stream=late 1",
    ]),
];

const LOST_BY_STREAM: Rows = &[
    "view=log stream=orders stage=store 7",
    "view=log stream=orders stage=produce 2",
    "view=billing stream=orders stage=consume 2",
];
const LOST_BY_STAGE: Rows =
    &["view=log stage=store 7", "view=log stage=produce 2", "view=billing stage=consume 2"];
const STAMPED: Rows = &["stream=orders 1", "stream=bills 0.417", "stream=late 1"];
