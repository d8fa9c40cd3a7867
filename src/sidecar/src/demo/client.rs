//! Producers all of whose messages must be stored.
#![expect(clippy::result_large_err, reason = "rdkafka gives a refused record back by value")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use lacuna_core::stamp;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::plan::Stream;

/// Longest wait for the last answers.
const FLUSH: Duration = Duration::from_secs(10);

/// Counts what the broker did not take.
#[derive(Default)]
pub(super) struct Answers {
    failed: AtomicU64,
}

impl Answers {
    /// Whether all that was answered so far was taken.
    pub(super) fn all_good(&self) -> KafkaResult<()> {
        match self.failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err(KafkaError::MessageProduction(RDKafkaErrorCode::Fail)),
        }
    }
}

impl ClientContext for Answers {}

impl ProducerContext for Answers {
    type DeliveryOpaque = ();

    fn delivery(&self, answer: &DeliveryResult<'_>, (): ()) {
        if answer.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

type Record<'a> = BaseRecord<'a, (), [u8]>;

/// Sends again and again while the queue is full.
pub(super) fn insist<'a>(
    mut record: Record<'a>,
    send: impl Fn(Record<'a>) -> Result<(), (KafkaError, Record<'a>)>,
) -> KafkaResult<()> {
    while let Err((error, back)) = send(record) {
        if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
            return Err(error);
        }
        record = back;
        thread::yield_now();
    }
    Ok(())
}

/// One that stamps nothing.
pub(super) struct Client(ThreadedProducer<Answers>);

impl Client {
    pub(super) fn connect(brokers: &str) -> KafkaResult<Self> {
        ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("linger.ms", "5")
            .create_with_context(Answers::default())
            .map(Self)
    }

    pub(super) fn send(
        &self,
        stream: Stream,
        partition: i32,
        stamp: Option<&[u8]>,
        payload: &[u8],
    ) -> KafkaResult<()> {
        let mut record = Record::to(stream.topic()).partition(partition).payload(payload);
        if let Some(stamp) = stamp {
            let header = Header { key: stamp::HEADER, value: Some(stamp) };
            record = record.headers(OwnedHeaders::new().insert(header));
        }
        insist(record, |record| self.0.send(record))
    }

    pub(super) fn finish(&self) -> KafkaResult<()> {
        self.0.flush(FLUSH)?;
        self.0.context().all_good()
    }
}
