//! What a view's members in this process were handed, on its way to the sidecar: a bounded buffer,
//! and a thread that posts it. A delivery waits for nothing but that buffer's lock.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use lacuna_core::stamp::{self, Stamp};
use lacuna_interceptor::{
    CHECK_ENV, Identity, PostError, SIDECAR_ENV, Sidecar, Switch, clock, lock,
};
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Map, Value, json};

/// Where the sidecar listens unless it is told otherwise.
const SIDECAR: &str = "http://127.0.0.1:7117";
/// How long observations are gathered before they are posted.
const GATHER: Duration = Duration::from_millis(200);
/// Pause between tries while the sidecar does not answer.
const RETRY: Duration = Duration::from_millis(500);
/// Longest body, in bytes; well below what a sidecar takes.
const BODY_BYTES: usize = 1 << 20;
/// What waits for the sidecar, in bytes; of what is handed over beyond, nothing is known.
const WAITING_BYTES: usize = 16 << 20;
/// How long the end of the last member waits for what is left to be posted.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How consumers are checked.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    switch: Switch,
    sidecar: String,
    streams: Vec<String>,
}

impl Default for CheckOptions {
    /// On unless [`CHECK_ENV`] says off; to the sidecar that [`SIDECAR_ENV`] names, else to the one
    /// on this machine.
    fn default() -> Self {
        let sidecar = std::env::var(SIDECAR_ENV).unwrap_or_else(|_| SIDECAR.to_owned());
        Self { switch: Switch::from_env(CHECK_ENV), sidecar, streams: Vec::new() }
    }
}

impl CheckOptions {
    /// The switch that governs this checking.
    #[must_use]
    pub fn switch(mut self, switch: Switch) -> Self {
        self.switch = switch;
        self
    }

    /// The sidecar's address: `http://HOST:PORT` or `unix:/PATH`.
    #[must_use]
    pub fn sidecar(mut self, address: impl Into<String>) -> Self {
        self.sidecar = address.into();
        self
    }

    /// A stream (exchange, `/`, routing key) that the queue is fed with: the view watches it at
    /// once, and not only from its first message on.
    #[must_use]
    pub fn stream(mut self, stream: impl Into<String>) -> Self {
        self.streams.push(stream.into());
        self
    }
}

#[derive(Debug)]
pub(crate) struct Observer {
    view: String,
    switch: Switch,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    posted: AtomicU64,
    missed: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Lines of JSON, in bodies of bounded size; the first may be on its way.
    bodies: std::collections::VecDeque<Body>,
    bytes: usize,
    streams: HashSet<String>,
    /// Something was handed over of which nothing was noted.
    missed: bool,
    closing: bool,
    ended: bool,
}

#[derive(Clone, Debug, Default)]
struct Body {
    lines: Vec<u8>,
    observations: u64,
}

impl Observer {
    pub(crate) fn start(queue: &str, options: CheckOptions) -> Self {
        let CheckOptions { switch, sidecar, streams } = options;
        let shared: Arc<Shared> = Arc::default();
        let observer = Self { view: queue.to_owned(), switch, shared: Arc::clone(&shared) };
        {
            let mut waiting = lock(&shared.waiting);
            for stream in streams {
                observer.watch(&mut waiting, &stream, true);
                waiting.streams.insert(stream);
            }
        }
        // Another run, and another process, is another source of batches.
        let Identity { producer, epoch } = Identity::new(None, Some(queue));
        let poster = Poster {
            shared: Arc::clone(&shared),
            sidecar: Sidecar::new(&sidecar),
            source: format!("{producer}/{epoch:x}"),
        };
        let thread = thread::Builder::new().name("lacuna-observed".to_owned());
        if thread.spawn(move || poster.run()).is_err() {
            lock(&shared.waiting).ended = true;
        }
        observer
    }

    pub(crate) fn counts(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.shared.posted), load(&self.shared.missed))
    }

    /// The application is about to be handed this.
    pub(crate) fn observe(&self, delivery: &Delivery) {
        let mut waiting = lock(&self.shared.waiting);
        let on = self.switch.is_on() && !waiting.ended;
        if !on || waiting.bytes >= WAITING_BYTES {
            self.shared.missed.fetch_add(u64::from(on), Ordering::Relaxed);
            waiting.missed = true;
            return;
        }
        if std::mem::take(&mut waiting.missed) {
            for stream in waiting.streams.clone() {
                self.watch(&mut waiting, &stream, false);
            }
        }
        let headers = delivery.properties.headers().as_ref();
        let stamp = headers.and_then(stamp_of);
        let stream = stream_of(delivery, stamp);
        if waiting.streams.insert(stream.clone()) {
            self.watch(&mut waiting, &stream, true);
        }
        let mut line = self.place(&stream);
        line.insert("redelivered".to_owned(), again(delivery, headers).into());
        if let Some(stamp) = stamp {
            line.insert("stamp".to_owned(), String::from_utf8_lossy(stamp).into());
        }
        waiting.add(&Value::Object(line), 1);
        drop(waiting);
        self.shared.changed.notify_all();
    }

    /// The view watches a stream. Members compete, so one that joins is no break; without
    /// `handover` it is one.
    fn watch(&self, waiting: &mut Waiting, stream: &str, handover: bool) {
        let mut watch = self.place(stream);
        watch.insert("ordered".to_owned(), false.into());
        watch.insert("handover".to_owned(), handover.into());
        waiting.add(&json!({ "watch": watch }), 0);
    }

    fn place(&self, stream: &str) -> Map<String, Value> {
        let mut place = Map::new();
        place.insert("view".to_owned(), self.view.as_str().into());
        place.insert("stream".to_owned(), stream.into());
        place.insert("partition".to_owned(), "0".into());
        place.insert("at".to_owned(), clock::unix_ms().into());
        place
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let mut waiting = lock(&self.shared.waiting);
        waiting.closing = true;
        self.shared.changed.notify_all();
        let until = clock::monotonic() + LAST_WORDS;
        while !waiting.ended {
            let left = until.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.changed.wait_timeout(waiting, left);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Waiting {
    fn add(&mut self, line: &Value, observations: u64) {
        let line = line.to_string();
        self.bytes += line.len() + 1;
        // The first body may be on its way, and is not touched.
        let open = self.bodies.len() > 1;
        let body = match self.bodies.back_mut() {
            Some(last) if open && last.lines.len() < BODY_BYTES => last,
            _ => {
                self.bodies.push_back(Body::default());
                let last = self.bodies.len() - 1;
                &mut self.bodies[last]
            }
        };
        body.lines.extend_from_slice(line.as_bytes());
        body.lines.push(b'\n');
        body.observations += observations;
    }
}

/// What the thread owns.
struct Poster {
    shared: Arc<Shared>,
    sidecar: Sidecar,
    source: String,
}

impl Poster {
    fn run(self) {
        let mut number = 0_u64;
        while let Some(body) = self.next() {
            number += 1;
            let batch = format!("{};{number}", self.source);
            let taken = self.post(&batch, &body.lines);
            let counter = if taken { &self.shared.posted } else { &self.shared.missed };
            counter.fetch_add(body.observations, Ordering::Relaxed);
            let mut waiting = lock(&self.shared.waiting);
            waiting.missed |= !taken;
            waiting.bodies.pop_front();
            waiting.bytes -= body.lines.len();
        }
        lock(&self.shared.waiting).ended = true;
        self.shared.changed.notify_all();
    }

    /// What is posted next; `None`: nothing is left, and nothing will come.
    fn next(&self) -> Option<Body> {
        let mut waiting = lock(&self.shared.waiting);
        loop {
            if let Some(body) = waiting.bodies.front().cloned() {
                if waiting.closing || waiting.bodies.len() > 1 {
                    return Some(body);
                }
                // More of it comes while this waits.
                drop(waiting);
                thread::sleep(GATHER);
                return Some(body);
            }
            if waiting.closing {
                return None;
            }
            let waited = self.shared.changed.wait(waiting);
            waiting = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Until it is taken, or refused, or the members are gone. What was sent twice is taken once.
    fn post(&self, batch: &str, lines: &[u8]) -> bool {
        loop {
            match self.sidecar.post("/v1/observations", &[("lacuna-batch", batch)], lines) {
                Ok(()) => return true,
                Err(PostError::Address(_) | PostError::Refused { .. }) => return false,
                Err(PostError::Unanswered(_)) if lock(&self.shared.waiting).closing => {
                    return false;
                }
                Err(PostError::Unanswered(_)) => thread::sleep(RETRY),
            }
        }
    }
}

fn stamp_of(headers: &FieldTable) -> Option<&[u8]> {
    let value = headers.inner().get(stamp::HEADER)?;
    // A stamp of another type is there, and not of good form.
    Some(value.as_long_string().map_or(&[], |stamp| stamp.as_bytes()))
}

/// The exchange alone where the stamp counts per exchange.
fn stream_of(delivery: &Delivery, stamp: Option<&[u8]>) -> String {
    let exchange = delivery.exchange.as_str();
    let stamp = stamp.and_then(|stamp| Stamp::parse(stamp).ok());
    if stamp.is_some_and(|stamp| stamp.origin == stamp::origin(exchange)) {
        return exchange.to_owned();
    }
    [exchange, "/", delivery.routing_key.as_str()].concat()
}

/// Whether the broker hands this message over again: it says so, or a quorum queue counts it, or
/// it was published again out of a dead-lettering queue.
fn again(delivery: &Delivery, headers: Option<&FieldTable>) -> bool {
    let counted = |headers: &FieldTable| {
        let count = headers.inner().get("x-delivery-count").and_then(AMQPValue::as_long_long_int);
        headers.contains_key("x-death") || count.is_some_and(|count| count > 0)
    };
    delivery.redelivered || headers.is_some_and(counted)
}
