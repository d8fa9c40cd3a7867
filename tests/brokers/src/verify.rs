//! One verifier for all scenarios: what was found is what is true, in totals and in ranges.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::broker::Kafka;
use crate::sidecar::{self, GRACE_S, Sidecar, counts};
use crate::truth::{Counts, Duplicate, Gap, Lane, Truth};

/// Waits until a stream's log is read and judged, and holds everything that was found in it
/// against the truth.
///
/// # Panics
/// On the first difference.
pub fn found_is_true(sidecar: &Sidecar, stream: &str, truth: &Truth) {
    counts_and_losses_are_true(sidecar, stream, truth);
    assert_eq!(repeats(sidecar, stream), truth.duplicates(), "repeats found, against true");
}

/// The same without the rows of repeats, of which a sidecar keeps a bounded number.
///
/// # Panics
/// On the first difference.
pub fn counts_and_losses_are_true(sidecar: &Sidecar, stream: &str, truth: &Truth) {
    let row = sidecar.judged(stream, truth.ends());
    report_is_true(&row, truth);
    gaps_are_true(&sidecar.rows("/v1/gaps", &format!("view=log&stream={stream}")), truth);
}

/// The repeats of which a sidecar has a row now.
///
/// # Panics
/// If one comes twice, or is none of the log's own.
#[must_use]
pub fn repeats(sidecar: &Sidecar, stream: &str) -> BTreeSet<Duplicate> {
    let mut found = BTreeSet::new();
    for row in sidecar.rows("/v1/duplicates", &format!("view=log&stream={stream}")) {
        assert_eq!(row["kind"], "resent", "{row}");
        assert!(found.insert(duplicate(&row)), "a finding comes once: {row}");
    }
    found
}

/// Holds what `lacuna audit` finds in a topic, and how it ends, against the truth.
///
/// # Panics
/// On the first difference.
pub fn audit_is_true(kafka: &Kafka, topic: &str, truth: &Truth) {
    let (report, code) = audit(kafka, topic);
    let streams = report["streams"].as_array().expect("a report has streams");
    assert_eq!(streams.len(), 1, "{report}");
    report_is_true(&streams[0], truth);
    let gaps = report["gaps"].as_array().expect("the gaps were asked for");
    gaps_are_true(gaps, truth);
    let findings = truth.gaps().len() + truth.duplicates().len();
    assert_eq!(code, Some(i32::from(findings > 0)), "the exit code of an audit");
}

/// What `lacuna audit` reports of a topic, with all gaps, and the code it ends with.
///
/// # Panics
/// If it reports nothing.
#[must_use]
pub fn audit(kafka: &Kafka, topic: &str) -> (Value, Option<i32>) {
    let mut command = Command::new(sidecar::binary());
    command.args(["audit", "kafka", "--brokers", &kafka.brokers(), "--topic", topic]);
    command.args(["--format", "json", "--grace", &format!("{GRACE_S}s"), "--gaps=all"]);
    let output = command.output().expect("the sidecar can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&said)
        .unwrap_or_else(|error| panic!("{command:?}: {}: {error}: {said}", output.status));
    (report, output.status.code())
}

/// A stream's row, with its partitions and lanes.
pub fn report_is_true(row: &Value, truth: &Truth) {
    // Which partition is read first decides what comes late in a lane over the whole stream.
    let spans = truth.lanes().any(|lane| lane.partition == "*");
    let same = |found: &Value, mut wanted: Counts, what: &str, spans: bool| {
        let mut found = counts(found);
        if spans {
            found.remove("reordered");
            wanted.remove("reordered");
        }
        assert_eq!(found, wanted, "{what}: found, against true");
    };
    same(row, truth.counts(), "the stream", spans);
    let partitions = row["partitions"].as_array().expect("a stream has partitions");
    let mut lanes = BTreeSet::new();
    for partition in partitions {
        let name = text(partition, "partition");
        same(partition, truth.partition_counts(&name), &name, name == "*");
        for found in partition["lanes"].as_array().into_iter().flatten() {
            let lane = Lane {
                partition: name.clone(),
                producer: text(found, "producer"),
                epoch: text(found, "epoch"),
            };
            assert_eq!(found["lane"], lane.partition, "{found}");
            assert_eq!((&found["base"], &found["first"]), (&"zero".into(), &0.into()), "{found}");
            assert_eq!(found["next"], truth.next(&lane), "{found}");
            same(found, truth.lane_counts(&lane), &format!("{lane:?}"), name == "*");
            lanes.insert(lane);
        }
    }
    assert_eq!(lanes, truth.lanes().cloned().collect(), "lanes found, against true");
    adds_up(row);
}

/// Every level is the sum of the levels below it.
pub fn adds_up(stream: &Value) {
    let not_sums = |name: &str| name == "producers";
    let sum = |rows: &[&Value], leave: &dyn Fn(&str) -> bool| {
        let mut sum = Counts::new();
        for row in rows {
            crate::truth::add(&mut sum, &counts(row));
        }
        sum.retain(|name, _| !leave(name));
        sum
    };
    let partitions: Vec<_> = stream["partitions"].as_array().into_iter().flatten().collect();
    let whole = sum(&[stream], &not_sums);
    assert_eq!(whole, sum(&partitions, &not_sums), "partitions, against their stream");
    let per_lane =
        |name: &str| not_sums(name) || name.starts_with("observed.") || name == "log_cuts";
    for partition in partitions {
        let lanes: Vec<_> = partition["lanes"].as_array().into_iter().flatten().collect();
        let mut below = sum(&lanes, &per_lane);
        if partition["rest"].is_object() {
            let rest = serde_json::json!({ "totals": partition["rest"] });
            crate::truth::add(&mut below, &sum(&[&rest], &per_lane));
        }
        assert_eq!(sum(&[partition], &per_lane), below, "lanes, against their partition");
    }
}

fn gaps_are_true(rows: &[Value], truth: &Truth) {
    let mut found = BTreeSet::new();
    for row in rows {
        let gap = gap(row);
        assert_eq!(row["state"], "lost", "{row}");
        assert_eq!(row["stage"], "undetermined", "{row}");
        assert_eq!(number(row, "count"), gap.last - gap.first + 1, "{row}");
        neighbour_is_true(&row["before"], &gap.lane, gap.first.checked_sub(1), truth);
        neighbour_is_true(&row["after"], &gap.lane, Some(gap.last + 1), truth);
        assert!(found.insert(gap), "a finding comes once: {row}");
    }
    assert_eq!(found, truth.gaps(), "losses found, against true");
}

fn neighbour_is_true(found: &Value, lane: &Lane, seq: Option<u64>, truth: &Truth) {
    let Some(seq) = seq else {
        assert!(found.is_null(), "nothing is below number 0: {found}");
        return;
    };
    assert_eq!(found["seq"], seq, "the neighbour of a gap of {lane:?}");
    let partition = text(found, "partition").parse().expect("Kafka's partitions are numbers");
    let place = (partition, number(found, "position"));
    let places = truth.places(lane, seq);
    assert!(places.contains(&place), "{lane:?} {seq} is at {places:?}, not {place:?}");
}

/// Rows of findings, by state: for what the log alone does not explain.
#[must_use]
pub fn states(rows: &[Value]) -> BTreeMap<String, BTreeSet<Gap>> {
    let mut states = BTreeMap::<_, BTreeSet<_>>::new();
    for row in rows {
        states.entry(text(row, "state")).or_default().insert(gap(row));
    }
    states
}

/// The ranges of rows.
///
/// # Panics
/// If one comes twice.
#[must_use]
pub fn gaps(rows: &[Value]) -> BTreeSet<Gap> {
    let mut gaps = BTreeSet::new();
    for row in rows {
        assert!(gaps.insert(gap(row)), "a finding comes once: {row}");
    }
    gaps
}

fn gap(row: &Value) -> Gap {
    Gap { lane: lane(row), first: number(row, "first"), last: number(row, "last") }
}

/// A repeat's row.
#[must_use]
pub fn duplicate(row: &Value) -> Duplicate {
    Duplicate { lane: lane(row), seq: number(row, "seq"), position: number(row, "position") }
}

fn lane(row: &Value) -> Lane {
    Lane {
        partition: text(row, "lane"),
        producer: text(row, "producer"),
        epoch: text(row, "epoch"),
    }
}

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap_or_else(|| panic!("no {name}: {row}")).to_owned()
}

fn number(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or_else(|| panic!("no {name}: {row}"))
}
