//! What an application may set of its stamping; the environment sets the defaults.

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

    /// Whether to choose the partition of messages that librdkafka would place freely. Off, they
    /// are left to librdkafka and count in lane `*`.
    #[must_use]
    pub fn choose_partitions(mut self, choose: bool) -> Self {
        self.choose = choose;
        self
    }
}
