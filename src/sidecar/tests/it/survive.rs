//! What was answered as taken is kept, whatever happens to the process then.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use lacuna_core::stamp::Encoder;
use serde_json::Value;

use crate::run::{self, CONFIG, Sidecar};

/// The whole answer to a request, with these further header lines.
fn exchange(sidecar: &Sidecar, method: &str, path: &str, more: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(&sidecar.address).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}Content-Length: {length}\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A directory that is removed with it.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new(name: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::remove_dir_all(&dir).ok();
        Self(dir)
    }

    pub(crate) fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn messages(seqs: &[u64]) -> String {
    let mut encoder = Encoder::new("p", 1, "orders", "0").unwrap();
    let line = |&seq: &u64| {
        let stamp = String::from_utf8(encoder.encode(seq).to_vec()).unwrap();
        format!(
            r#"{{"stream":"orders","partition":"0","position":{seq},"at":0,"stamp":"{stamp}"}}"#
        )
    };
    seqs.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn json(answer: &str) -> Value {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap()
}

fn totals(sidecar: &Sidecar) -> Value {
    json(&exchange(sidecar, "GET", "/v1/report?depth=totals", "", ""))["totals"].clone()
}

#[test]
fn what_was_answered_is_kept_and_taken_once() {
    let dir = Dir::new("answered");
    let mut sidecar = Sidecar::keeping(dir.text());
    let watch =
        r#"{"watch":{"stream":"orders","partition":"0","from":"start","position":0,"at":0}}"#;
    exchange(&sidecar, "POST", "/v1/observations", "", watch);
    let mut before = Value::Null;
    for batch in 0..20_u64 {
        let body = messages(&[2 * batch, 2 * batch + 1]);
        let header = format!("Lacuna-Batch: shop;{batch}\r\n");
        let taken = json(&exchange(&sidecar, "POST", "/v1/observations", &header, &body));
        assert_eq!((&taken["taken"], &taken["repeated"]), (&2.into(), &false.into()));
        let now = totals(&sidecar);
        // At once: nothing but the answer says that it is kept.
        sidecar.end("KILL");
        sidecar = Sidecar::keeping(dir.text());
        assert_eq!(totals(&sidecar), now, "batch {batch}");
        let taken = json(&exchange(&sidecar, "POST", "/v1/observations", &header, &body));
        assert_eq!((&taken["taken"], &taken["repeated"]), (&0.into(), &true.into()));
        before = totals(&sidecar);
        assert_eq!(before, now, "batch {batch}, sent again");
    }
    assert_eq!((&before["seen"], &before["observed"]["valid"]), (&40.into(), &40.into()));
    // So is what was said of one stream's checking.
    exchange(&sidecar, "PUT", "/v1/checking?stream=orders", "", r#"{"enabled":false}"#);
    sidecar.end("KILL");
    let sidecar = Sidecar::keeping(dir.text());
    let checking = json(&exchange(&sidecar, "GET", "/v1/checking?stream=orders", "", ""));
    assert_eq!(checking["enabled"], false);
    sidecar.end("TERM");

    let mut inspect = Command::new(env!("CARGO_BIN_EXE_lacuna"));
    let said = inspect.args(["state", "inspect"]).arg(&dir.0).output().unwrap();
    let account: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&account["lanes"], &account["totals"]["seen"]), (&1.into(), &40.into()));
}

/// That the newest rows are not all repeats is shown, and still is after a crash.
#[test]
fn rows_of_repeats_that_were_forgotten_are_counted() {
    let dir = Dir::new("forgotten");
    let environment = [("LACUNA_STATE__PATH", dir.text()), ("LACUNA_LIMITS__DUPLICATES", "3")];
    let mut sidecar = Sidecar::with(CONFIG, &environment);
    let answer = sidecar.post("/v1/observations", &run::messages(&[0; 6]));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for _ in 0..2 {
        let metrics = sidecar.ask("GET", "/metrics", "");
        let forgotten = "lacuna_limit_reached_total{limit=\"limits.duplicates\"} 2\n";
        assert!(metrics.contains(forgotten), "{metrics}");
        assert_eq!(sidecar.get("/v1/duplicates")["duplicates"].as_array().unwrap().len(), 3);
        assert_eq!(totals(&sidecar)["duplicates"]["undetermined"], 5);
        sidecar.end("KILL");
        sidecar = Sidecar::with(CONFIG, &environment);
    }
}

/// That gaps have lost their neighbours is shown: as many as there are.
#[test]
fn gaps_whose_neighbours_were_forgotten_are_counted() {
    let dir = Dir::new("neighbours");
    let environment = [("LACUNA_STATE__PATH", dir.text()), ("LACUNA_LIMITS__EVIDENCE", "4")];
    let sidecar = Sidecar::with(CONFIG, &environment);
    let numbers: Vec<u64> = (0..41).map(|number| 2 * number).collect();
    let answer = sidecar.post("/v1/observations", &run::messages(&numbers));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let gaps = sidecar.get("/v1/gaps?limit=1000");
    let gaps = gaps["gaps"].as_array().unwrap();
    let bare = gaps.iter().filter(|gap| gap["before"].is_null() && gap["after"].is_null()).count();
    assert!((20..40).contains(&bare) && gaps.len() == 40, "{bare} of {}", gaps.len());
    let metrics = sidecar.ask("GET", "/metrics", "");
    let forgotten = format!("lacuna_limit_reached_total{{limit=\"limits.evidence\"}} {bare}\n");
    assert!(metrics.contains(&forgotten), "{bare}: {metrics}");
    sidecar.end("TERM");
}

/// A member that posts does not say again how its view is watched.
#[test]
fn a_view_is_watched_after_a_restart_as_it_was_before() {
    let dir = Dir::new("watched");
    let environment = [("LACUNA_STATE__PATH", dir.text()), ("LACUNA_CHECKING__GRACE", "0s")];
    let start = || Sidecar::with(CONFIG, &environment);
    let mut encoder = Encoder::new("p", 1, "orders", "0").unwrap();
    let mut handed = |seq| {
        let stamp = String::from_utf8(encoder.encode(seq).to_vec()).unwrap();
        format!(
            r#"{{"view":"billing","stream":"orders","partition":"0","at":0,"stamp":"{stamp}"}}"#
        )
    };
    let post = |sidecar: &Sidecar, body: &str| {
        let answer = sidecar.post("/v1/observations", body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    let sidecar = start();
    let watch = r#"{"watch":{"view":"billing","stream":"orders","partition":"0","from":"here","at":0,"ordered":false}}"#;
    post(&sidecar, &[watch, &handed(0), &handed(1)].map(str::to_owned).join("\n"));
    sidecar.end("KILL");
    let sidecar = start();
    for on in [false, true] {
        sidecar.ask("PUT", "/v1/checking?stream=orders", &format!(r#"{{"enabled":{on}}}"#));
    }
    // Members compete: that 11 comes later proves nothing of 10.
    post(&sidecar, &[9, 11, 12].map(&mut handed).join("\n"));
    post(&sidecar, &handed(13));
    let found = totals(&sidecar);
    assert_eq!((&found["missing"], &found["seen"]), (&1.into(), &6.into()), "{found}");
    // Off when it ended, by its configuration: what was open is unknown, not lost.
    sidecar.end("KILL");
    let sidecar = Sidecar::with(CONFIG, &[environment[0], ("LACUNA_CHECKING__ENABLED", "false")]);
    let found = totals(&sidecar);
    assert_eq!((&found["missing"], &found["unknown"]["paused"]), (&0.into(), &8.into()), "{found}");
}

#[test]
fn a_directory_has_one_sidecar() {
    let dir = Dir::new("one");
    let first = Sidecar::keeping(dir.text());
    let second = Command::new(env!("CARGO_BIN_EXE_lacuna"))
        .args(["run", "kafka", "--brokers", "127.0.0.1:1", "--topic", "t"])
        .args(["--listen", "127.0.0.1:0", "--state", dir.text()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(2), "{said}");
    assert!(said.contains("in use by another process"), "{said}");
    first.end("TERM");
}
