//! `lacuna run` as a process: it listens, says where, drains on a signal, and its exit code says what
//! was found.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{self, Child, ChildStderr, Command, Stdio};
use std::{env, fs};

use lacuna_core::stamp::Encoder;
use serde_json::Value;

pub(crate) const CONFIG: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/good/empty.toml");

/// A sidecar without sources, on a port of its own.
pub(crate) struct Sidecar {
    child: Child,
    log: BufReader<ChildStderr>,
    pub(crate) address: String,
}

impl Drop for Sidecar {
    /// A test that fails leaves nothing behind.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Sidecar {
    pub(crate) fn start() -> Self {
        Self::with(CONFIG, &[])
    }

    /// With its state in this directory.
    pub(crate) fn keeping(state: &str) -> Self {
        Self::with(CONFIG, &[("LACUNA_STATE__PATH", state)])
    }

    fn start_with(config: &str) -> Self {
        Self::with(config, &[])
    }

    pub(crate) fn with(config: &str, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lacuna"))
            .args(["run", "--config", config, "--listen", "127.0.0.1:0"])
            .env("LACUNA_LOG__FORMAT", "json")
            .env("LACUNA_STATE__PATH", "none")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let line = line(&mut log).expect("it ended before it listened");
            if let Some(address) = line["address"].as_str() {
                break address.to_owned();
            }
        };
        Self { child, log, address }
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> String {
        self.ask("POST", path, body)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, "");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> String {
        ask(TcpStream::connect(&self.address).unwrap(), method, path, body)
    }

    /// Kills it: all that it has logged since it listened.
    pub(crate) fn killed(mut self) -> String {
        self.child.kill().unwrap();
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        log
    }

    /// Sends the signal, and waits for the end: the last log line, and the exit code.
    pub(crate) fn end(self, signal: &str) -> (Value, Option<i32>) {
        let (mut lines, code) = self.said_until_end(signal);
        (lines.pop().unwrap_or_default(), code)
    }

    /// The same with all log lines since it listened.
    fn said_until_end(mut self, signal: &str) -> (Vec<Value>, Option<i32>) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let lines = std::iter::from_fn(|| line(&mut self.log)).collect();
        (lines, self.child.wait().unwrap().code())
    }
}

fn ask(mut stream: impl Read + Write, method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn line(log: &mut BufReader<ChildStderr>) -> Option<Value> {
    let mut text = String::new();
    log.read_line(&mut text).unwrap();
    (!text.is_empty()).then(|| serde_json::from_str(&text).unwrap())
}

pub(crate) fn messages(seqs: &[u64]) -> String {
    let mut encoder = Encoder::new("p", 1, "orders", "0").unwrap();
    let mut lines =
        r#"{"watch":{"stream":"orders","partition":"0","from":"start","at":0}}"#.to_owned();
    for &seq in seqs {
        let stamp = String::from_utf8(encoder.encode(seq).to_vec()).unwrap();
        lines += &format!(
            "\n{{\"stream\":\"orders\",\"partition\":\"0\",\"at\":0,\"stamp\":\"{stamp}\"}}"
        );
    }
    lines
}

#[test]
fn it_drains_on_a_signal_and_ends_with_what_was_found() {
    for (signal, seqs, code) in [
        ("TERM", &[][..], 3),
        ("INT", &[0, 1, 2], 0),
        ("TERM", &[0, 1, 1], 1),
        ("TERM", &[0, 2], 3),
    ] {
        let sidecar = Sidecar::start();
        let answer = sidecar.post("/v1/observations", &messages(seqs));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let (last, ended) = sidecar.end(signal);
        assert_eq!((last["message"].as_str(), ended), (Some("ended"), Some(code)), "{last}");
    }
}

#[test]
fn a_socket_is_for_its_owner_and_group_and_is_left_to_nobody() {
    let path = env::temp_dir().join(format!("lacuna-run-{}.sock", process::id()));
    drop(fs::remove_file(&path));
    let environment = [("LACUNA_HTTP__SOCKET", path.to_str().unwrap())];
    let mut killed = Sidecar::with(CONFIG, &environment);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    // While it listens, no other one does.
    let second = Command::new(env!("CARGO_BIN_EXE_lacuna"))
        .args(["run", "--state", "none", "--config", CONFIG, "--listen", "127.0.0.1:0"])
        .envs(environment)
        .output()
        .unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("http.socket names another path"), "{said}");
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    assert!(path.exists(), "what a killed one leaves behind");
    let sidecar = Sidecar::with(CONFIG, &environment);
    let answer =
        ask(UnixStream::connect(&path).unwrap(), "POST", "/v1/observations", &messages(&[0, 1, 2]));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let (last, ended) = sidecar.end("TERM");
    assert_eq!((last["message"].as_str(), ended), (Some("ended"), Some(0)), "{last}");
    assert!(!path.exists());
    // What is no socket is nobody's to remove.
    fs::write(&path, "mine").unwrap();
    let other = Command::new(env!("CARGO_BIN_EXE_lacuna"))
        .args(["run", "--state", "none", "--config", CONFIG, "--listen", "127.0.0.1:0"])
        .envs(environment)
        .output()
        .unwrap();
    assert_eq!(other.status.code(), Some(2));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_request_that_never_ends_does_not_keep_it() {
    let sidecar = Sidecar::start();
    let mut stream = TcpStream::connect(&sidecar.address).unwrap();
    let head = "POST /v1/observations HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(b"Expect: 100-continue\r\n\r\n").unwrap();
    // What comes back says that the request is under way.
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    let (last, ended) = sidecar.end("TERM");
    assert_eq!((last["message"].as_str(), ended), (Some("ended"), Some(3)), "{last}");
}

#[test]
fn an_address_that_is_taken_is_2() {
    let sidecar = Sidecar::start();
    let second = Command::new(env!("CARGO_BIN_EXE_lacuna"))
        .args(["run", "--state", "none", "--config", CONFIG, "--listen", &sidecar.address])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.starts_with(&format!("lacuna: cannot listen on {}: ", sidecar.address)), "{said}");
    sidecar.end("TERM");
}

/// Waits for a log line with this message.
fn said(sidecar: &mut Sidecar, message: &str) -> Value {
    loop {
        let line = line(&mut sidecar.log).expect("it ended");
        if line["message"] == message {
            return line;
        }
    }
}

#[test]
fn a_configuration_is_read_again_on_a_signal() {
    let directory = env::temp_dir().join(format!("lacuna-reload-{}", process::id()));
    fs::create_dir_all(&directory).unwrap();
    let config = directory.join("lacuna.toml");
    let write = |text: &str| fs::write(&config, text).unwrap();
    write("[checking]\ngrace = \"1h\"\n[stream.bills]\nenabled = false\n");
    let mut sidecar = Sidecar::start_with(config.to_str().unwrap());
    let hangup = |sidecar: &Sidecar| {
        let pid = sidecar.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "HUP", &pid]).status().unwrap().success());
    };
    let checking = |sidecar: &Sidecar, stream: &str| {
        sidecar.get(&format!("/v1/checking?stream={stream}"))["enabled"].as_bool().unwrap()
    };
    // A gap that is not judged for an hour.
    sidecar.post("/v1/observations", &messages(&[0, 2]));
    assert!(!checking(&sidecar, "bills") && checking(&sidecar, "orders"));

    write("[checking]\ngrace = \"never\"\n");
    hangup(&sidecar);
    said(&mut sidecar, "the configuration is wrong, and stays as it was");

    write("[checking]\ngrace = \"1ms\"\n[stream.shop]\nenabled = false\n[engine]\nworkers = 2\n");
    hangup(&sidecar);
    let left = said(&mut sidecar, "changed, and needs a restart to hold");
    assert_eq!(left["key"], "engine.workers");
    let read = said(&mut sidecar, "configuration read again");
    assert_eq!(read["taken"], "checking.grace stream.bills.enabled stream.shop.enabled");
    assert!(checking(&sidecar, "bills") && !checking(&sidecar, "shop"));
    assert_eq!(sidecar.get("/v1/report?depth=totals")["grace_ms"], 1);
    // The gap has the new grace from its opening.
    let end = r#"{"end":{"stream":"orders","partition":"0","at":0}}"#;
    sidecar.post("/v1/observations", end);
    said(&mut sidecar, "lost");
    sidecar.end("TERM");
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn lines_of_one_kind_are_held_back_and_counted() {
    let sidecar = Sidecar::with(CONFIG, &[("LACUNA_LOG__LIMIT", "3")]);
    let refused: Vec<String> = (0..20).map(|at| format!("[{0},{0}]", 2 * at)).collect();
    let watch = r#"{"watch":{"stream":"orders","partition":"0","from":"start","at":0}}"#;
    sidecar.post("/v1/observations", watch);
    sidecar.post(
        "/v1/ledger",
        &format!(
            r#"{{"v":1,"rev":1,"producer":"p","epoch":"1","stream":"orders","lane":"0","next":50,"pending":[[45,49]],"unanswered":[],"refused":[{}],"aborted":[]}}"#,
            refused.join(",")
        ),
    );
    assert_eq!(sidecar.get("/v1/report?depth=totals")["totals"]["refused"], 20);
    let (mut written, mut held) = (0, 0);
    for line in sidecar.said_until_end("TERM").0 {
        written += u64::from(line["message"] == "refused");
        held += line["lines"].as_u64().filter(|_| line["of"] == "lacuna::findings").unwrap_or(0);
    }
    assert_eq!((written, held), (3, 17));
}
