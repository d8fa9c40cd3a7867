//! How ledger records reach those who judge.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use crate::clock;
use crate::sidecar::{PostError, Sidecar};

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
    /// Until then it is not tried again.
    quiet_until: Option<Instant>,
    answers: Vec<(u64, bool)>,
}

impl Posted {
    pub(crate) fn new(sidecar: Sidecar) -> Self {
        Self { sidecar, quiet_until: None, answers: Vec::new() }
    }
}

impl Carrier for Posted {
    fn send(&mut self, batch: u64, lines: &[u8]) {
        let begun = clock::monotonic();
        if self.quiet_until.is_some_and(|until| begun < until) {
            return self.answers.push((batch, false));
        }
        let posted = self.sidecar.post("/v1/ledger", &[], lines);
        // Other ways wait meanwhile: a sidecar that does not answer takes half of the time at most.
        let unanswered = matches!(posted, Err(PostError::Unanswered(_)));
        let now = clock::monotonic();
        self.quiet_until = unanswered.then(|| now + now.saturating_duration_since(begun));
        self.answers.push((batch, posted.is_ok()));
    }

    fn answers(&mut self, _wait: Duration, tell: &mut dyn FnMut(u64, bool)) {
        for (batch, arrived) in self.answers.drain(..) {
            tell(batch, arrived);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_sidecar_that_does_not_answer_holds_up_one_message_of_many() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        silent.set_nonblocking(true).unwrap();
        let mut carrier =
            Posted::new(Sidecar::new(&format!("http://{}", silent.local_addr().unwrap())));
        for batch in 0..20 {
            carrier.send(batch, b"{}");
        }
        let mut told = Vec::new();
        carrier.answers(Duration::ZERO, &mut |batch, arrived| told.push((batch, arrived)));
        assert_eq!(told, Vec::from_iter((0..20).map(|batch| (batch, false))));
        // It was asked once: each time it has a connection of its own.
        assert!(silent.accept().is_ok());
        assert!(silent.accept().is_err());
    }
}
