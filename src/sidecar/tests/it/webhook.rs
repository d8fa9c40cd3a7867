//! Findings by webhook: whatever the receiver does, each arrives, and nothing waits for it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use lacuna::clock::now_ms;
use serde_json::Value;

use crate::run::{Sidecar, messages};
use crate::survive::Dir;

/// Nothing that is waited for takes as long.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a receiver does with a post that it has read.
enum Answer {
    Status(u16),
    /// It is gone.
    None,
    /// It says that it has read it, and waits for a word; who asked may have gone by then.
    Slow(Sender<()>, Receiver<()>),
}

/// One post.
struct Post {
    authorization: String,
    body: Value,
    status: Option<u16>,
}

/// Answers as it is told, one post after the other, and then with 200.
fn receiver(listener: TcpListener, answers: Vec<Answer>) -> Receiver<Post> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut answers = answers.into_iter();
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            let (authorization, body) = read(&stream);
            let status = match answers.next() {
                None => Some(200),
                Some(Answer::Status(status)) => Some(status),
                Some(Answer::None) => None,
                Some(Answer::Slow(is_read, go)) => {
                    is_read.send(()).unwrap();
                    go.recv().unwrap();
                    Some(200)
                }
            };
            if let Some(status) = status {
                let head = format!(
                    "HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                // It may not be waited for any more.
                drop(stream.write_all(head.as_bytes()));
            }
            if tell.send(Post { authorization, body, status }).is_err() {
                return;
            }
        }
    });
    told
}

fn read(stream: &TcpStream) -> (String, Value) {
    let mut reader = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ") {
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    (headers["authorization"].clone(), serde_json::from_slice(&body).unwrap())
}

/// A sidecar that posts there.
fn posting(address: SocketAddr, state: &str, more: [(&str, &str); 2]) -> Sidecar {
    let url = format!("http://{address}/hook/{TOKEN}");
    Sidecar::with(
        crate::run::CONFIG,
        &[
            ("LACUNA_STATE__PATH", state),
            ("LACUNA_WEBHOOK__URL", &url),
            ("LACUNA_WEBHOOK__AUTHORIZATION", SECRET),
            more[0],
            more[1],
            ("LACUNA_CHECKING__GRACE", "0ms"),
        ],
    )
}

const HASTY: [(&str, &str); 2] =
    [("LACUNA_WEBHOOK__TIMEOUT", "500ms"), ("LACUNA_STATE__HISTORY", "1000")];
const SECRET: &str = "Bearer lacuna-secret-credential";
const TOKEN: &str = "lacuna-secret-token";

/// Loses the number before this one, and waits until that is found.
fn lose(sidecar: &Sidecar, seq: u64, lost: u64) {
    let end = r#"{"end":{"stream":"orders","partition":"0","at":0}}"#;
    sidecar.post("/v1/observations", message(&messages(&[seq])));
    wait("the number before it is lost", || {
        sidecar.post("/v1/observations", end);
        sidecar.get("/v1/report?depth=totals")["totals"]["lost"]["undetermined"] == lost
    });
}

/// Without the line of watching.
fn message(lines: &str) -> &str {
    lines.split_once('\n').unwrap().1
}

fn counted(sidecar: &Sidecar, result: &str) -> u64 {
    let text = sidecar.ask("GET", "/metrics", "");
    let name = format!("lacuna_webhook_findings_total{{result=\"{result}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

/// The findings of posts that were answered with 200, until one is so: numbers and rows, each once.
fn taken(posts: &Receiver<Post>, last: impl Fn(&Value) -> bool) -> BTreeMap<u64, Value> {
    let mut taken = BTreeMap::new();
    loop {
        let post = posts.recv_timeout(DEADLINE).unwrap();
        assert_eq!(post.authorization, SECRET);
        if post.status != Some(200) {
            continue;
        }
        for row in post.body["findings"].as_array().unwrap() {
            let known = taken.insert(row["id"].as_u64().unwrap(), row.clone());
            assert!(known.is_none_or(|known| known == *row), "another one has its number: {row}");
            if last(row) {
                return taken;
            }
        }
    }
}

/// The first number of each, and its state.
fn shown(taken: &BTreeMap<u64, Value>) -> Vec<(u64, &str)> {
    let rows = taken.values();
    rows.map(|row| (row["first"].as_u64().unwrap(), row["state"].as_str().unwrap())).collect()
}

fn wait(what: &str, so: impl Fn() -> bool) {
    let deadline = now_ms() + 60_000;
    while !so() {
        assert!(now_ms() < deadline, "{what}");
    }
}

#[test]
fn each_finding_arrives_whatever_the_receiver_does_and_nothing_waits_for_it() {
    let dir = Dir::new("webhook");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (is_read, reading) = mpsc::channel();
    let (go, going) = mpsc::channel();
    let slow = Answer::Slow(is_read, going);
    let answers = vec![slow, Answer::None, Answer::Status(500), Answer::Status(302)];
    let posts = receiver(listener, answers);

    // The receiver is slow: meanwhile more is found, and who posts is answered.
    let sidecar = posting(address, dir.text(), HASTY);
    sidecar.post("/v1/observations", &messages(&[0]));
    lose(&sidecar, 2, 1);
    reading.recv_timeout(DEADLINE).unwrap();
    lose(&sidecar, 4, 2);
    wait("it is not waited for any more", || counted(&sidecar, "failed") > 0);
    go.send(()).unwrap();
    // Then it breaks off, has an error of its own, sends elsewhere, and is well again.
    let found = taken(&posts, |row| row["first"] == 3);
    assert_eq!(shown(&found), [(1, "lost"), (3, "lost")]);
    wait("all are delivered", || counted(&sidecar, "delivered") == 2);
    // What is lost no more is told as well: late, 3 comes after all.
    sidecar.post("/v1/observations", message(&messages(&[3])));
    let found = taken(&posts, |row| row["state"] == "recovered");
    let row = &found[&3];
    assert_eq!((&row["first"], &row["was"]), (&3.into(), &"lost".into()));
    wait("it is delivered", || counted(&sidecar, "delivered") == 3);
    assert!(counted(&sidecar, "failed") >= 4);
    assert_eq!(counted(&sidecar, "dropped"), 0);

    // Killed, it goes on with what was not taken yet: nothing that was comes again.
    let log = sidecar.killed();
    assert!(!log.contains("lacuna-secret"), "{log}");
    assert!(
        log.contains("does not take findings") && log.contains("takes findings again"),
        "{log}"
    );
    let sidecar = posting(address, dir.text(), HASTY);
    lose(&sidecar, 6, 2);
    let found = taken(&posts, |row| row["first"] == 5);
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [4]);
    let log = sidecar.killed();
    assert!(!log.contains("lacuna-secret"), "{log}");
}

#[test]
fn what_leaves_the_history_before_it_is_taken_is_counted() {
    let dir = Dir::new("webhook-dropped");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (is_read, reading) = mpsc::channel();
    let (go, going) = mpsc::channel();
    let posts = receiver(listener, vec![Answer::Slow(is_read, going)]);
    let patient = [("LACUNA_WEBHOOK__TIMEOUT", "1m"), ("LACUNA_STATE__HISTORY", "1")];
    let sidecar = posting(address, dir.text(), patient);
    sidecar.post("/v1/observations", &messages(&[0]));
    lose(&sidecar, 2, 1);
    reading.recv_timeout(DEADLINE).unwrap();
    for lost in 2..=4 {
        lose(&sidecar, 2 * lost, lost);
    }
    let kept = || sidecar.get("/v1/findings")["findings"][0]["first"] == 7;
    wait("the newest is in the history", kept);
    go.send(()).unwrap();
    let found = taken(&posts, |row| row["first"] == 7);
    assert_eq!(shown(&found), [(1, "lost"), (7, "lost")]);
    wait("both are delivered", || counted(&sidecar, "delivered") == 2);
    assert_eq!((counted(&sidecar, "dropped"), counted(&sidecar, "failed")), (2, 0));
}
