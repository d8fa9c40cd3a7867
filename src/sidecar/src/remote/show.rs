use std::io::Write;

use lacuna_core::totals::{Count, Duplicates, Lost, Totals, Unknown};
use serde::Deserialize;
use serde_json::Value;

use super::ask::{Remote, RemoteError};
use super::sheet::Sheet;
use crate::cli::{self, RemoteArgs, RemoteGapsArgs};
use crate::exit::Exit;
use crate::report::Grouped;

#[derive(Deserialize)]
struct Report {
    totals: TotalsJson,
    streams: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    view: String,
    stream: String,
    partitions: Vec<Partition>,
    totals: TotalsJson,
}

#[derive(Deserialize)]
struct Partition {
    partition: String,
    position: Option<u64>,
    end: Option<u64>,
    totals: TotalsJson,
}

/// As many of the totals as decide an exit code, and are shown.
#[derive(Deserialize)]
struct TotalsJson {
    seen: u64,
    missing: Count,
    lost: LostJson,
    recovered: u64,
    refused: Count,
    unknown: UnknownJson,
    duplicates: DuplicatesJson,
    lanes: u64,
    producers: u64,
}

#[derive(Deserialize)]
struct LostJson {
    produce: Count,
    store: Count,
    consume: Count,
    undetermined: Count,
}

#[derive(Deserialize)]
struct UnknownJson {
    joined: Count,
    paused: Count,
    evicted: Count,
    transaction: Count,
}

#[derive(Deserialize)]
struct DuplicatesJson {
    resent: u64,
    redelivered: u64,
    undetermined: u64,
}

impl From<&TotalsJson> for Totals {
    fn from(json: &TotalsJson) -> Self {
        let LostJson { produce, store, consume, undetermined } = json.lost;
        let UnknownJson { joined, paused, evicted, transaction } = json.unknown;
        let DuplicatesJson { resent, redelivered, undetermined: unclear } = json.duplicates;
        Self {
            seen: json.seen,
            missing: json.missing,
            lost: Lost { produce, store, consume, undetermined },
            recovered: json.recovered,
            refused: json.refused,
            unknown: Unknown { joined, paused, evicted, transaction },
            duplicates: Duplicates { resent, redelivered, undetermined: unclear },
            lanes: json.lanes,
            producers: json.producers,
            ..Self::default()
        }
    }
}

/// Writes a running sidecar's report; the exit is what its totals earn.
pub fn report(args: &RemoteArgs, out: &mut dyn Write, colour: bool) -> Result<Exit, RemoteError> {
    let remote = Remote::new(args);
    let body = remote.text("/v1/report")?;
    let report: Report = remote.read(&body)?;
    match args.format {
        cli::Sheet::Json => writeln!(out, "{body}")?,
        cli::Sheet::Table => by_stream(&report).write_table(out, colour)?,
        cli::Sheet::Csv => by_partition(&report).write_csv(out)?,
    }
    Ok(Exit::of(&Totals::from(&report.totals)))
}

const COUNTS: [&str; 7] =
    ["seen", "lost", "missing", "repeated", "not judged", "refused", "recovered"];

fn counts(json: &TotalsJson, write: impl Fn(Count) -> String) -> Vec<String> {
    let totals = Totals::from(json);
    let unknown = totals.unknown;
    let counts = [
        totals.seen.into(),
        totals.lost_sum(),
        totals.missing,
        totals.duplicates_sum().into(),
        unknown.paused + unknown.evicted + unknown.transaction,
        totals.refused,
        totals.recovered.into(),
    ];
    counts.into_iter().map(write).collect()
}

fn by_stream(report: &Report) -> Sheet {
    let grouped = |count| Grouped(count).to_string();
    let row = |names: [&str; 2], partitions: usize, totals| {
        let mut row = names.map(str::to_owned).to_vec();
        row.push(grouped(partitions as Count));
        row.extend(counts(totals, grouped));
        row
    };
    let mut rows: Vec<_> = report
        .streams
        .iter()
        .map(|one| row([&one.stream, &one.view], one.partitions.len(), &one.totals))
        .collect();
    let partitions = report.streams.iter().map(|stream| stream.partitions.len()).sum();
    rows.push(row(["all", ""], partitions, &report.totals));
    Sheet { heading: [&["stream", "view", "partitions"][..], &COUNTS].concat(), rows }
}

fn by_partition(report: &Report) -> Sheet {
    let number = |count: Option<u64>| count.map_or_else(String::new, |count| count.to_string());
    let rows = report.streams.iter().flat_map(|stream| {
        stream.partitions.iter().map(|partition| {
            let names = [&stream.view, &stream.stream, &partition.partition];
            let mut row = names.map(String::clone).to_vec();
            row.extend([number(partition.position), number(partition.end)]);
            row.extend(counts(&partition.totals, |count| count.to_string()));
            row
        })
    });
    let heading = ["view", "stream", "partition", "position", "end"];
    Sheet { heading: [&heading[..], &COUNTS].concat(), rows: rows.collect() }
}

/// Writes the gaps that a running sidecar found.
pub fn gaps(args: &RemoteGapsArgs, out: &mut dyn Write, colour: bool) -> Result<Exit, RemoteError> {
    let remote = Remote::new(&args.remote).with("state", args.state.as_deref());
    let rows = remote.rows("/v1/gaps")?;
    let few = [
        "state",
        "stage",
        "stream",
        "partition",
        "view",
        "producer",
        "first",
        "last",
        "count",
        "since",
        "acknowledged.by",
    ];
    let all = [
        "id",
        "view",
        "stream",
        "partition",
        "lane",
        "producer",
        "epoch",
        "first",
        "last",
        "count",
        "state",
        "stage",
        "reason",
        "before.seq",
        "before.partition",
        "before.position",
        "before.at",
        "before.time",
        "after.seq",
        "after.partition",
        "after.position",
        "after.at",
        "after.time",
        "ledger.says",
        "ledger.at",
        "seen_in",
        "since",
        "judged_at",
        "recovered_at",
        "acknowledged.by",
        "acknowledged.note",
        "acknowledged.at",
        "at_end",
    ];
    write(args.remote.format, &rows, (&few, &all), out, colour)?;
    Ok(Exit::Judged(u8::from(rows.iter().any(|row| row["state"] == "lost"))))
}

/// Writes the repeats that a running sidecar remembers.
pub fn duplicates(
    args: &RemoteArgs,
    out: &mut dyn Write,
    colour: bool,
) -> Result<Exit, RemoteError> {
    let rows = Remote::new(args).rows("/v1/duplicates")?;
    let few = [
        "kind",
        "stream",
        "partition",
        "view",
        "producer",
        "seq",
        "earlier.position",
        "position",
        "at",
    ];
    let all = [
        "view",
        "stream",
        "partition",
        "lane",
        "producer",
        "epoch",
        "seq",
        "kind",
        "position",
        "earlier.position",
        "at",
        "time",
    ];
    write(args.format, &rows, (&few, &all), out, colour)?;
    Ok(Exit::Judged(u8::from(!rows.is_empty())))
}

/// Writes rows: some of their fields for people, all for programs.
fn write(
    format: cli::Sheet,
    rows: &[Value],
    (few, all): (&[&'static str], &[&'static str]),
    out: &mut dyn Write,
    colour: bool,
) -> Result<(), RemoteError> {
    match format {
        cli::Sheet::Json => {
            serde_json::to_writer(&mut *out, rows).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        cli::Sheet::Table => {
            sheet(rows, few, readable).write_table(out, colour)?;
        }
        cli::Sheet::Csv => sheet(rows, all, text).write_csv(out)?,
    }
    Ok(())
}

fn sheet(rows: &[Value], fields: &[&'static str], field: impl Fn(&Value, &str) -> String) -> Sheet {
    let cells = |row| fields.iter().map(|name| field(row, name)).collect();
    Sheet { heading: fields.to_vec(), rows: rows.iter().map(cells).collect() }
}

/// A field by its dotted name; empty where there is none.
fn text(row: &Value, name: &str) -> String {
    let value = name.split('.').fold(row, |value, part| &value[part]);
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// A field as people read it: times in UTC.
fn readable(row: &Value, name: &str) -> String {
    match name {
        "since" | "at" => time(&text(row, name)),
        name => text(row, name),
    }
}

fn time(ms: &str) -> String {
    let time = ms.parse().ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| ms.to_owned(), |time| format!("{time:.3}"))
}
