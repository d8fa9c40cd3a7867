//! What consumers tell, posted to a sidecar: a bounded buffer, and a thread that empties it. Who is
//! handed a message waits for nothing but that buffer's lock.
//!
//! Each batch carries a lease: within that time another one follows, or something was handed over of
//! which nobody will ever tell. So a process that is killed leaves a view that knows what it lacks.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use lacuna_ring::{Reading, Record};

use crate::clock;
use crate::identity::Identity;
use crate::lane::lock;
use crate::observed::Lines;
use crate::sidecar::{PostError, Sidecar};

/// How long records are gathered before they are posted.
const GATHER: Duration = Duration::from_millis(200);
/// How often a batch is posted where there is nothing to tell, which is told as well.
const BEAT: Duration = Duration::from_secs(1);
/// For how long a batch holds, in ms: some beats, and time for a machine that is busy.
const LEASE_MS: u64 = 5_000;
/// Pause between tries while the sidecar does not answer.
const RETRY: Duration = Duration::from_millis(500);
/// Where a body is closed, in bytes; well below what a sidecar takes.
const BODY_BYTES: usize = 1 << 20;
/// What waits for the sidecar, in bytes; of what is handed over beyond, nothing is told.
const WAITING_BYTES: usize = 16 << 20;
/// How long the end waits for what is left to be posted.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The status of a sidecar that has not heard of this source before.
const CONFLICT: u16 = 409;

/// The way of one view's records to a sidecar.
#[derive(Debug)]
pub(crate) struct Poster {
    shared: Arc<Shared>,
    patience: Duration,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Waiting {
    lines: Lines,
    bodies: VecDeque<Body>,
    /// Of these, and of the one that is on its way.
    bytes: usize,
    behind: bool,
    busy: bool,
    closing: bool,
    ended: bool,
}

/// Lines of JSON.
#[derive(Debug, Default)]
struct Body {
    lines: Vec<u8>,
    messages: u64,
}

/// What is posted next.
struct Batch {
    body: Body,
    /// Of this there is more to tell already.
    more: bool,
    busy: bool,
    /// Nothing will follow.
    last: bool,
}

impl Poster {
    /// Posts to this address what this view's members tell; `None`: there is no thread for it.
    pub(crate) fn start(address: &str, view: &str, reading: Reading) -> Option<Self> {
        let waiting = Waiting {
            lines: Lines::new(view, reading),
            bodies: VecDeque::new(),
            bytes: 0,
            behind: false,
            busy: false,
            closing: false,
            ended: false,
        };
        let shared = Arc::new(Shared {
            waiting: Mutex::new(waiting),
            changed: Condvar::new(),
            refused: AtomicU64::new(0),
        });
        // Another run, another process, and one of the same number in another container, is another
        // source of batches.
        let Identity { producer, epoch } = Identity::new(None, Some(view));
        let thread = Posting {
            shared: Arc::clone(&shared),
            sidecar: Sidecar::new(address),
            source: format!(
                "{producer}/{epoch:x}/{:x}",
                RandomState::new().hash_one(process::id())
            ),
            begun: 0,
            number: 0,
            missed: false,
        };
        let name = "lacuna-observed".to_owned();
        thread::Builder::new().name(name).spawn(move || thread.run()).ok()?;
        Some(Self { shared, patience: LAST_WORDS })
    }

    /// Tells it, if there is room.
    pub(crate) fn add(&self, record: &Record<'_>) -> bool {
        self.add_all(std::slice::from_ref(record))
    }

    /// Tells all of them, if there is room.
    pub(crate) fn add_all(&self, records: &[Record<'_>]) -> bool {
        let mut waiting = lock(&self.shared.waiting);
        if waiting.ended || waiting.bytes >= WAITING_BYTES {
            return false;
        }
        records.iter().for_each(|record| waiting.add(record));
        drop(waiting);
        self.shared.changed.notify_all();
        true
    }

    /// Says whether there is something that was not told.
    pub(crate) fn set_behind(&self, behind: bool) {
        lock(&self.shared.waiting).behind = behind;
    }

    /// Says whether something that was sent here may not have been handed over yet.
    pub(crate) fn set_busy(&self, busy: bool) {
        lock(&self.shared.waiting).busy = busy;
    }

    /// Messages that the sidecar has refused.
    pub(crate) fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Its end will not wait for anything.
    pub(crate) fn give_up(&mut self) {
        self.patience = Duration::ZERO;
    }
}

impl Drop for Poster {
    fn drop(&mut self) {
        let mut waiting = lock(&self.shared.waiting);
        waiting.closing = true;
        self.shared.changed.notify_all();
        let until = clock::monotonic() + self.patience;
        while !waiting.ended {
            let left = until.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return;
            }
            waiting = wait(&self.shared.changed, waiting, left);
        }
    }
}

impl Waiting {
    fn add(&mut self, record: &Record<'_>) {
        if self.bodies.back().is_none_or(|last| last.lines.len() >= BODY_BYTES) {
            self.bodies.push_back(Body::default());
        }
        let Some(body) = self.bodies.back_mut() else { return };
        let before = body.lines.len();
        self.lines.add(record, &mut body.lines);
        self.bytes += body.lines.len() - before;
        body.messages += u64::from(matches!(record, Record::Handed { .. }));
    }
}

/// What the thread owns.
struct Posting {
    shared: Arc<Shared>,
    sidecar: Sidecar,
    source: String,
    /// How often it has begun anew with a sidecar that did not know it.
    begun: u64,
    number: u64,
    /// What the last batch told was not taken.
    missed: bool,
}

impl Posting {
    fn run(mut self) {
        let mut last = false;
        while !last {
            let batch = self.next();
            last = batch.last;
            let taken = self.post(&batch);
            if !taken {
                self.shared.refused.fetch_add(batch.body.messages, Ordering::Relaxed);
            }
            self.missed = !taken;
            let mut waiting = lock(&self.shared.waiting);
            waiting.bytes = waiting.bytes.saturating_sub(batch.body.lines.len());
        }
        lock(&self.shared.waiting).ended = true;
        self.shared.changed.notify_all();
    }

    fn next(&self) -> Batch {
        let until = clock::monotonic() + BEAT;
        let mut waiting = lock(&self.shared.waiting);
        while waiting.bodies.is_empty() && !waiting.closing {
            let left = until.saturating_duration_since(clock::monotonic());
            if waiting.lines.has_places() && left.is_zero() {
                break;
            }
            // Before there is a place, there is nothing that a lease would be for.
            let left = if waiting.lines.has_places() { left } else { BEAT };
            waiting = wait(&self.shared.changed, waiting, left);
        }
        if waiting.bodies.len() == 1 && !waiting.closing {
            // More of it comes while this waits.
            drop(waiting);
            thread::sleep(GATHER);
            waiting = lock(&self.shared.waiting);
        }
        let body = waiting.bodies.pop_front().unwrap_or_default();
        let more = !waiting.bodies.is_empty();
        let mut batch = Batch { body, more, busy: waiting.busy, last: waiting.closing && !more };
        if waiting.behind && !more {
            let before = batch.body.lines.len();
            waiting.lines.missed(&mut batch.body.lines);
            waiting.bytes += batch.body.lines.len() - before;
        }
        batch
    }

    /// Until it is taken, or refused, or the members are gone. What was sent twice is taken once.
    fn post(&mut self, batch: &Batch) -> bool {
        self.number += 1;
        let lease = match batch {
            Batch { last: true, .. } => "0".to_owned(),
            Batch { more: true, .. } => format!("{LEASE_MS};more"),
            Batch { busy: true, .. } => format!("{LEASE_MS};busy"),
            _ => LEASE_MS.to_string(),
        };
        loop {
            let mut lines = Vec::new();
            if self.missed {
                lock(&self.shared.waiting).lines.missed(&mut lines);
            }
            lines.extend_from_slice(&batch.body.lines);
            let number = format!("{};{}", self.name(), self.number);
            let headers = [("lacuna-batch", &*number), ("lacuna-lease", &*lease)];
            match self.sidecar.post("/v1/observations", &headers, &lines) {
                Ok(()) => return true,
                Err(PostError::Refused { status: CONFLICT, .. }) if self.number > 1 => {
                    // A sidecar that has begun anew: it has heard nothing of what was told before.
                    (self.begun, self.number, self.missed) = (self.begun + 1, 1, true);
                }
                Err(PostError::Address(_) | PostError::Refused { .. }) => return false,
                Err(PostError::Unanswered(_)) if lock(&self.shared.waiting).closing => {
                    return false;
                }
                Err(PostError::Unanswered(_)) => thread::sleep(RETRY),
            }
        }
    }

    fn name(&self) -> String {
        match self.begun {
            0 => self.source.clone(),
            begun => format!("{}/{begun}", self.source),
        }
    }
}

fn wait<'a>(
    changed: &Condvar,
    waiting: std::sync::MutexGuard<'a, Waiting>,
    most: Duration,
) -> std::sync::MutexGuard<'a, Waiting> {
    changed.wait_timeout(waiting, most).unwrap_or_else(PoisonError::into_inner).0
}
