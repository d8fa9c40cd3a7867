use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::client::Client;
use crate::engine::{Source, SourceStatus};

/// What the control thread tells a tap. A partition's number is the order of its start.
pub(super) enum Order {
    /// Watch this partition from this offset on.
    Start { topic: Arc<str>, partition: i32, offset: u64, from_start: bool },
    /// Whether records of a topic may be compacted away; told before it is started.
    Compacted { topic: Arc<str>, compacted: bool },
    /// Read all with this client from now on.
    Reopen(Arc<Client>),
    /// The topic was deleted and made again; these partitions begin at these offsets.
    Anew { topic: Arc<str>, partitions: Vec<(usize, u64)> },
    /// Where the logs of these partitions ended when they were asked for, ms since the Unix epoch;
    /// `None`: no answer.
    Ends { asked: u64, ends: Vec<(usize, Option<u64>)> },
    /// The log holds `start` to `end` (exclusive) only; go on there.
    GoOn { number: usize, start: u64, end: u64 },
}

/// What a tap tells the control thread.
#[derive(Debug)]
pub(super) enum Note {
    /// Something waits to be judged at the ends of these partitions.
    Ask(Vec<usize>),
    /// The offset that comes next may not be in the log.
    Gone(usize),
    /// Something that a person must know.
    Trouble(String),
}

/// What both sides and those who ask see.
#[derive(Debug)]
pub(super) struct Shared {
    name: String,
    state: Mutex<State>,
    /// Of each tap: lag in messages, and partitions.
    pub(super) reading: Vec<(AtomicU64, AtomicUsize)>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    up: bool,
    pub(super) ready: bool,
    error: Option<String>,
}

impl Shared {
    pub(super) fn new(name: &str, taps: usize) -> Self {
        let reading = (0..taps).map(|_| Default::default()).collect();
        Self { name: name.to_owned(), state: Mutex::default(), reading }
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn up(&self) {
        let was = self.with(|state| {
            state.error = None;
            std::mem::replace(&mut state.up, true)
        });
        if !was {
            tracing::info!(source = self.name, "reads");
        }
    }

    pub(super) fn down(&self, error: &dyn ToString) {
        let error = error.to_string();
        let news = self.with(|state| {
            let known = !state.up && state.error.is_some();
            state.up = false;
            state.error = Some(error.clone());
            !known
        });
        if news {
            tracing::warn!(source = self.name, error, "cannot read, and goes on where it was");
        }
    }
}

impl Source for Arc<Shared> {
    fn status(&self) -> SourceStatus {
        let lag = self.reading.iter().map(|(lag, _)| lag.load(Ordering::Relaxed)).sum();
        let partitions = self.reading.iter().map(|(_, n)| n.load(Ordering::Relaxed)).sum();
        let (up, ready, error) = self.with(|s| (s.up, s.ready, s.error.clone()));
        SourceStatus { name: self.name.clone(), kind: "kafka", up, ready, lag, partitions, error }
    }
}
