//! The sidecar as a process, and its HTTP API as a client sees it.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::broker::Kafka;
use crate::http::exchange;
use crate::process::{Process, Signal};
use crate::truth::Counts;
use crate::wait;

/// The grace that tests run with, in seconds.
pub const GRACE_S: u64 = 2;

/// A running sidecar.
#[derive(Debug)]
pub struct Sidecar {
    process: Process,
    address: SocketAddr,
    log: PathBuf,
    rings: PathBuf,
    /// How it was started.
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

/// The released binary.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn binary() -> PathBuf {
    let path = env::var("LACUNA_BIN").expect(
        "LACUNA_BIN is not set: run the broker tests through tests/run, \
         or build the sidecar (cargo build --release) and set it to target/release/lacuna",
    );
    let path = PathBuf::from(path);
    assert!(path.is_file(), "LACUNA_BIN: no file {}", path.display());
    path
}

impl Sidecar {
    /// Starts it on a topic, or a pattern of topics, from their beginning, and waits until it is
    /// ready.
    #[must_use]
    pub fn start(kafka: &Kafka, topic: &str) -> Self {
        Self::through(kafka, &kafka.brokers(), topic)
    }

    /// As [`Self::start`], by another way to the broker.
    #[must_use]
    pub fn through(kafka: &Kafka, brokers: &str, topic: &str) -> Self {
        Self::with(kafka, brokers, topic, "off", &[])
    }

    /// As [`Self::through`], with the ledger that producers send to this topic, or `off`.
    #[must_use]
    pub fn hearing(kafka: &Kafka, brokers: &str, topic: &str, ledger: &str) -> Self {
        Self::with(kafka, brokers, topic, ledger, &[])
    }

    /// As [`Self::start`], with further arguments.
    #[must_use]
    pub fn start_with(kafka: &Kafka, topic: &str, more: &[&str]) -> Self {
        Self::with(kafka, &kafka.brokers(), topic, "off", more)
    }

    /// As [`Self::hearing`], with its state kept in this directory.
    #[must_use]
    pub fn keeping(kafka: &Kafka, topic: &str, ledger: &str, state: &Path) -> Self {
        let state = state.to_str().expect("a path of text");
        Self::with(kafka, &kafka.brokers(), topic, ledger, &["--state", state])
    }

    fn with(kafka: &Kafka, brokers: &str, topic: &str, ledger: &str, more: &[&str]) -> Self {
        // One port for all, since one runs at a time.
        let address = kafka.port(60);
        let log = kafka.directory("sidecar").join(topic.trim_matches(['^', '.', '*']));
        let (grace, listen) = (format!("{GRACE_S}s"), address.to_string());
        let arguments = ["kafka", "--brokers", brokers, "--topic", topic, "--from", "beginning"];
        let overrides = ["--grace", grace.as_str(), "--listen", listen.as_str()];
        let rings = kafka.directory("rings").join(topic.trim_matches(['^', '.', '*']));
        let socket = rings.with_extension("sock");
        fs::create_dir_all(kafka.directory("rings")).expect("the run's directory can be written");
        let variables = [
            ("LACUNA_SOURCE__KAFKA__LEDGER", ledger),
            // What retention takes is found soon.
            ("LACUNA_SOURCE__KAFKA__GROUP_INTERVAL", "200ms"),
            ("LACUNA_MEMBERS__RING_DIR", rings.to_str().expect("a path of text")),
            ("LACUNA_HTTP__SOCKET", socket.to_str().expect("a path of text")),
        ];
        let arguments = [arguments.as_slice(), &overrides, more].concat();
        let sidecar = Self::launch(&arguments, &variables, address, log, rings.clone());
        sidecar.ready();
        sidecar
    }

    /// Starts it with these arguments of `run`, which let it listen at `address` and read rings in
    /// this directory.
    #[must_use]
    pub fn launch(
        arguments: &[&str],
        variables: &[(&str, &str)],
        address: SocketAddr,
        log: PathBuf,
        rings: PathBuf,
    ) -> Self {
        drop(File::create(&log).expect("the run's directory can be written"));
        let arguments: Vec<_> = arguments.iter().map(|&word| word.to_owned()).collect();
        // Tests that say nothing of it begin with nothing.
        let nothing = ("LACUNA_STATE__PATH".to_owned(), "none".to_owned());
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let variables: Vec<_> = std::iter::once(nothing).chain(variables).collect();
        let process = run(&arguments, &variables, &log);
        Self { process, address, log, rings, arguments, variables }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process.signal(Signal::Kill);
        self.process.ended();
    }

    /// Gives it a variable from its next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Starts it anew as it was started, without waiting for anything.
    pub fn start_again(&mut self) {
        self.process = run(&self.arguments, &self.variables, &self.log);
    }

    /// All that it has logged.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    /// Waits until it has ended by itself: its exit code, and its last line.
    pub fn refused(&mut self) -> (Option<i32>, String) {
        let status = self.process.ended();
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        (status.code(), said.lines().last().unwrap_or_default().to_owned())
    }

    /// Waits until it watches.
    pub fn ready(&self) {
        wait::until("the sidecar is ready", || match self.try_get("/readyz") {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    /// Waits until it answers.
    pub fn answers(&self) {
        wait::until("the sidecar answers", || match self.try_get("/healthz") {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    /// Its resident memory, in KiB.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.process.resident()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The directory in which members of groups tell it what they are handed.
    #[must_use]
    pub fn rings(&self) -> &Path {
        &self.rings
    }

    /// The socket on which it listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.rings.with_extension("sock")
    }

    /// Ends it in good order; the code it ends with must say what was found.
    pub fn stop(mut self, code: i32) {
        self.process.signal(Signal::Terminate);
        let status = self.process.ended();
        assert_eq!(status.code(), Some(code), "the sidecar ended with {status} on SIGTERM");
    }

    /// What a path answers.
    ///
    /// # Panics
    /// If that is not 200 and JSON.
    #[must_use]
    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.try_get(path).expect("the sidecar answers");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// The samples of one metric, whatever their labels.
    #[must_use]
    pub fn metrics_of(&self, name: &str) -> Vec<f64> {
        self.samples_of(name, "")
    }

    /// Those with this label, as `group="billing"`.
    #[must_use]
    pub fn samples_of(&self, name: &str, label: &str) -> Vec<f64> {
        let (_, body) = self.try_get("/metrics").expect("the sidecar answers");
        let samples = body.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(label))
        });
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse().ok());
        samples.map(|line| value(line).unwrap_or_else(|| panic!("no value: {line}"))).collect()
    }

    /// Sends a body; it must be taken.
    pub fn send(&self, method: &str, path: &str, body: &str) {
        let (status, said) =
            exchange(self.address, method, path, body).expect("the sidecar answers");
        assert!((200..300).contains(&status), "{method} {path}: {status} {said}");
    }

    /// What a path answers, whatever that is.
    ///
    /// # Errors
    /// It does not answer.
    pub fn try_get(&self, path: &str) -> io::Result<(u16, String)> {
        exchange(self.address, "GET", path, "")
    }

    /// The report of a view of a stream, with its lanes.
    #[must_use]
    pub fn report(&self, view: &str, stream: &str) -> Value {
        self.get(&format!("/v1/report?depth=lanes&limit=1000&view={view}&stream={stream}"))
    }

    /// Waits until the log of a stream has been read to its last message and nothing in it is
    /// missing any more: all is judged. Gives the stream's row.
    #[expect(clippy::must_use_candidate, reason = "waiting may be all that is wanted")]
    pub fn judged(&self, stream: &str, ends: &BTreeMap<u32, u64>) -> Value {
        wait::until(&format!("{stream} is read and judged"), || {
            let report = self.report("log", stream);
            let Some(row) = report["streams"].get(0) else {
                return Err(format!("no row: {report}"));
            };
            let read = ends.iter().all(|(partition, end)| {
                let row = partition_row(row, &partition.to_string());
                row.is_some_and(|row| row["position"].as_u64() >= Some(*end))
            });
            if read && row["totals"]["missing"] == 0 {
                Ok(row.clone())
            } else {
                Err(row.to_string())
            }
        })
    }

    /// Every finding of a stream that `query` chooses, over all pages.
    #[must_use]
    pub fn rows(&self, path: &str, query: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("{path}?limit=1000&{query}{cursor}"));
            let name = path.rsplit('/').next().unwrap_or_default();
            let some = page[name].as_array().unwrap_or_else(|| panic!("no {name}: {page}"));
            rows.extend(some.iter().cloned());
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    }
}

fn run(arguments: &[String], variables: &[(String, String)], log: &Path) -> Process {
    let said = File::options().append(true).open(log).expect("the run's directory can be written");
    let mut command = Command::new(binary());
    command.arg("run").args(arguments).envs(variables.iter().cloned()).stderr(said);
    Process::start("lacuna", &mut command)
}

impl Drop for Sidecar {
    /// Where a test fails, what the sidecar said helps.
    fn drop(&mut self) {
        const LINES: usize = 12;
        if thread::panicking() {
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<_> = said.lines().collect();
            let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
            drop(writeln!(io::stderr(), "the sidecar's last lines:\n{last}"));
        }
    }
}

/// A partition's row in a stream's row.
#[must_use]
pub fn partition_row<'a>(stream: &'a Value, partition: &str) -> Option<&'a Value> {
    stream["partitions"].as_array()?.iter().find(|row| row["partition"] == partition)
}

/// A row's totals by dotted name, without zeros.
#[must_use]
pub fn counts(row: &Value) -> Counts {
    let mut counts = Counts::new();
    flatten(&row["totals"], "", &mut counts);
    counts
}

fn flatten(value: &Value, name: &str, counts: &mut Counts) {
    if let Some(fields) = value.as_object() {
        for (field, value) in fields {
            let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
            flatten(value, &name, counts);
        }
    } else {
        let count = value.as_u64().unwrap_or_else(|| panic!("{name}: not a count: {value}"));
        if count > 0 {
            counts.insert(name.to_owned(), count);
        }
    }
}
