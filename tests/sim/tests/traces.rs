//! The hand-written examples of `tests/traces`, one a rule of contracts §4: both the truth and the
//! core must find what each says.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot read its examples must stop"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use lacuna_core::totals::Totals;
use lacuna_sim::core_side;
use lacuna_sim::line::{Entry, LaneKey, Line, Mark, Name, Place, Why, origin};
use lacuna_sim::oracle::{Fate, Oracle, Stage, Unsure};
use lacuna_sim::trial::{self, Terms};
use serde_json::Value;

fn traces() -> Vec<(PathBuf, Value, Vec<Line>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "ndjson"))
        .collect();
    found.sort();
    assert!(found.len() > 50, "the examples are gone");
    let read = |path: PathBuf| {
        let expected = std::fs::read_to_string(path.with_extension("expected.json")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| parse(&serde_json::from_str(line).unwrap())).collect();
        (path, serde_json::from_str(&expected).unwrap(), lines)
    };
    found.into_iter().map(read).collect()
}

fn settings(expected: &Value) -> (u64, u64) {
    (expected["grace_ms"].as_u64().unwrap(), expected["clock_skew_ms"].as_u64().unwrap())
}

#[test]
fn the_truth_finds_what_each_example_says() {
    let mut wrong = Vec::new();
    for (path, expected, lines) in traces() {
        let (grace, skew) = settings(&expected);
        let mut oracle = Oracle::new(grace, skew);
        for line in &lines {
            oracle.apply(line);
        }
        if expected["complete"] == true {
            oracle.complete();
        }
        let found = counts(&oracle);
        let wanted = flat(&expected["totals"], &found);
        if found != wanted {
            wrong.push(format!("{}\n  found  {found:?}\n  wanted {wanted:?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_core_finds_what_each_example_says() {
    let mut wrong = Vec::new();
    for (path, expected, lines) in traces() {
        let (grace, skew) = settings(&expected);
        let mut checker = core_side::checker(grace, skew);
        for line in &lines {
            core_side::apply(&mut checker, line).unwrap();
        }
        if expected["complete"] == true {
            checker.complete();
        }
        let totals = checker.totals();
        let found = flat_totals(&totals);
        let wanted = flat(&expected["totals"], &found);
        if found != wanted || Some(u64::from(totals.exit_code())) != expected["exit"].as_u64() {
            wrong.push(format!("{}\n  found  {found:?}\n  wanted {wanted:?}", path.display()));
        }
        let unwatched = checker.unwatched_streams();
        let named: Vec<&str> =
            expected["unwatched_streams"].as_array().into_iter().flatten().map(text).collect();
        assert_eq!(unwatched, named, "{}", path.display());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn core_and_truth_agree_on_each_example_line_by_line() {
    for (path, expected, lines) in traces() {
        let (grace, skew) = settings(&expected);
        if let Err(failure) =
            trial::run(&lines, Terms { grace, skew, every: 1, checkers: 1, lost: None })
        {
            panic!("{} line {}: {}", path.display(), failure.after, failure.what);
        }
    }
}

// --- counting ------------------------------------------------------------------------------

type Flat = BTreeMap<String, u64>;

/// The expected totals by path, all that are counted at all, zero where nothing is said.
fn flat(totals: &Value, counted: &Flat) -> Flat {
    let mut flat: Flat = counted.keys().map(|name| (name.clone(), 0)).collect();
    for (name, value) in totals.as_object().unwrap() {
        match value.as_u64() {
            Some(count) => {
                flat.entry(name.clone()).and_modify(|n| *n = count);
            }
            None => {
                for (inner, count) in value.as_object().unwrap() {
                    let key = format!("{name}.{inner}");
                    assert!(flat.contains_key(&key), "{key} is not counted");
                    flat.insert(key, count.as_u64().unwrap());
                }
            }
        }
    }
    flat
}

fn flat_totals(t: &Totals) -> Flat {
    let narrow = |count: u128| u64::try_from(count).unwrap();
    named([
        ("observed.valid", t.observed.valid),
        ("observed.absent", t.observed.absent),
        ("observed.malformed", t.observed.malformed),
        ("observed.unsupported", t.observed.unsupported),
        ("observed.foreign", t.observed.foreign),
        ("seen", t.seen),
        ("missing", narrow(t.missing)),
        ("lost.produce", narrow(t.lost.produce)),
        ("lost.store", narrow(t.lost.store)),
        ("lost.consume", narrow(t.lost.consume)),
        ("lost.undetermined", narrow(t.lost.undetermined)),
        ("recovered", t.recovered),
        ("refused", narrow(t.refused)),
        ("unknown.joined", narrow(t.unknown.joined)),
        ("unknown.paused", narrow(t.unknown.paused)),
        ("unknown.transaction", narrow(t.unknown.transaction)),
        ("duplicates.resent", t.duplicates.resent),
        ("duplicates.redelivered", t.duplicates.redelivered),
        ("duplicates.undetermined", t.duplicates.undetermined),
        ("reordered", t.reordered),
        ("by_design.aborted", narrow(t.by_design.aborted)),
        ("by_design.compacted", narrow(t.by_design.compacted)),
        ("by_design.expired", narrow(t.by_design.expired)),
        ("by_design.retention", narrow(t.by_design.retention)),
        ("open_gaps", t.open_gaps),
        ("lanes", t.lanes),
        ("lanes_without_ledger", t.lanes_without_ledger),
        ("producers", t.producers),
        ("log_cuts", t.log_cuts),
    ])
}

fn named<const N: usize>(counts: [(&str, u64); N]) -> Flat {
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

fn counts(oracle: &Oracle) -> Flat {
    let mut flat = Flat::new();
    let mut add = |name: &str, count: u64| {
        *flat.entry(name.to_owned()).or_default() += count;
    };
    for name in flat_totals(&Totals::default()).keys().filter(|name| *name != "open_gaps") {
        add(name, 0);
    }
    let mut producers: BTreeSet<Name> = BTreeSet::new();
    for (view, stream) in oracle.streams() {
        for part in oracle.parts(view, stream).values() {
            let names = ["valid", "absent", "malformed", "unsupported", "foreign"];
            for (name, count) in names.into_iter().zip(part.observed) {
                add(&format!("observed.{name}"), count);
            }
            add("log_cuts", part.cuts);
        }
        for (key, truth) in oracle.lanes(view, stream) {
            producers.insert(key.producer);
            add("lanes", 1);
            add("lanes_without_ledger", u64::from(!truth.has_ledger));
            add("recovered", truth.counts.recovered);
            add("reordered", truth.counts.reordered);
            add("duplicates.resent", truth.counts.resent);
            add("duplicates.redelivered", truth.counts.redelivered);
            add("duplicates.undetermined", truth.counts.undetermined);
            for fate in truth.fates.into_values().filter(|fate| *fate != Fate::LostInLog) {
                add(name_of(fate), 1);
            }
        }
    }
    add("producers", u64::try_from(producers.len()).unwrap());
    flat
}

fn name_of(fate: Fate) -> &'static str {
    match fate {
        Fate::Seen => "seen",
        Fate::Missing => "missing",
        Fate::Lost(Stage::Produce) => "lost.produce",
        Fate::Lost(Stage::Store) => "lost.store",
        Fate::Lost(Stage::Consume) => "lost.consume",
        Fate::Lost(Stage::Undetermined) => "lost.undetermined",
        Fate::Refused => "refused",
        Fate::ByDesign(Why::Aborted) => "by_design.aborted",
        Fate::ByDesign(Why::Compacted) => "by_design.compacted",
        Fate::ByDesign(Why::Expired) => "by_design.expired",
        Fate::ByDesign(Why::Retention) => "by_design.retention",
        Fate::Unknown(Unsure::Joined) => "unknown.joined",
        Fate::Unknown(Unsure::Paused) => "unknown.paused",
        Fate::Unknown(Unsure::Transaction) => "unknown.transaction",
        Fate::LostInLog => "lost in log",
    }
}

// --- reading -------------------------------------------------------------------------------

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Names of lines live as long as the program.
fn name(value: &Value) -> Name {
    String::leak(text(value).to_owned())
}

fn parse(json: &Value) -> Line {
    let object = json.as_object().unwrap();
    let (kind, body) = match object.iter().next() {
        Some((kind, body)) if object.len() == 1 => (kind.as_str(), body),
        _ => ("message", json),
    };
    if kind == "ledger" {
        return Line::Ledger(entry(body));
    }
    let place = Place {
        view: name(&body["view"]),
        stream: name(&body["stream"]),
        partition: name(&body["partition"]),
    };
    let position = body["position"].as_u64();
    let at = body["at"].as_u64().unwrap();
    match kind {
        "message" => {
            let redelivered = body["redelivered"].as_bool();
            Line::Message { place, position, at, mark: mark(&body["stamp"], place), redelivered }
        }
        "watch" => Line::Watch {
            place,
            start: body["from"] == "start",
            position,
            at,
            committed: body["committed"] == true,
            handover: body["handover"] == true,
            ordered: body["ordered"] != false,
        },
        "end" => Line::End { place, position, at },
        "cut" => Line::Cut { place, position: position.unwrap(), at },
        "absent" => Line::Absent {
            place,
            first: body["first"].as_u64().unwrap(),
            last: body["last"].as_u64().unwrap(),
            why: match text(&body["cause"]) {
                "aborted" => Why::Aborted,
                "compacted" => Why::Compacted,
                "expired" => Why::Expired,
                "retention" => Why::Retention,
                other => panic!("cause {other}"),
            },
            at,
        },
        other => panic!("a line of kind {other}"),
    }
}

/// What the examples' stamps mean; only forms that stand in them.
fn mark(stamp: &Value, place: Place) -> Mark {
    if stamp.is_null() {
        return Mark::None;
    }
    let fields: Vec<&str> = text(stamp).split(';').collect();
    if fields[0] != "1" {
        return Mark::Unsupported(name(stamp));
    }
    let [_, producer, epoch, from, label, seq] = fields[..] else { panic!("{stamp}") };
    if epoch.starts_with('0') {
        return Mark::Malformed(name(stamp));
    }
    let here = from == origin(place.stream);
    let lane = LaneKey {
        stream: if here { place.stream } else { "elsewhere" },
        label: String::leak(label.to_owned()),
        producer: String::leak(producer.to_owned()),
        epoch: u64::from_str_radix(epoch, 16).unwrap(),
    };
    let seq = seq.parse().unwrap();
    if here && (label == "*" || label == place.partition) {
        Mark::Of(lane, seq)
    } else {
        Mark::Foreign(lane, seq)
    }
}

fn entry(body: &Value) -> Entry {
    let set = |list: &str| -> BTreeSet<u64> {
        let ranges = body[list].as_array().unwrap().iter();
        ranges.flat_map(|r| r[0].as_u64().unwrap()..=r[1].as_u64().unwrap()).collect()
    };
    Entry {
        lane: LaneKey {
            stream: name(&body["stream"]),
            label: name(&body["lane"]),
            producer: name(&body["producer"]),
            epoch: u64::from_str_radix(text(&body["epoch"]), 16).unwrap(),
        },
        rev: body["rev"].as_u64().unwrap(),
        from: body["from"].as_u64().unwrap(),
        next: body["next"].as_u64().unwrap(),
        pending: set("pending"),
        unanswered: set("unanswered"),
        refused: set("refused"),
        aborted: set("aborted"),
        closed: body["closed"] == true,
        at: body["at"].as_u64().unwrap(),
    }
}
