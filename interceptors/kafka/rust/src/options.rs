//! What an application may set of its stamping; the environment sets the defaults.

use std::time::Duration;

use lacuna_interceptor::{Options as Stamping, Switch};

/// How a producer stamps.
///
/// ```
/// use lacuna_kafka::{Options, Switch};
///
/// let switch = Switch::new(true);
/// let options = Options::default().producer("orders-api@web-3").switch(switch.clone());
/// switch.set(false); // at any time, for every producer that shares it
/// # drop(options);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) stamping: Stamping,
    pub(crate) choose: bool,
}

impl Default for Options {
    /// Named by [`PRODUCER_ENV`](crate::PRODUCER_ENV), else client or service, `@`, host; on unless
    /// [`STAMP_ENV`](crate::STAMP_ENV) says off; sticky partitions chosen here.
    fn default() -> Self {
        Self { stamping: Stamping::default(), choose: true }
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

    /// The switch that governs this producer.
    #[must_use]
    pub fn switch(mut self, switch: Switch) -> Self {
        self.stamping.switch = switch;
        self
    }

    /// The topic that the ledger is sent to, on the same cluster; `None`: it is not. By default
    /// [`LEDGER_ENV`](crate::LEDGER_ENV) says, and else it is `lacuna.ledger`.
    #[must_use]
    pub fn ledger(mut self, topic: Option<&str>) -> Self {
        self.stamping.ledger.name = topic.map(str::to_owned);
        self
    }

    /// How often the ledger is sent while a lane moves or has pending numbers: every two seconds,
    /// unless told otherwise, and well below the grace of who reads it.
    #[must_use]
    pub fn ledger_interval(mut self, interval: Duration) -> Self {
        self.stamping.ledger.interval = interval;
        self
    }

    /// A sidecar to which the ledger is posted as well, `http://HOST:PORT` or `unix:/PATH`. By
    /// default the one that [`SIDECAR_ENV`](crate::SIDECAR_ENV) names.
    #[must_use]
    pub fn sidecar(mut self, address: Option<&str>) -> Self {
        self.stamping.ledger.sidecar = address.map(str::to_owned);
        self
    }

    /// Whether to choose the partition of messages that librdkafka would place freely. Off, they
    /// are left to librdkafka and count in lane `*`.
    #[must_use]
    pub fn choose_partitions(mut self, choose: bool) -> Self {
        self.choose = choose;
        self
    }
}
