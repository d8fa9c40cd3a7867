//! `lacuna check` on recordings: what it prints, and how it ends.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use lacuna_core::stamp::Encoder;
use serde_json::Value;

/// Runs `lacuna check` with these arguments and this on its standard input.
fn check(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lacuna"))
        .arg("check")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One that ends at a bad line need not read on.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn json(args: &[&str], input: &str) -> (Value, i32) {
    let output = check(&[&["--format", "json"], args].concat(), input);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "");
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code().unwrap())
}

const WATCH: &str =
    r#"{"watch":{"stream":"orders","partition":"0","from":"start","position":0,"at":1000}}"#;

/// A message of partition 0 with this number.
fn message(position: u64, at: u64, seq: u64) -> String {
    let mut encoder = Encoder::new("p@h", 1, "orders", "0").unwrap();
    let stamp = String::from_utf8(encoder.encode(seq).to_vec()).unwrap();
    format!(
        r#"{{"stream":"orders","partition":"0","position":{position},"at":{at},"stamp":"{stamp}"}}"#
    )
}

/// A recording that is watched from its start, a millisecond a message.
fn recording(seqs: &[u64]) -> String {
    let mut lines = vec![WATCH.to_owned()];
    lines.extend((0..).zip(seqs).map(|(position, &seq)| message(position, 1_000 + position, seq)));
    lines.join("\n")
}

/// A message without a stamp, after every grace.
const LATER: &str = "\n{\"stream\":\"orders\",\"partition\":\"0\",\"position\":99,\"at\":20000}\n";

/// A file of this test's own, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Self {
        let file = format!("lacuna-check-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(file);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

#[test]
fn clean_is_0() {
    let (report, code) = json(&[], &recording(&[0, 1, 2]));
    assert_eq!((code, &report["totals"]["seen"]), (0, &3.into()));
}

#[test]
fn lost_is_1() {
    let (report, code) = json(&[], &(recording(&[0, 3]) + LATER));
    assert_eq!((code, &report["totals"]["lost"]["undetermined"]), (1, &2.into()));
}

#[test]
fn repeated_is_1() {
    let (report, code) = json(&[], &recording(&[0, 1, 1]));
    assert_eq!((code, &report["totals"]["duplicates"]["resent"]), (1, &1.into()));
}

#[test]
fn missing_is_3_and_complete_makes_it_lost() {
    let input = recording(&[0, 2]);
    let (report, code) = json(&[], &input);
    assert_eq!((code, &report["totals"]["missing"]), (3, &1.into()));
    assert_eq!(report["complete"], false);
    let (report, code) = json(&["--complete", "--gaps"], &input);
    assert_eq!((code, &report["totals"]["missing"]), (1, &0.into()));
    assert_eq!(report["complete"], true);
    assert_eq!(report["gaps"][0]["at_end"], true);
}

#[test]
fn nothing_at_all_is_3() {
    let (report, code) = json(&[], "\n  \n");
    assert_eq!(code, 3);
    assert_eq!(report["at"], Value::Null);
    assert_eq!(report["streams"], Value::Array(Vec::new()));
}

#[test]
fn grace_decides() {
    let input = recording(&[0, 2]) + LATER;
    assert_eq!(json(&["--grace", "18s"], &input).1, 1);
    assert_eq!(json(&["--grace", "1m"], &input).1, 3);
    assert_eq!(json(&["--grace", "1m"], &input).0["grace_ms"], 60_000);
    assert_eq!(json(&["--clock-skew", "500ms"], &input).0["clock_skew_ms"], 500);
}

#[test]
fn several_files_are_one_recording() {
    let whole = recording(&[0, 1, 2, 3]);
    let (first, second) = whole.split_at(whole.match_indices('\n').nth(1).unwrap().0);
    let first = Scratch::new("first", first);
    let (report, code) = json(&[first.name(), "-"], second);
    assert_eq!((code, &report["totals"]["seen"]), (0, &4.into()));
}

#[test]
fn lines_go_where_they_say() {
    // Two of each, in turn, and as many of a number as a place's own.
    let places = [("log", "a"), ("log", "b"), ("billing", "a")]
        .map(|(view, stream)| ["0", "1"].map(|partition| (view, stream, partition)));
    let mut input = Vec::new();
    for round in 0..3 {
        for (own, (view, stream, partition)) in places.as_flattened().iter().enumerate() {
            let mut encoder = Encoder::new("p@h", 1, stream, partition).unwrap();
            let stamp = String::from_utf8(encoder.encode(round).to_vec()).unwrap();
            for _ in 0..=own {
                input.push(format!(
                    r#"{{"view":"{view}","stream":"{stream}","partition":"{partition}","at":5,"stamp":"{stamp}"}}"#
                ));
            }
        }
    }
    let (report, _) = json(&[], &input.join("\n"));
    let mut found = Vec::new();
    for stream in report["streams"].as_array().unwrap() {
        for partition in stream["partitions"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let place = [&stream["view"], &stream["stream"], &partition["partition"]].map(text);
            found.push((place.join(" "), partition["totals"]["observed"]["valid"].clone()));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("billing a 0", 15),
        ("billing a 1", 18),
        ("log a 0", 3),
        ("log a 1", 6),
        ("log b 0", 9),
        ("log b 1", 12),
    ];
    let expected = expected.map(|(place, count)| (place.to_owned(), Value::from(count)));
    assert_eq!(found, expected);
}

#[test]
fn a_line_that_cannot_be_read_is_named_and_there_is_no_report() {
    let good = recording(&[0, 1]);
    let table = [
        ("{", "EOF while parsing an object at column 1"),
        (r#"{"partition":"0","at":1}"#, "missing field `stream`"),
        (r#"{"stream":"orders","at":1}"#, "missing field `partition`"),
        (r#"{"stream":"orders","partition":"0"}"#, "missing field `at`"),
        (
            r#"{"ledger":{"producer":"p","epoch":"1","stream":"orders","lane":"0","from":3,"next":2}}"#,
            "from is above next, or next is above 2^63",
        ),
    ];
    for (bad, why) in table {
        let output = check(&["--format", "json"], &format!("{good}\n\n{bad}\n{good}"));
        assert_eq!(output.status.code(), Some(2), "{bad}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{bad}");
        let expected = format!("lacuna: standard input:5: {why}\n");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    }
    let file = Scratch::new("bad", "{}");
    let output = check(&[file.name()], "");
    let expected = format!("lacuna: {}:1: missing field `stream`\n", file.name());
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}

#[test]
fn a_file_that_is_not_there_is_2() {
    let output = check(&["/nowhere/at.all"], "");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let expected = "lacuna: cannot open /nowhere/at.all: No such file or directory (os error 2)\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}

#[test]
fn wrong_usage_is_64() {
    for args in [&["--grace", "10"][..], &["--gaps=most"], &["--format", "xml"], &["--no-such"]] {
        let output = check(args, "");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(64), 0), "{args:?}");
    }
}

#[test]
fn gaps_are_rows_of_the_chosen_states() {
    let ledger = r#"{"ledger":{"v":1,"rev":1,"producer":"p@h","epoch":"1","stream":"orders","lane":"0","next":6,"refused":[[1,1]],"pending":[],"unanswered":[[3,3]],"aborted":[]}}"#;
    let input = format!("{}\n{ledger}{LATER}", recording(&[0, 2, 5]));
    let rows = |flag| {
        let (report, _) = json(&[flag], &input);
        let rows = report["gaps"].as_array().unwrap().clone();
        let mut rows: Vec<(u64, u64, String, String)> = rows
            .iter()
            .map(|row| {
                let text = |name: &str| row[name].as_str().unwrap_or("null").to_owned();
                let number = |name: &str| row[name].as_u64().unwrap();
                (number("first"), number("last"), text("state"), text("stage"))
            })
            .collect();
        rows.sort();
        rows
    };
    let row =
        |first, last, state: &str, stage: &str| (first, last, state.to_owned(), stage.to_owned());
    let lost = [row(3, 3, "lost", "produce"), row(4, 4, "lost", "store")];
    assert_eq!(rows("--gaps"), lost);
    assert_eq!(rows("--gaps=open"), lost);
    assert_eq!(rows("--gaps=all"), [&[row(1, 1, "refused", "null")], &lost[..]].concat());
    assert_eq!(json(&[], &input).0.get("gaps"), None);
}

#[test]
fn the_report_s_shape_is_the_contract_s() {
    let ledger = r#"{"ledger":{"v":1,"rev":7,"producer":"p@h","epoch":"1","stream":"orders","lane":"0","next":4,"pending":[],"unanswered":[],"refused":[],"aborted":[],"closed":true,"at":555}}"#;
    let unwatched =
        r#"{"ledger":{"producer":"p@h","epoch":"1","stream":"elsewhere","lane":"0","next":1}}"#;
    let end = r#"{"end":{"stream":"orders","partition":"0","position":100,"at":20000}}"#;
    let input = format!("{}\n{ledger}\n{unwatched}{LATER}{end}\n", recording(&[0, 1, 3]));
    let (report, code) = json(&["--gaps"], &input);
    assert_eq!(code, 1);
    let totals = r#"{"observed":{"valid":3,"absent":1,"malformed":0,"unsupported":0,"foreign":0},
        "seen":3,"missing":0,"lost":{"produce":0,"store":1,"consume":0,"undetermined":0},
        "recovered":0,"refused":0,
        "unknown":{"joined":0,"paused":0,"evicted":0,"transaction":0},
        "duplicates":{"resent":0,"redelivered":0,"undetermined":0},"reordered":0,
        "by_design":{"aborted":0,"compacted":0,"expired":0,"retention":0},
        "open_gaps":1,"lanes":1,"lanes_without_ledger":0,"producers":1,"log_cuts":0}"#;
    let expected = r#"{"v":1,"at":20000,"checking":true,"grace_ms":10000,"clock_skew_ms":5000,
        "complete":false,"totals":TOTALS,"unwatched_streams":["elsewhere"],
        "streams":[{"view":"log","stream":"orders","totals":TOTALS,
            "partitions":[{"partition":"0","watched":{"from":"start","since":1000},"position":99,
                "end":100,"totals":TOTALS,
                "lanes":[{"producer":"p@h","epoch":"1","lane":"0","base":"zero","first":0,"next":4,
                    "last_at":1002,"ledger":{"next":4,"pending":0,"closed":true,"at":555},
                    "totals":{"observed":{"valid":3},"seen":3,"lost":{"store":1},"open_gaps":1,
                        "lanes":1,"producers":1}}]}]}],
        "gaps":[{"id":"ID","view":"log","stream":"orders","partition":"0","lane":"0",
            "producer":"p@h","epoch":"1","first":2,"last":2,"count":1,"state":"lost",
            "stage":"store",
            "before":{"seq":1,"partition":"0","position":1,"at":1001,"time":null},
            "after":{"seq":3,"partition":"0","position":2,"at":1002,"time":null},
            "ledger":{"says":"acknowledged","at":555},"seen_in":[],"since":1002,
            "judged_at":20000,"recovered_at":null,"acknowledged":null,"at_end":false}]}"#;
    let id = report["gaps"][0]["id"].as_str().unwrap();
    assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    let expected = expected.replace("TOTALS", totals).replace("ID", id);
    let expected: Value = serde_json::from_str(&expected).unwrap();
    assert_eq!(report, expected, "\n{report:#}\n{expected:#}");
}

#[test]
fn counts_are_exact_beyond_64_bits() {
    // Three lanes of 2^63 numbers, of which each has one: 3 * (2^63 - 1) are refused.
    let mut input = vec![WATCH.to_owned()];
    for epoch in 1..=3 {
        let mut encoder = Encoder::new("p@h", epoch, "orders", "0").unwrap();
        let stamp = String::from_utf8(encoder.encode(0).to_vec()).unwrap();
        input.push(format!(
            r#"{{"stream":"orders","partition":"0","position":{epoch},"at":1001,"stamp":"{stamp}"}}"#
        ));
        input.push(format!(
            r#"{{"ledger":{{"producer":"p@h","epoch":"{epoch}","stream":"orders","lane":"0","next":9223372036854775808,"refused":[[1,9223372036854775807]]}}}}"#
        ));
    }
    let output = check(&["--format", "json"], &input.join("\n"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(r#""refused":27670116110564327421"#), "{text}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_text_says_what_is_wrong_first() {
    let input = recording(&[0, 1, 4, 4]) + LATER;
    let output = check(&[], &input);
    let expected = "\
2 lost, 1 repeated; 3 seen

lost (undetermined): 2 numbers, 2 to 3
    stream orders, partition 0, view log, producer p@h, epoch 1
    nothing proves where
    after 1 (partition 0, position 1, 1970-01-01T00:00:01.001Z), before 4 (partition 0, position 2, 1970-01-01T00:00:01.002Z)
    open since 1970-01-01T00:00:01.002Z, judged 1970-01-01T00:00:20.000Z

repeated (resent): number 4
    stream orders, partition 0, view log, producer p@h, epoch 1
    again at position 3, 1970-01-01T00:00:01.003Z; before at position 2

stream orders, view log, 1 partition
    messages                 5  valid 4, unstamped 1
    seen                     3
    lost                     2  undetermined 2
    repeated                 1  resent 1
    1 lane of 1 producer; 1 without a ledger: of those an end that was lost cannot be told

grace 10s
";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_stream_without_any_stamp_is_said_to_be_so() {
    let line = r#"{"stream":"bills","partition":"0","position":1,"at":5}"#;
    let output = check(&[], line);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("nothing to judge: no stamped message was seen\n"), "{text}");
    assert!(
        text.contains("no message carries a stamp: its producers do not stamp yet\n"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_text_report_shows_few_findings_unless_asked_for_all() {
    let odd: Vec<u64> = (0..40).map(|n| n * 2).collect();
    let input = recording(&odd) + LATER;
    let shown = |args: &[&str]| {
        let text = String::from_utf8(check(args, &input).stdout).unwrap();
        (text.matches("lost (undetermined)").count(), text.contains("… and 19 more gaps; --gaps"))
    };
    assert_eq!(shown(&[]), (20, true));
    assert_eq!(shown(&["--gaps"]), (39, false));
}
