//! Clients that mean harm, on real connections: whatever they do, messages are read on and others
//! are answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lacuna::engine::{Engine, EngineSettings, Opened, Source, SourceStatus, Switch, Tap};
use lacuna::http::{Api, HttpLimits, serve};
use lacuna_core::stamp::Encoder;
use lacuna_core::{Checker, Observation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Soon enough for a test, and long enough for what is in good order on a busy machine.
const SHORT: Duration = Duration::from_millis(300);

/// A source that always has another message.
#[derive(Debug, Default)]
struct Endless {
    read: Arc<AtomicU64>,
}

impl Tap for Endless {
    fn read(&mut self, checker: &mut Checker, _wait: Duration) -> bool {
        let id = checker.partition("log", "orders", "0").unwrap();
        for _ in 0..100 {
            let position = self.read.fetch_add(1, Ordering::Relaxed);
            let observation = Observation {
                position: Some(position),
                at: position,
                time: None,
                stamp: None,
                redelivered: None,
            };
            checker.observe(id, &observation);
        }
        true
    }

    fn switch(&mut self, _checker: &mut Checker, _switch: &Switch) {}
}

impl Source for Endless {
    fn status(&self) -> SourceStatus {
        let (name, kind) = ("endless".to_owned(), "test");
        let (up, ready, lag, partitions, unplaced) = (true, true, 0, 1, 3);
        SourceStatus { name, kind, up, ready, lag, partitions, unplaced, error: None }
    }
}

struct Server {
    address: SocketAddr,
    read: Arc<AtomicU64>,
}

impl Server {
    async fn start(limits: HttpLimits) -> Self {
        let settings = EngineSettings::default();
        let tap = Endless::default();
        let read = tap.read.clone();
        let opened = Opened { source: Box::new(Endless::default()), taps: vec![Box::new(tap)] };
        let engine = Engine::start(&settings, vec![opened]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = Api::new(engine, 10_000, 5_000, limits);
        tokio::spawn(serve(listener, api, std::future::pending()));
        Self { address, read }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Asks on a connection of its own, which waits for its turn.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await
    }

    /// Posts a message of each of so many lanes.
    async fn post_lanes(&self, lanes: usize) {
        let line = |number| {
            let mut encoder = Encoder::new(&format!("p{number}"), 1, "orders", "0").unwrap();
            let stamp = String::from_utf8(encoder.encode(0).to_vec()).unwrap();
            let place = "\"stream\":\"orders\",\"partition\":\"0\"";
            format!("{{{place},\"at\":0,\"stamp\":\"{stamp}\"}}\n")
        };
        let lines: String = (0..lanes).map(line).collect();
        let taken = self.ask(&(post(lines.len()) + &lines)).await;
        assert!(taken.starts_with("HTTP/1.1 200 "), "{taken}");
    }

    /// How often a limit was reached.
    async fn reached(&self, limit: &str) -> u64 {
        let metrics = self.get("/metrics").await;
        let line = format!("lacuna_limit_reached_total{{limit=\"{limit}\"}} ");
        let value = metrics.lines().find_map(|other| other.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("no {line} in {metrics}")).parse().unwrap()
    }

    /// That messages are read on: nothing that clients do may hold the check loop up.
    async fn reads_on(&self) {
        let before = self.read.load(Ordering::Relaxed);
        while self.read.load(Ordering::Relaxed) < before + 1_000 {
            tokio::task::yield_now().await;
        }
    }
}

fn limits() -> HttpLimits {
    HttpLimits { max_body_bytes: 1 << 20, max_bodies_bytes: 2 << 20, ..HttpLimits::default() }
}

/// The head of a request that posts so many bytes.
fn post(length: usize) -> String {
    "POST /v1/observations HTTP/1.1\r\nHost: a\r\nConnection: close\r\n".to_owned()
        + &format!("Content-Length: {length}\r\n\r\n")
}

/// What the server says until it closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // It may close before all was read that was sent.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_connections_that_say_nothing_are_closed() {
    let server =
        Server::start(HttpLimits { max_connections: 64, header_timeout: SHORT, ..limits() }).await;
    let mut silent = Vec::new();
    for number in 0..3_000 {
        let mut stream = server.connect().await;
        if number % 2 == 1 {
            // It says half of what it wants.
            stream.write_all(b"GET /v1/report HTTP/1.1\r\nHost:").await.unwrap();
        }
        silent.push(stream);
        if number % 500 == 0 {
            server.reads_on().await;
        }
    }
    server.reads_on().await;
    assert!(server.get("/healthz").await.ends_with("ok\n"), "others are served in their turn");
    assert!(server.reached("http.max_connections").await > 0);
    assert!(server.reached("http.header_timeout").await >= 3_000 - 64);
    for stream in silent {
        assert_eq!(rest(stream).await, "", "closed without a word");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_drips_is_cut_off() {
    let server = Server::start(HttpLimits { header_timeout: SHORT, ..limits() }).await;
    let mut stream = server.connect().await;
    let mut interval = tokio::time::interval(Duration::from_millis(10));
    stream.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    // Each piece in time; all together never end.
    while stream.write_all(b"X-More: of this\r\n").await.is_ok() {
        interval.tick().await;
    }
    assert_eq!(server.reached("http.header_timeout").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_drips_is_refused() {
    let server = Server::start(HttpLimits { body_timeout: SHORT, ..limits() }).await;
    let mut stream = server.connect().await;
    stream.write_all(post(1_000_000).as_bytes()).await.unwrap();
    stream.write_all(b"{").await.unwrap();
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert_eq!(server.reached("http.body_timeout").await, 1);
    server.reads_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_bodies_find_no_room() {
    let server = Server::start(limits()).await;
    // One alone is too long, whatever it promises to be.
    let mut long = server.connect().await;
    long.write_all(post(usize::MAX >> 1).as_bytes()).await.unwrap();
    let blank = vec![b'\n'; 1 << 20];
    while long.write_all(&blank).await.is_ok() {}
    assert_eq!(server.reached("http.max_body_bytes").await, 1);

    // Three that are nearly whole are too many together, and those that have room keep it.
    let most = (1 << 20) - 1;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = server.connect().await;
        stream.write_all(post(most).as_bytes()).await.unwrap();
        drop(stream.write_all(&blank[..most - 1]).await);
        held.push(stream);
    }
    while server.reached("http.max_bodies_bytes").await == 0 {
        tokio::task::yield_now().await;
    }
    let mut taken = 0;
    for mut stream in held {
        drop(stream.write_all(b"\n").await);
        let answer = rest(stream).await;
        if answer.starts_with("HTTP/1.1 200 ") {
            taken += 1;
        } else {
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503 "), "{answer}");
        }
    }
    assert_eq!(taken, 2);
    assert_eq!(server.reached("http.max_bodies_bytes").await, 1);
    // Their room is free again.
    let whole = post(most) + &String::from_utf8_lossy(&blank[..most]);
    assert!(server.ask(&whole).await.starts_with("HTTP/1.1 200 "));
    server.reads_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_fetches_are_dropped() {
    let answer_timeout = Duration::from_secs(2);
    let server = Server::start(HttpLimits { answer_timeout, ..limits() }).await;
    server.post_lanes(5_000).await;
    let mut never = Vec::new();
    for _ in 0..10 {
        let mut stream = server.connect().await;
        // Together more than what the system keeps for a connection.
        for _ in 0..10 {
            let ask = b"GET /v1/report?depth=lanes&limit=5000 HTTP/1.1\r\nHost: a\r\n\r\n";
            stream.write_all(ask).await.unwrap();
        }
        never.push(stream);
    }
    while server.reached("http.answer_timeout").await < 10 {
        server.reads_on().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_questions_do_not_keep_the_check_loop_from_reading() {
    let server = Arc::new(Server::start(limits()).await);
    server.post_lanes(5_000).await;
    let done = Arc::new(AtomicU64::new(0));
    let asking: Vec<_> = (0..32)
        .map(|_| {
            let (server, done) = (server.clone(), done.clone());
            tokio::spawn(async move {
                while done.load(Ordering::Relaxed) == 0 {
                    // All lanes are looked at, and little is answered.
                    server.get("/v1/report?depth=totals&producer=p1").await;
                }
            })
        })
        .collect();
    for _ in 0..3 {
        server.reads_on().await;
    }
    done.store(1, Ordering::Relaxed);
    for asked in asking {
        asked.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_for_which_a_source_has_no_room_are_counted() {
    let server = Server::start(limits()).await;
    assert_eq!(server.reached("limits.partitions").await, 3);
    assert_eq!(server.reached("limits.partitions").await, 3);
    assert_eq!(server.reached("streams_off").await, 0);
}
