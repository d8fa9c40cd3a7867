//! What an application may set of its stamping; the environment sets the defaults.

use std::collections::HashSet;

use lacuna_interceptor::{Options as Stamping, Switch};

/// Lanes of one stamper: routing keys may be without end.
const LANES: usize = 10_000;

/// How messages are stamped.
///
/// ```
/// use lacuna_rabbitmq::{Options, Stamper, Switch};
///
/// let switch = Switch::new(true);
/// let options = Options::default().producer("orders-api@web-3").switch(switch.clone());
/// let stamper = Stamper::new(options);
/// switch.set(false); // at any time
/// # drop(stamper);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) stamping: Stamping,
    pub(crate) per_exchange: HashSet<String>,
    pub(crate) lanes: usize,
    pub(crate) one_queue: bool,
}

impl Default for Options {
    /// Named by [`PRODUCER_ENV`](crate::PRODUCER_ENV), else service or program, `@`, host; on unless
    /// [`STAMP_ENV`](crate::STAMP_ENV) says off; a count for every exchange and routing key.
    fn default() -> Self {
        Self {
            stamping: Stamping::default(),
            per_exchange: HashSet::new(),
            lanes: LANES,
            one_queue: false,
        }
    }
}

impl Options {
    /// The producer's name: the same across restarts, another one for every sending client. Bytes
    /// that a name cannot have become `-`.
    #[must_use]
    pub fn producer(mut self, name: impl Into<String>) -> Self {
        self.stamping.producer = Some(name.into());
        self
    }

    /// The switch that governs this stamper.
    #[must_use]
    pub fn switch(mut self, switch: Switch) -> Self {
        self.stamping.switch = switch;
        self
    }

    /// The queue to which the ledger goes; `None`: none. See [`crate::Stamper::ledger_channel`].
    #[must_use]
    pub fn ledger(mut self, queue: Option<String>) -> Self {
        self.stamping.ledger.name = queue;
        self
    }

    /// A sidecar's address, `http://HOST:PORT` or `unix:/PATH`, to which the ledger is posted;
    /// `None`: none.
    #[must_use]
    pub fn sidecar(mut self, address: Option<String>) -> Self {
        self.stamping.ledger.sidecar = address;
        self
    }

    /// Counts messages to this exchange over all routing keys, where these are without end. Such a
    /// count is judged only by a tap that is declared to see the whole exchange.
    #[must_use]
    pub fn per_exchange(mut self, exchange: impl Into<String>) -> Self {
        self.per_exchange.insert(exchange.into());
        self
    }

    /// Counts at most so many exchanges and routing keys (10,000 by default); messages of more go
    /// out unstamped.
    #[must_use]
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = lanes;
        self
    }

    /// Every message reaches one queue at most, so that a nack says that it is in none. Otherwise
    /// one of several queues may have taken it, and a nack leaves that open.
    #[must_use]
    pub fn one_queue(mut self, one_queue: bool) -> Self {
        self.one_queue = one_queue;
        self
    }
}
