use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What holds clients off. Whichever is reached is counted (`lacuna_limit_reached_total`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Longest body that may be posted, in bytes.
    pub max_body_bytes: usize,
    /// Bytes of all bodies that are held at a time, those that are still coming included.
    pub max_bodies_bytes: usize,
    /// Connections at a time. Those above wait in the system's queue.
    pub max_connections: usize,
    /// How long the head of a request may take to come; a connection may be idle for so long, too.
    pub header_timeout: Duration,
    /// How long the body of a request may take to come.
    pub body_timeout: Duration,
    /// How long an answer may take to be made, and as long again to be fetched.
    pub answer_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: 16 << 20,
            max_bodies_bytes: 64 << 20,
            max_connections: 256,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(30),
        }
    }
}

/// Room for bodies, by the byte.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Semaphore>);

/// Bytes that are taken up until this is dropped.
#[derive(Debug, Default)]
pub(super) struct Held(Option<OwnedSemaphorePermit>);

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes up more of it; false: there is none.
    pub(super) fn hold(&self, held: &mut Held, bytes: usize) -> bool {
        let Ok(bytes) = u32::try_from(bytes) else { return false };
        let Ok(permit) = Arc::clone(&self.0).try_acquire_many_owned(bytes) else { return false };
        match &mut held.0 {
            Some(before) => before.merge(permit),
            none => *none = Some(permit),
        }
        true
    }
}
