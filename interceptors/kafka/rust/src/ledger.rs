//! The ledger's way through Kafka: a topic on the cluster that carries the traffic, through a
//! small producer of its own, so that nothing of it waits behind the application's messages.

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lacuna_interceptor::{Carrier, clock, lock};
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};

/// How long librdkafka tries to deliver a message; what is not delivered then is said again.
const MESSAGE_TIMEOUT_MS: &str = "10000";
/// What may wait in its queue, in KiB: a whole report and its overhead.
const QUEUE_KIB: &str = "16384";
/// How finely it waits for answers.
const STEP: Duration = Duration::from_millis(5);
/// What of the application's configuration says how to reach the cluster: whole names, and with a
/// dot at their end the beginnings of names.
const CONNECTION: &[&str] = &[
    "api.version.",
    "bootstrap.servers",
    "broker.address.",
    "broker.version.fallback",
    "client.dns.lookup",
    "client.id",
    "connections.max.idle.ms",
    "enable.sasl.",
    "enable.ssl.",
    "https.",
    "metadata.broker.list",
    "reconnect.",
    "sasl.",
    "security.",
    "socket.",
    "ssl.",
];

/// Asks the application for a token, where the cluster wants one.
pub(crate) type AskToken =
    Arc<dyn Fn(Option<&str>) -> Result<OAuthToken, Box<dyn Error>> + Send + Sync>;

/// Writes ledger messages to a topic, beside the producer of an application whose context is `C`.
pub(crate) struct TopicCarrier<C: ClientContext + 'static> {
    config: ClientConfig,
    topic: String,
    /// Keeps what one producer says in one partition.
    key: String,
    context: LedgerContext<C>,
    /// Made when there is something to send.
    producer: Option<BaseProducer<LedgerContext<C>>>,
}

impl<C: ClientContext + 'static> TopicCarrier<C> {
    /// A carrier to this topic of the cluster that `config` names.
    pub(crate) fn new(config: &ClientConfig, topic: &str, key: &str, token: AskToken) -> Self {
        let context = LedgerContext { token, answers: Arc::default(), _app: PhantomData };
        let (topic, key) = (topic.to_owned(), key.to_owned());
        Self { config: connection(config), topic, key, context, producer: None }
    }

    fn produce(&mut self, batch: u64, lines: &[u8]) -> Result<(), KafkaError> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.config.create_with_context(self.context.clone())?,
        };
        let producer = self.producer.insert(producer);
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(batch));
        producer.send(record.key(&self.key).payload(lines)).map_err(|(error, _)| error)
    }
}

impl<C: ClientContext + 'static> Carrier for TopicCarrier<C> {
    fn send(&mut self, batch: u64, lines: &[u8]) {
        if self.produce(batch, lines).is_err() {
            lock(&self.context.answers).push((batch, false));
        }
    }

    fn answers(&mut self, wait: Duration, tell: &mut dyn FnMut(u64, bool)) {
        let until = clock::monotonic() + wait;
        loop {
            let left = until.saturating_duration_since(clock::monotonic());
            if let Some(producer) = &self.producer {
                producer.poll(left.min(STEP));
            }
            let answers = std::mem::take(&mut *lock(&self.context.answers));
            if !answers.is_empty() || left.is_zero() || self.producer.is_none() {
                return answers.into_iter().for_each(|(batch, arrived)| tell(batch, arrived));
            }
        }
    }
}

impl<C: ClientContext + 'static> fmt::Debug for TopicCarrier<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicCarrier").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// The application's way to the cluster, and all else as it suits the ledger.
fn connection(config: &ClientConfig) -> ClientConfig {
    let mut own = ClientConfig::new();
    // The map names all properties, and hides the values of secret ones.
    for name in config.config_map().into_keys() {
        let of_connection =
            |known: &&str| name == *known || (known.ends_with('.') && name.starts_with(*known));
        if let Some(value) = config.get(name).filter(|_| CONNECTION.iter().any(of_connection)) {
            own.set(name, value);
        }
    }
    own.set("message.timeout.ms", MESSAGE_TIMEOUT_MS)
        // A topic that is not there fails soon, and does not hold up the end of the producer.
        .set("topic.metadata.propagation.max.ms", "1000")
        .set("queue.buffering.max.kbytes", QUEUE_KIB)
        .set("queue.buffering.max.messages", "1000")
        .set("compression.type", "gzip")
        .set("linger.ms", "0")
        .set_log_level(RDKafkaLogLevel::Emerg);
    own
}

/// Notes what became of the ledger's messages.
struct LedgerContext<C> {
    token: AskToken,
    answers: Arc<Mutex<Vec<(u64, bool)>>>,
    _app: PhantomData<fn() -> C>,
}

impl<C> Clone for LedgerContext<C> {
    fn clone(&self) -> Self {
        let (token, answers) = (Arc::clone(&self.token), Arc::clone(&self.answers));
        Self { token, answers, _app: PhantomData }
    }
}

impl<C: ClientContext + 'static> ClientContext for LedgerContext<C> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = C::ENABLE_REFRESH_OAUTH_TOKEN;

    // What goes wrong is counted; the application's log is for the application's producer.
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, _: &str) {}

    fn generate_oauth_token(
        &self,
        configuration: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn Error>> {
        (self.token)(configuration)
    }
}

impl<C: ClientContext + 'static> ProducerContext for LedgerContext<C> {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, report: &DeliveryResult<'_>, batch: Box<u64>) {
        lock(&self.answers).push((*batch, report.is_ok()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reaches_the_cluster_as_the_application_does_and_shares_nothing_else() {
        let mut config = ClientConfig::new();
        for (name, value) in [
            ("bootstrap.servers", "here:1"),
            ("security.protocol", "SASL_SSL"),
            ("sasl.password", "x"),
            ("ssl.ca.location", "/ca"),
            ("transactional.id", "t"),
            ("message.timeout.ms", "1"),
            ("acks", "0"),
            ("dr_cb", "x"),
        ] {
            config.set(name, value);
        }
        let own = connection(&config);
        for (name, value) in [
            ("bootstrap.servers", Some("here:1")),
            ("security.protocol", Some("SASL_SSL")),
            ("sasl.password", Some("x")),
            ("ssl.ca.location", Some("/ca")),
            ("message.timeout.ms", Some(MESSAGE_TIMEOUT_MS)),
            ("transactional.id", None),
            ("acks", None),
            ("dr_cb", None),
        ] {
            assert_eq!(own.get(name), value, "{name}");
        }
    }
}
