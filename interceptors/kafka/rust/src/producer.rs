//! The stamping producers.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};
use std::time::Duration;

use lacuna_core::ledger::LedgerRecord;
use lacuna_interceptor::{Counts, Switch};
use rdkafka::ClientConfig;
use rdkafka::client::Client;
use rdkafka::config::{FromClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::ToBytes;
use rdkafka::producer::{
    BaseProducer, BaseRecord, DefaultProducerContext, NoCustomPartitioner, Partitioner, Producer,
    ProducerContext, PurgeConfig, ThreadedProducer,
};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::util::Timeout;

use crate::context::StampContext;
use crate::metadata;
use crate::options::Options;
use crate::stamper::{Refusal, Stamper};

/// How long a drop waits for the reports of what it purged: rdkafka's own figure.
const LAST_REPORTS: Duration = Duration::from_millis(500);

/// A [`ThreadedProducer`] that stamps; all else is as in [`StampedProducer`].
pub type StampedThreadedProducer<C = DefaultProducerContext, Part = NoCustomPartitioner> =
    StampedProducer<C, Part, ThreadedProducer<StampContext<C>, Part>>;

/// A [`BaseProducer`] that stamps what it sends.
///
/// It is made, used and polled as the producer that it stands for, with the application's own
/// context `C` and partitioner:
///
/// ```no_run
/// use lacuna_kafka::StampedProducer; // instead of rdkafka::producer::BaseProducer
/// use rdkafka::ClientConfig;
/// use rdkafka::producer::BaseRecord;
///
/// let producer: StampedProducer =
///     ClientConfig::new().set("bootstrap.servers", "localhost:9092").create()?;
/// producer.send(BaseRecord::to("orders").key("42").payload("…")).map_err(|(error, _)| error)?;
/// # Ok::<(), rdkafka::error::KafkaError>(())
/// ```
pub struct StampedProducer<
    C = DefaultProducerContext,
    Part = NoCustomPartitioner,
    P = BaseProducer<StampContext<C>, Part>,
> where
    C: ProducerContext<Part> + 'static,
    Part: Partitioner + Send + Sync + 'static,
    P: Enqueue<C, Part>,
{
    producer: Arc<P>,
    stamper: Arc<Stamper>,
    _types: PhantomData<fn() -> (C, Part)>,
}

/// The producers of rdkafka that can be made to stamp: [`BaseProducer`] and [`ThreadedProducer`].
pub trait Enqueue<C, Part>:
    Producer<StampContext<C>, Part>
    + FromClientConfigAndContext<StampContext<C>>
    + Send
    + Sync
    + 'static
    + sealed::Sealed
where
    C: ProducerContext<Part>,
    Part: Partitioner,
{
    /// Puts a record into librdkafka's queue.
    #[expect(clippy::result_large_err, reason = "rdkafka gives a refused record back by value")]
    fn enqueue<'a, K, V>(
        &self,
        record: BaseRecord<'a, K, V, C::DeliveryOpaque>,
    ) -> Result<(), (KafkaError, BaseRecord<'a, K, V, C::DeliveryOpaque>)>
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized;

    /// Serves delivery reports and other events.
    fn poll(&self, timeout: Timeout);
}

mod sealed {
    #[expect(unnameable_types, reason = "so that nobody else implements Enqueue")]
    pub trait Sealed {}
}

macro_rules! enqueue {
    ($producer:ident) => {
        impl<C, Part> sealed::Sealed for $producer<StampContext<C>, Part>
        where
            C: ProducerContext<Part> + 'static,
            Part: Partitioner + Send + Sync + 'static,
        {
        }

        impl<C, Part> Enqueue<C, Part> for $producer<StampContext<C>, Part>
        where
            C: ProducerContext<Part> + 'static,
            Part: Partitioner + Send + Sync + 'static,
        {
            fn enqueue<'a, K, V>(
                &self,
                record: BaseRecord<'a, K, V, C::DeliveryOpaque>,
            ) -> Result<(), Refusal<'a, K, V, C::DeliveryOpaque>>
            where
                K: ToBytes + ?Sized,
                V: ToBytes + ?Sized,
            {
                self.send(record)
            }

            fn poll(&self, timeout: Timeout) {
                $producer::poll(self, timeout);
            }
        }
    };
}
enqueue!(BaseProducer);
enqueue!(ThreadedProducer);

impl<C, Part, P> StampedProducer<C, Part, P>
where
    C: ProducerContext<Part> + 'static,
    Part: Partitioner + Send + Sync + 'static,
    P: Enqueue<C, Part>,
{
    /// A producer with these options; [`ClientConfig::create_with_context`] uses the default ones.
    ///
    /// Errors are those of the producer that this one stands for.
    pub fn new(config: &ClientConfig, context: C, options: &Options) -> KafkaResult<Self> {
        let custom = context.get_custom_partitioner().is_some();
        let stamper = Arc::new(Stamper::new(config, options, custom)?);
        let context = StampContext::new(context, Arc::clone(&stamper));
        let producer = Arc::new(P::from_config_and_context(config, context)?);
        let weak: Weak<P> = Arc::downgrade(&producer);
        metadata::answer(
            Arc::clone(&stamper.questions),
            Arc::clone(&stamper.topics),
            stamper.refresh,
            move |topic, timeout| weak.upgrade().map(|producer| led(&*producer, topic, timeout)),
        );
        Ok(Self { producer, stamper, _types: PhantomData })
    }

    /// Sends a message, stamped; else as [`BaseProducer::send`], which never blocks.
    #[expect(clippy::result_large_err, reason = "rdkafka gives a refused record back by value")]
    pub fn send<'a, K, V>(
        &self,
        record: BaseRecord<'a, K, V, C::DeliveryOpaque>,
    ) -> Result<(), (KafkaError, BaseRecord<'a, K, V, C::DeliveryOpaque>)>
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized,
    {
        let custom = self.producer.context().get_custom_partitioner();
        self.stamper.send(record, custom, |record| self.producer.enqueue(record))
    }

    /// Serves delivery reports and other events, as the producer that this one stands for.
    pub fn poll<T: Into<Timeout>>(&self, timeout: T) {
        self.producer.poll(timeout.into());
    }

    /// Asks for a topic's partitions and waits for the answer, so that its very first message
    /// counts in its partition's lane and not in lane `*`. Whether they are known now.
    pub fn prefetch<T: Into<Timeout>>(&self, topic: &str, timeout: T) -> bool {
        let led = led(&*self.producer, topic, timeout);
        let known = led.is_some();
        if let Some(led) = led {
            let entry = self.stamper.topics.entry(topic);
            entry.learn(led);
            // Once, so that the background knows the topic, too, and keeps it up to date.
            self.stamper.ask(entry);
        }
        known
    }

    /// The switch that governs this producer; it may be turned at any time.
    #[must_use]
    pub fn switch(&self) -> &Switch {
        self.stamper.switch()
    }

    /// What was stamped and what was not, and why.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.stamper.counts()
    }

    /// The name in this producer's stamps.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.stamper.identity().producer
    }

    /// The epoch in this producer's stamps.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.stamper.identity().epoch
    }

    /// This producer's own book: one ledger record of every lane, made now from the delivery
    /// reports so far. Each call makes the lanes' next revision.
    pub fn ledger(&self, visit: impl FnMut(&LedgerRecord<'_>)) {
        self.stamper.ledger(visit);
    }
}

fn led<C, Part, P, T>(producer: &P, topic: &str, timeout: T) -> Option<Vec<bool>>
where
    C: ProducerContext<Part>,
    Part: Partitioner,
    P: Enqueue<C, Part>,
    T: Into<Timeout>,
{
    metadata::led(&producer.client().fetch_metadata(Some(topic), timeout).ok()?, topic)
}

impl<P> FromClientConfig for StampedProducer<DefaultProducerContext, NoCustomPartitioner, P>
where
    P: Enqueue<DefaultProducerContext, NoCustomPartitioner>,
{
    fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
        Self::new(config, DefaultProducerContext, &Options::default())
    }
}

impl<C, Part, P> FromClientConfigAndContext<C> for StampedProducer<C, Part, P>
where
    C: ProducerContext<Part> + 'static,
    Part: Partitioner + Send + Sync + 'static,
    P: Enqueue<C, Part>,
{
    fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        Self::new(config, context, &Options::default())
    }
}

impl<C, Part, P> Producer<StampContext<C>, Part> for StampedProducer<C, Part, P>
where
    C: ProducerContext<Part> + 'static,
    Part: Partitioner + Send + Sync + 'static,
    P: Enqueue<C, Part>,
{
    fn client(&self) -> &Client<StampContext<C>> {
        self.producer.client()
    }

    fn in_flight_count(&self) -> i32 {
        self.producer.in_flight_count()
    }

    fn flush<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.producer.flush(timeout)
    }

    fn purge(&self, flags: PurgeConfig) {
        self.producer.purge(flags);
    }

    fn init_transactions<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.producer.init_transactions(timeout)
    }

    fn begin_transaction(&self) -> KafkaResult<()> {
        self.producer.begin_transaction()
    }

    fn send_offsets_to_transaction<T: Into<Timeout>>(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
        timeout: T,
    ) -> KafkaResult<()> {
        self.producer.send_offsets_to_transaction(offsets, group, timeout)
    }

    fn commit_transaction<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.producer.commit_transaction(timeout)?;
        self.stamper.end_transaction(true);
        Ok(())
    }

    fn abort_transaction<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.producer.abort_transaction(timeout)?;
        self.stamper.end_transaction(false);
        Ok(())
    }
}

impl<C, Part, P> Drop for StampedProducer<C, Part, P>
where
    C: ProducerContext<Part> + 'static,
    Part: Partitioner + Send + Sync + 'static,
    P: Enqueue<C, Part>,
{
    /// As rdkafka's own: what is still queued is purged and its delivery reports are served, here
    /// and now, even where the background holds the client for a moment longer.
    fn drop(&mut self) {
        self.stamper.questions.close();
        self.producer.purge(PurgeConfig::default().queue().inflight());
        drop(self.producer.flush(LAST_REPORTS));
    }
}

impl<C, Part, P> fmt::Debug for StampedProducer<C, Part, P>
where
    C: ProducerContext<Part> + 'static,
    Part: Partitioner + Send + Sync + 'static,
    P: Enqueue<C, Part>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StampedProducer")
            .field("name", &self.name())
            .field("epoch", &self.epoch())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use rdkafka::ClientContext;
    use rdkafka::error::RDKafkaErrorCode;
    use rdkafka::message::DeliveryResult;
    use rdkafka::mocking::MockCluster;

    use super::*;

    struct Reporting(Arc<Mutex<Vec<KafkaError>>>);

    impl ClientContext for Reporting {
        fn error(&self, _: KafkaError, _: &str) {}
    }

    impl ProducerContext for Reporting {
        type DeliveryOpaque = ();

        fn delivery(&self, report: &DeliveryResult<'_>, (): ()) {
            self.0.lock().unwrap().extend(report.as_ref().err().map(|(error, _)| error.clone()));
        }
    }

    #[test]
    fn what_is_queued_at_a_drop_is_reported_before_the_drop_ends() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.broker_down(1).unwrap();
        let reported = Arc::new(Mutex::new(Vec::new()));
        let producer: StampedProducer<Reporting> = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .create_with_context(Reporting(Arc::clone(&reported)))
            .unwrap();
        let record = BaseRecord::<str, str>::to("orders").payload("x");
        producer.send(record).map_err(|(error, _)| error).unwrap();
        // As the background does while it asks.
        let held = Arc::clone(&producer.producer);
        drop(producer);
        let purged = KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue);
        assert_eq!(*reported.lock().unwrap(), [purged]);
        drop(held);
    }
}
