//! How ledger records reach those who judge.

use std::fmt::Debug;
use std::time::Duration;

use crate::sidecar::Sidecar;

/// One way for messages of ledger records. It is used by the reporter's own thread alone.
pub trait Carrier: Debug + Send {
    /// Hands a message over: lines of JSON, one a record. It may wait for seconds, and it may
    /// fail; what became of the message is told by [`Carrier::answers`].
    fn send(&mut self, batch: u64, lines: &[u8]);

    /// Tells of messages, each once, whether they arrived; waits at most so long for the first.
    fn answers(&mut self, wait: Duration, tell: &mut dyn FnMut(u64, bool));
}

/// `POST /v1/ledger` to a sidecar.
#[derive(Debug)]
pub(crate) struct Posted {
    sidecar: Sidecar,
    answers: Vec<(u64, bool)>,
}

impl Posted {
    pub(crate) fn new(sidecar: Sidecar) -> Self {
        Self { sidecar, answers: Vec::new() }
    }
}

impl Carrier for Posted {
    fn send(&mut self, batch: u64, lines: &[u8]) {
        self.answers.push((batch, self.sidecar.post("/v1/ledger", &[], lines).is_ok()));
    }

    fn answers(&mut self, _wait: Duration, tell: &mut dyn FnMut(u64, bool)) {
        for (batch, arrived) in self.answers.drain(..) {
            tell(batch, arrived);
        }
    }
}
