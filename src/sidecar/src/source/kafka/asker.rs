//! The connection by which a cluster is asked: for topics, ends and what groups have committed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::client::{Client, OpenError, connect};
use super::settings::KafkaSettings;
use crate::clock;

/// How long nothing may be answered before the connection is made anew, ms.
const PATIENCE_MS: u64 = 10_000;
/// The longest pause between two new ones, ms.
const LONGEST_MS: u64 = 300_000;

/// A connection that is made anew where it does not come back. A client of librdkafka 2.12.1 was seen
/// that reached its only broker no more for a minute and a half, until it was ended, while the one
/// beside it read on.
pub(super) struct Asker {
    settings: KafkaSettings,
    state: Mutex<State>,
}

struct State {
    client: Arc<Client>,
    /// Since when nothing was answered, or the connection made last.
    failing_since: Option<u64>,
    patience_ms: u64,
}

impl Asker {
    /// Sets it up; whether the broker is there shows later.
    pub(super) fn new(settings: &KafkaSettings) -> Result<Self, OpenError> {
        let client = connect(settings)?;
        let state = State { client, failing_since: None, patience_ms: PATIENCE_MS };
        Ok(Self { settings: settings.clone(), state: Mutex::new(state) })
    }

    /// Who is asked now.
    pub(super) fn client(&self) -> Arc<Client> {
        self.state().client.clone()
    }

    /// Takes down whether a question was answered.
    pub(super) fn was_answered(&self, answered: bool) {
        self.note(answered, clock::now_ms());
    }

    fn note(&self, answered: bool, now: u64) {
        let mut state = self.state();
        if answered {
            (state.failing_since, state.patience_ms) = (None, PATIENCE_MS);
            return;
        }
        let since = *state.failing_since.get_or_insert(now);
        if now < since + state.patience_ms {
            return;
        }
        state.failing_since = Some(now);
        state.patience_ms = (2 * state.patience_ms).min(LONGEST_MS);
        // It was set up like this before.
        if let Ok(client) = connect(&self.settings) {
            tracing::info!(source = self.settings.name, "asks by a new connection");
            state.client = client;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::topics::Topics;
    use super::*;

    #[test]
    fn a_connection_that_does_not_come_back_is_made_anew() {
        let settings = KafkaSettings::new("main", "127.0.0.1:1", Topics::named("t"));
        let asker = Asker::new(&settings).unwrap();
        let mut client = asker.client();
        let mut is_new = |answered, now| {
            asker.note(answered, now);
            let before = std::mem::replace(&mut client, asker.client());
            !Arc::ptr_eq(&before, &client)
        };
        assert!(!is_new(false, 1_000));
        assert!(!is_new(false, 10_999));
        assert!(is_new(false, 11_000));
        // The next one has twice the time.
        assert!(!is_new(false, 30_999));
        assert!(is_new(false, 31_000));
        // An answer, and it begins from the first.
        assert!(!is_new(true, 80_000));
        assert!(!is_new(false, 90_000));
        assert!(!is_new(false, 99_999));
        assert!(is_new(false, 100_000));
    }
}
