//! The sidecar's client against a server that says what it was asked.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use lacuna_interceptor::{PostError, Sidecar};

/// One request: its first line, its headers, its body.
#[derive(Debug)]
struct Request {
    line: String,
    headers: Vec<String>,
    body: String,
}

fn read(stream: &mut impl BufRead) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_ascii_lowercase()),
        }
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    let line = lines.remove(0);
    Some(Request { line, headers: lines, body: String::from_utf8(body).unwrap() })
}

/// Answers every request on every connection with this status.
fn serve<S: Read + Write + Send + 'static>(
    mut accept: impl FnMut() -> S + Send + 'static,
    status: &'static str,
) -> Receiver<(usize, Request)> {
    let (sender, requests) = channel();
    thread::spawn(move || {
        for connection in 0.. {
            let mut stream = BufReader::new(accept());
            while let Some(request) = read(&mut stream) {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 3\r\n\r\nwhy");
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
                if sender.send((connection, request)).is_err() {
                    return;
                }
            }
        }
    });
    requests
}

fn tcp(status: &'static str) -> (String, Receiver<(usize, Request)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    (address, serve(move || listener.accept().unwrap().0, status))
}

fn assert_posts_over_one_connection(address: &str, requests: &Receiver<(usize, Request)>) {
    let sidecar = Sidecar::new(address);
    for body in ["{}\n", "{}\n{}\n"] {
        sidecar.post("/v1/observations", &[("lacuna-batch", "a;1")], body.as_bytes()).unwrap();
        let (connection, request) = requests.recv().unwrap();
        assert_eq!((connection, &*request.line), (0, "post /v1/observations http/1.1"));
        assert!(request.headers.contains(&"lacuna-batch: a;1".to_owned()), "{request:?}");
        assert_eq!(request.body, body);
    }
}

#[test]
fn it_posts_over_tcp() {
    let (address, requests) = tcp("200 OK");
    assert_posts_over_one_connection(&address, &requests);
}

#[test]
fn it_posts_over_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("lacuna-test-{}.sock", std::process::id()));
    drop(std::fs::remove_file(&path));
    let listener = UnixListener::bind(&path).unwrap();
    let requests = serve(move || listener.accept().unwrap().0, "200 OK");
    assert_posts_over_one_connection(&format!("unix:{}", path.display()), &requests);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_refusal_says_why() {
    let (address, _requests) = tcp("400 Bad Request");
    let refused = Sidecar::new(&address).post("/v1/ledger", &[], b"x").unwrap_err();
    assert!(
        matches!(&refused, PostError::Refused { status: 400, reason } if reason == "why"),
        "{refused}"
    );
}

#[test]
fn who_is_not_there_does_not_answer() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [format!("http://{free}"), "unix:/nowhere/lacuna.sock".to_owned()] {
        let error = Sidecar::new(&address).post("/", &[], b"").unwrap_err();
        assert!(matches!(error, PostError::Unanswered(_)), "{error}");
    }
    for address in ["", "localhost:7117", "https://sidecar", "unix:relative", "http://"] {
        let error = Sidecar::new(address).post("/", &[], b"").unwrap_err();
        assert!(matches!(error, PostError::Address(_)), "{address:?}: {error}");
    }
}
