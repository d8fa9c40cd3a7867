use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::SourceStatus;

/// Whether a source can read, told to the log once when that changes.
#[derive(Debug)]
pub(super) struct Health {
    name: String,
    kind: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    up: bool,
    ready: bool,
    error: Option<String>,
    /// What a connection failed of, since it could read.
    reason: Option<String>,
    /// What cannot be judged though it reads, and why.
    waits: Option<String>,
}

impl Health {
    pub(super) fn new(name: &str, kind: &'static str) -> Self {
        Self { name: name.to_owned(), kind, state: Mutex::default() }
    }

    /// It can read.
    pub(super) fn up(&self) {
        let mut state = self.state();
        (state.error, state.reason) = (None, None);
        if !std::mem::replace(&mut state.up, true) {
            tracing::info!(source = self.name, "reads");
        }
    }

    /// It cannot, and why.
    pub(super) fn down(&self, error: &dyn ToString) {
        let error = error.to_string();
        let mut state = self.state();
        if state.up || state.error.is_none() {
            tracing::warn!(source = self.name, error, "cannot read, and goes on where it was");
        }
        state.up = false;
        state.error = Some(error);
    }

    /// What a connection failed of, told to the log once: that nobody answers says nothing of why, be it
    /// a password, a certificate or a port.
    pub(super) fn because(&self, reason: &str) {
        let mut state = self.state();
        if state.reason.is_none() {
            tracing::warn!(source = self.name, reason, "a connection fails");
        }
        state.reason = Some(reason.to_owned());
    }

    /// Something cannot be judged though it reads, told to the log once, and shown until that is over.
    pub(super) fn waits(&self, waits: Option<String>) {
        let mut state = self.state();
        if let Some(waits) = waits.as_ref().filter(|_| state.waits.is_none()) {
            tracing::warn!(source = self.name, "{waits}");
        }
        state.waits = waits;
    }

    /// It watches what it found first.
    pub(super) fn ready(&self) {
        self.state().ready = true;
    }

    /// Whether it does.
    pub(super) fn is_ready(&self) -> bool {
        self.state().ready
    }

    pub(super) fn status(&self, lag: u64, partitions: usize) -> SourceStatus {
        let State { up, ready, ref error, ref reason, ref waits } = *self.state();
        let (name, kind) = (self.name.clone(), self.kind);
        let error = error.as_ref().map(|error| match reason {
            Some(reason) => format!("{error}: {reason}"),
            None => error.clone(),
        });
        let error = error.or_else(|| waits.clone());
        SourceStatus { name, kind, up, ready, lag, partitions, unplaced: 0, error }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
