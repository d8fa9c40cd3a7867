//! A real Prometheus and a real Alertmanager, as Debian has them, and the webhook that is told.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::http::exchange;
use crate::process::Process;
use crate::wait::{self, DEADLINE};

/// The job under which sidecars are scraped.
pub const JOB: &str = "lacuna";

/// One sample's labels, its name among them.
pub type Labels = BTreeMap<String, String>;

/// Ports and files of a test, as `tests/run` gave them: one test at a time uses them.
#[derive(Debug)]
pub struct Ground {
    base: u16,
    data: PathBuf,
}

impl Ground {
    /// What is there, for a test of this name.
    ///
    /// # Panics
    /// If the test was not started by `tests/run`.
    #[must_use]
    pub fn of(test: &str) -> Self {
        let variable = |name: &str| {
            env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run it through tests/run"))
        };
        let base = variable("PROMETHEUS_PORT").parse().expect("PROMETHEUS_PORT is a port");
        let data = PathBuf::from(variable("PROMETHEUS_DATA")).join(test);
        fs::create_dir_all(&data).expect("the run's directory can be written");
        Self { base, data }
    }

    /// One of its ports.
    #[must_use]
    pub fn port(&self, offset: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.base + offset).into()
    }

    /// A file in its directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    /// A file in its directory that holds this; JSON is YAML too.
    #[must_use]
    pub fn write(&self, name: &str, value: &Value) -> PathBuf {
        let file = self.file(name);
        fs::write(&file, value.to_string()).expect("the run's directory can be written");
        file
    }
}

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    _process: Process,
    address: SocketAddr,
}

/// What a Prometheus does, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Scraping<'a> {
    /// How often it scrapes and evaluates, as `1s`.
    pub every: &'a str,
    /// The sidecar.
    pub target: SocketAddr,
    /// Where alerts go.
    pub alertmanager: Option<SocketAddr>,
}

impl Prometheus {
    /// Starts it with the project's own rules.
    #[must_use]
    pub fn start(ground: &Ground, scraping: Scraping<'_>) -> Self {
        let Scraping { every, target, alertmanager } = scraping;
        let address = ground.port(0);
        let targets = |one: SocketAddr| json!([{"targets": [one.to_string()]}]);
        let alertmanagers: Vec<_> =
            alertmanager.map(|one| json!({"static_configs": targets(one)})).into_iter().collect();
        let config = json!({
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": [rules()],
            "alerting": {"alertmanagers": alertmanagers},
            "scrape_configs": [{"job_name": JOB, "static_configs": targets(target)}],
        });
        let config = ground.write("prometheus.yml", &config);
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", ground.file("tsdb").display()));
        command.arg(format!("--web.listen-address={address}"));
        let process = start("prometheus", &mut command, &ground.file("prometheus.log"), address);
        Self { _process: process, address }
    }

    /// What an instant query gives now.
    ///
    /// # Panics
    /// If Prometheus does not take it.
    #[must_use]
    pub fn query(&self, query: &str) -> Vec<(Labels, f64)> {
        let asked = utf8_percent_encode(query, NON_ALPHANUMERIC);
        let path = format!("/api/v1/query?query={asked}");
        let (status, body) = exchange(self.address, "GET", &path, "").expect("it answers");
        assert_eq!(status, 200, "{query}: {body}");
        let answer: Value = serde_json::from_str(&body).expect("it answers JSON");
        let rows = answer["data"]["result"].as_array().expect("a vector").iter();
        rows.map(|row| {
            let labels = row["metric"].as_object().expect("labels").iter();
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            let labels = labels.map(|(name, value)| (name.clone(), text(value))).collect();
            (labels, text(&row["value"][1]).parse().expect("a number"))
        })
        .collect()
    }

    /// Waits until a query gives anything.
    pub fn until(&self, query: &str) {
        wait::until(&format!("Prometheus has {query}"), || {
            if self.query(query).is_empty() { Err("nothing".to_owned()) } else { Ok(()) }
        });
    }
}

/// The project's rules.
#[must_use]
pub fn rules() -> PathBuf {
    crate::root().join("dashboards/rules/lacuna.rules.yml")
}

/// Starts an Alertmanager that hands everything on at once to this webhook. Gives where it listens.
#[must_use]
pub fn alertmanager(ground: &Ground, webhook: SocketAddr) -> (Process, SocketAddr) {
    let address = ground.port(1);
    let hook = json!({"url": format!("http://{webhook}/"), "send_resolved": true});
    let config = json!({
        "route": {"receiver": "hook", "group_by": ["..."], "group_wait": "0s",
                  "group_interval": "1s", "repeat_interval": "1h"},
        "receivers": [{"name": "hook", "webhook_configs": [hook]}],
    });
    let config = ground.write("alertmanager.yml", &config);
    let mut command = Command::new("prometheus-alertmanager");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.path={}", ground.file("alertmanager").display()));
    command.args([&format!("--web.listen-address={address}"), "--cluster.listen-address="]);
    (start("alertmanager", &mut command, &ground.file("alertmanager.log"), address), address)
}

fn start(name: &str, command: &mut Command, log: &Path, address: SocketAddr) -> Process {
    let file = fs::File::create(log).expect("the run's directory can be written");
    let process = Process::start(name, command.stderr(Stdio::from(file)));
    wait::until(&format!("{name} is ready"), || match exchange(address, "GET", "/-/ready", "") {
        Ok((200, _)) => Ok(()),
        other => Err(format!("{other:?}, see {}", log.display())),
    });
    process
}

/// One alert as a webhook is told of it.
#[derive(Clone, Debug)]
pub struct Told {
    /// When it came.
    pub at: SystemTime,
    /// The alert: `status`, `labels`, `annotations`.
    pub alert: Value,
}

impl Told {
    /// One of its labels.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.alert["labels"][name].as_str().unwrap_or_default()
    }

    /// Whether it fires; else it is over.
    #[must_use]
    pub fn fires(&self) -> bool {
        self.alert["status"] == "firing"
    }
}

/// Listens for what an Alertmanager says; dropped, it gives the port back.
#[derive(Debug)]
pub struct Webhook {
    address: SocketAddr,
    told: Receiver<Told>,
    closed: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Webhook {
    /// Listens at this address.
    ///
    /// # Panics
    /// If the port is taken.
    #[must_use]
    pub fn listen(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap_or_else(|e| panic!("port {address}: {e}"));
        let (tell, told) = mpsc::channel();
        let closed = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&closed);
        let acceptor = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.load(Ordering::Relaxed) {
                    return;
                }
                let call = call(stream).expect("an Alertmanager says JSON");
                for alert in call["alerts"].as_array().expect("it tells of alerts") {
                    let told = Told { at: SystemTime::now(), alert: alert.clone() };
                    // The test may have ended.
                    drop(tell.send(told));
                }
            }
        });
        Self { address, told, closed, acceptor: Some(acceptor) }
    }

    /// Waits for an alert that is so; others are passed over.
    ///
    /// # Panics
    /// If none comes.
    pub fn hear(&self, what: &str, so: impl Fn(&Told) -> bool) -> Told {
        loop {
            match self.told.recv_timeout(DEADLINE) {
                Ok(told) if so(&told) => return told,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{what}: the webhook was never told")
                }
            }
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        // The acceptor looks when somebody comes.
        drop(TcpStream::connect(self.address));
        self.acceptor.take().map(JoinHandle::join);
    }
}

/// Reads one request and answers it.
fn call(mut stream: TcpStream) -> std::io::Result<Value> {
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece)?;
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
        });
        if read == 0 || length.is_some_and(|length| body.len() >= length) {
            let call = serde_json::from_str(body)?;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
            return Ok(call);
        }
    }
}
