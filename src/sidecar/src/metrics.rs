//! The metrics of contracts §5 that every partition has, each named once, in Prometheus' text
//! format, written straight from the engine's rows. What is the process's own stands in
//! [`crate::gauges`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write;

use lacuna_core::MetricsRow;
use lacuna_core::report::StreamRow;
use lacuna_core::totals::{ByDesign, Count, Duplicates, Lost, Observed, Totals, Unknown};

use crate::groups::{GroupRow, PartitionRow};

/// Writes the metrics of all partitions, and of groups in them. A row without a partition's name has no
/// such label.
#[must_use]
pub fn render(rows: &[MetricsRow], groups: &[GroupRow]) -> String {
    let mut out = String::new();
    let labels = rows.iter().map(|row| place(&row.view, &row.stream, &row.partition));
    let labels: Vec<String> = labels.collect();
    for family in PER_PARTITION {
        family.head(&mut out);
        for (row, labels) in rows.iter().zip(&labels) {
            let mut samples = Samples { out: &mut out, family, labels };
            (family.samples)(row, &mut samples);
        }
    }
    GROUP_RETENTION.head(&mut out);
    for GroupRow { group, partitions, .. } in groups {
        for row in partitions {
            let place = place(group, &row.stream, &row.partition);
            let labels = format!("{place},group=\"{}\"", escaped(group));
            let mut samples = Samples { out: &mut out, family: &GROUP_RETENTION, labels: &labels };
            (GROUP_RETENTION.samples)(row, &mut samples);
        }
    }
    out
}

/// The rows of all partitions of a stream in a view as one that names none; `producers` are its distinct
/// ones as the report has them, since they are not a sum.
#[must_use]
pub fn by_stream(rows: Vec<MetricsRow>, report: &[StreamRow]) -> Vec<MetricsRow> {
    let mut streams: BTreeMap<(String, String), MetricsRow> = BTreeMap::new();
    for row in rows {
        let key = (row.stream.clone(), row.view.clone());
        match streams.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(MetricsRow { partition: String::new(), ..row });
            }
            Entry::Occupied(mut entry) => {
                let sum = entry.get_mut();
                sum.totals += &row.totals;
                sum.entered += &row.entered;
                sum.last_at = sum.last_at.max(row.last_at);
            }
        }
    }
    for StreamRow { view, stream, totals, .. } in report {
        if let Some(row) = streams.get_mut(&(stream.clone(), view.clone())) {
            row.totals.producers = totals.producers;
        }
    }
    streams.into_values().collect()
}

/// The same of groups.
#[must_use]
pub fn groups_by_stream(groups: Vec<GroupRow>) -> Vec<GroupRow> {
    let whole = |group: GroupRow| {
        let mut streams: BTreeMap<String, PartitionRow> = BTreeMap::new();
        for row in group.partitions {
            let (stream, lost) = (row.stream.clone(), row.lost);
            let empty = || PartitionRow { partition: String::new(), lost: 0, ..row };
            streams.entry(stream).or_insert_with(empty).lost += lost;
        }
        GroupRow { partitions: streams.into_values().collect(), ..group }
    };
    groups.into_iter().map(whole).collect()
}

/// One metric.
struct Family<T> {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    /// The label that tells its samples of one row apart; empty where there is one sample.
    label: &'static str,
    samples: fn(&T, &mut Samples<'_, T>),
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

impl<T> Family<T> {
    fn head(&self, out: &mut String) {
        let Self { name, help, .. } = self;
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        write(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }
}

/// Takes the samples of one row.
struct Samples<'a, T> {
    out: &'a mut String,
    family: &'a Family<T>,
    labels: &'a str,
}

impl<T> Samples<'_, T> {
    fn one(&mut self, value: impl std::fmt::Display) {
        let Self { out, family: Family { name, .. }, labels } = self;
        write(out, format_args!("{name}{{{labels}}} {value}\n"));
    }

    fn each<const N: usize>(&mut self, values: [(&str, Count); N]) {
        let Self { out, family: Family { name, label, .. }, labels } = self;
        for (of, value) in values {
            write(out, format_args!("{name}{{{labels},{label}=\"{of}\"}} {value}\n"));
        }
    }
}

fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "text is written to memory");
}

fn place(view: &str, stream: &str, partition: &str) -> String {
    let place = format!("view=\"{}\",stream=\"{}\"", escaped(view), escaped(stream));
    if partition.is_empty() {
        return place;
    }
    format!("{place},partition=\"{}\"", escaped(partition))
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

const fn counter(
    name: &'static str,
    label: &'static str,
    help: &'static str,
    samples: fn(&MetricsRow, &mut Samples<'_, MetricsRow>),
) -> Family<MetricsRow> {
    Family { name, kind: Kind::Counter, help, label, samples }
}

const fn gauge(
    name: &'static str,
    label: &'static str,
    help: &'static str,
    samples: fn(&MetricsRow, &mut Samples<'_, MetricsRow>),
) -> Family<MetricsRow> {
    Family { kind: Kind::Gauge, ..counter(name, label, help, samples) }
}

const fn lost(Totals { lost, .. }: &Totals) -> [(&'static str, Count); 4] {
    let Lost { produce, store, consume, undetermined } = *lost;
    [("produce", produce), ("store", store), ("consume", consume), ("undetermined", undetermined)]
}

const PER_PARTITION: &[Family<MetricsRow>] = &[
    counter(
        "lacuna_observed_messages_total",
        "stamp",
        "Messages read, by what their stamp is.",
        |row, out| {
            let Observed { valid, absent, malformed, unsupported, foreign } = row.entered.observed;
            out.each([
                ("valid", valid.into()),
                ("absent", absent.into()),
                ("malformed", malformed.into()),
                ("unsupported", unsupported.into()),
                ("foreign", foreign.into()),
            ]);
        },
    ),
    gauge("lacuna_missing_messages", "", "Numbers missing, not judged yet.", |row, out| {
        out.one(row.totals.missing);
    }),
    counter(
        "lacuna_lost_messages_total",
        "stage",
        "Entries into a stage of loss; a verdict that moves enters twice.",
        |row, out| out.each(lost(&row.entered)),
    ),
    gauge("lacuna_current_lost_messages", "stage", "Numbers that are lost now.", |row, out| {
        out.each(lost(&row.totals));
    }),
    counter(
        "lacuna_recovered_messages_total",
        "",
        "Numbers that came after they had been judged lost.",
        |row, out| out.one(row.entered.recovered),
    ),
    counter("lacuna_duplicate_messages_total", "kind", "Repeats.", |row, out| {
        let Duplicates { resent, redelivered, undetermined } = row.entered.duplicates;
        out.each([
            ("resent", resent.into()),
            ("redelivered", redelivered.into()),
            ("undetermined", undetermined.into()),
        ]);
    }),
    counter(
        "lacuna_absent_by_design_messages_total",
        "cause",
        "Numbers that are absent for a reason that has a name.",
        |row, out| {
            let ByDesign { aborted, compacted, expired, retention } = row.entered.by_design;
            out.each([
                ("aborted", aborted),
                ("compacted", compacted),
                ("expired", expired),
                ("retention", retention),
            ]);
        },
    ),
    counter(
        "lacuna_reordered_messages_total",
        "",
        "Numbers that came late, before they were judged.",
        |row, out| out.one(row.entered.reordered),
    ),
    counter(
        "lacuna_refused_messages_total",
        "",
        "Numbers that never became part of the stream, of which the application was told.",
        |row, out| out.one(row.entered.refused),
    ),
    counter(
        "lacuna_unknown_messages_total",
        "reason",
        "Numbers that cannot be judged.",
        |row, out| {
            let Unknown { joined, paused, evicted, transaction } = row.entered.unknown;
            out.each([
                ("joined", joined),
                ("paused", paused),
                ("evicted", evicted),
                ("transaction", transaction),
            ]);
        },
    ),
    gauge("lacuna_open_gaps", "", "Ranges of numbers that are lost or missing.", |row, out| {
        out.one(row.totals.open_gaps);
    }),
    gauge("lacuna_lanes", "", "Lanes known.", |row, out| out.one(row.totals.lanes)),
    gauge(
        "lacuna_lanes_without_ledger",
        "",
        "Lanes of which no ledger came: their ends cannot be judged.",
        |row, out| out.one(row.totals.lanes_without_ledger),
    ),
    gauge("lacuna_producers", "", "Distinct producers.", |row, out| {
        out.one(row.totals.producers);
    }),
    counter("lacuna_log_cuts_total", "", "Times the log was cut back.", |row, out| {
        out.one(row.entered.log_cuts);
    }),
    gauge(
        "lacuna_last_observed_timestamp_seconds",
        "",
        "When the last message was read, in the view's time.",
        |row, out| {
            // Without a message there is no such time, and 0 would be one.
            if let Some(at) = row.last_at {
                out.one(format_args!("{}.{:03}", at / 1_000, at % 1_000));
            }
        },
    ),
];

const GROUP_RETENTION: Family<PartitionRow> = Family {
    name: "lacuna_group_retention_lost_positions_total",
    kind: Kind::Counter,
    help: "Positions that retention took before a watched group read them.",
    label: "",
    samples: |row, out| out.one(row.lost),
};
