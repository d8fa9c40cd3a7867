//! The future-returning producer.
//!
//! rdkafka's own keeps its delivery callback to itself, so nothing could keep the book of it; this
//! one is built on a context of ours. A future that is dropped loses nothing: the report still
//! arrives, in the book.

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::FutureExt;
use lacuna_interceptor::clock;
use rdkafka::client::{DefaultClientContext, OAuthToken};
use rdkafka::config::{FromClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message, OwnedMessage, Timestamp, ToBytes};
use rdkafka::producer::future_producer::{Delivery, OwnedDeliveryResult};
use rdkafka::producer::{BaseRecord, FutureRecord, ProducerContext};
use rdkafka::statistics::Statistics;
use rdkafka::util::{AsyncRuntime, DefaultRuntime, IntoOpaque, Timeout};
use rdkafka::{ClientConfig, ClientContext};

use crate::context::pass_on_client_callbacks;
use crate::options::Options;
use crate::producer::StampedThreadedProducer;

/// How long to wait before a full queue is tried again: rdkafka's own figure.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(100);

type Answer = oneshot::Sender<OwnedDeliveryResult>;

/// The application's client context `C`, wrapped: completes the futures, and every callback still
/// reaches `C`.
#[derive(Debug)]
pub struct FutureContext<C> {
    app: C,
}

impl<C> Deref for FutureContext<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.app
    }
}

impl<C: ClientContext> ClientContext for FutureContext<C> {
    pass_on_client_callbacks!();
}

impl<C: ClientContext> ProducerContext for FutureContext<C> {
    type DeliveryOpaque = Box<Answer>;

    fn delivery(&self, report: &DeliveryResult<'_>, answer: Self::DeliveryOpaque) {
        if answer.is_canceled() {
            return;
        }
        let report = match report {
            Ok(message) => Ok(Delivery {
                partition: message.partition(),
                offset: message.offset(),
                timestamp: message.timestamp(),
            }),
            Err((error, message)) => Err((error.clone(), message.detach())),
        };
        // Err: the future was dropped just now.
        drop(answer.send(report));
    }
}

/// A producer whose sends are futures of their delivery, and that stamps; used like
/// [`rdkafka::producer::FutureProducer`]. Its clones are the same producer, which is what this
/// dereferences to.
///
/// ```no_run
/// # #[cfg(feature = "tokio")]
/// # async fn example() -> Result<(), rdkafka::error::KafkaError> {
/// use lacuna_kafka::StampedFutureProducer; // instead of rdkafka::producer::FutureProducer
/// use rdkafka::ClientConfig;
/// use rdkafka::producer::FutureRecord;
/// use rdkafka::util::Timeout;
///
/// let producer: StampedFutureProducer =
///     ClientConfig::new().set("bootstrap.servers", "localhost:9092").create()?;
/// let record = FutureRecord::to("orders").key("42").payload("…");
/// producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
/// # Ok(())
/// # }
/// ```
pub struct StampedFutureProducer<C = DefaultClientContext, R = DefaultRuntime>
where
    C: ClientContext + 'static,
{
    producer: Arc<StampedThreadedProducer<FutureContext<C>>>,
    _runtime: PhantomData<fn() -> R>,
}

impl<C, R> StampedFutureProducer<C, R>
where
    C: ClientContext + 'static,
{
    /// A producer with these options; [`ClientConfig::create_with_context`] uses the default ones.
    ///
    /// Errors are those of the producer that this one stands for.
    pub fn new(config: &ClientConfig, context: C, options: &Options) -> KafkaResult<Self> {
        let context = FutureContext { app: context };
        let producer = Arc::new(StampedThreadedProducer::new(config, context, options)?);
        Ok(Self { producer, _runtime: PhantomData })
    }

    /// Sends a message, stamped, and resolves with its delivery. While the queue is full it tries
    /// again until `queue_timeout` is over; the message takes its number only once it is queued.
    pub async fn send<K, V, T>(
        &self,
        record: FutureRecord<'_, K, V>,
        queue_timeout: T,
    ) -> OwnedDeliveryResult
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized,
        T: Into<Timeout>,
        R: AsyncRuntime,
    {
        let start = clock::monotonic();
        let queue_timeout = queue_timeout.into();
        let may_wait = || match queue_timeout {
            Timeout::Never => true,
            Timeout::After(most) => start.elapsed() < most,
        };
        let mut record = record;
        loop {
            let (error, refused) = match self.send_result(record) {
                Ok(delivery) => match delivery.await {
                    Ok(report) => return report,
                    Err(oneshot::Canceled) => return Err(canceled()),
                },
                Err(refusal) => refusal,
            };
            let full = error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            if !(full && may_wait()) {
                return Err((error, owned(refused)));
            }
            record = refused;
            R::delay_for(QUEUE_FULL_PAUSE).await;
        }
    }

    /// Queues a message, stamped, or gives it back at once; the future is that of its delivery.
    #[expect(clippy::result_large_err, reason = "rdkafka gives a refused record back by value")]
    pub fn send_result<'a, K, V>(
        &self,
        record: FutureRecord<'a, K, V>,
    ) -> Result<DeliveryFuture, (KafkaError, FutureRecord<'a, K, V>)>
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized,
    {
        let (sender, answer) = oneshot::channel();
        self.producer
            .send(queued(record, Box::new(sender)))
            .map(|()| DeliveryFuture(answer))
            .map_err(|(error, record)| (error, returned(record)))
    }
}

/// A message's delivery. It resolves with an error if the producer goes before the report comes;
/// dropping it changes nothing of the message.
#[derive(Debug)]
#[must_use = "the delivery is not known before this resolves"]
pub struct DeliveryFuture(oneshot::Receiver<OwnedDeliveryResult>);

impl Future for DeliveryFuture {
    type Output = Result<OwnedDeliveryResult, oneshot::Canceled>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(context)
    }
}

impl<C, R> FromClientConfigAndContext<C> for StampedFutureProducer<C, R>
where
    C: ClientContext + 'static,
{
    fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        Self::new(config, context, &Options::default())
    }
}

impl<R> FromClientConfig for StampedFutureProducer<DefaultClientContext, R> {
    fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
        Self::new(config, DefaultClientContext, &Options::default())
    }
}

impl<C, R> Clone for StampedFutureProducer<C, R>
where
    C: ClientContext + 'static,
{
    fn clone(&self) -> Self {
        Self { producer: Arc::clone(&self.producer), _runtime: PhantomData }
    }
}

impl<C, R> Deref for StampedFutureProducer<C, R>
where
    C: ClientContext + 'static,
{
    type Target = StampedThreadedProducer<FutureContext<C>>;

    fn deref(&self) -> &Self::Target {
        &self.producer
    }
}

impl<C, R> fmt::Debug for StampedFutureProducer<C, R>
where
    C: ClientContext + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.producer.fmt(f)
    }
}

fn queued<'a, K, V, D>(record: FutureRecord<'a, K, V>, opaque: D) -> BaseRecord<'a, K, V, D>
where
    K: ToBytes + ?Sized,
    V: ToBytes + ?Sized,
    D: IntoOpaque,
{
    let FutureRecord { topic, partition, payload, key, timestamp, headers } = record;
    BaseRecord { topic, partition, payload, key, timestamp, headers, delivery_opaque: opaque }
}

fn returned<'a, K, V, D>(record: BaseRecord<'a, K, V, D>) -> FutureRecord<'a, K, V>
where
    K: ToBytes + ?Sized,
    V: ToBytes + ?Sized,
    D: IntoOpaque,
{
    let BaseRecord { topic, partition, payload, key, timestamp, headers, .. } = record;
    FutureRecord { topic, partition, payload, key, timestamp, headers }
}

/// For a report that never comes: a panic in the application's callback may have taken it.
fn canceled() -> (KafkaError, OwnedMessage) {
    (KafkaError::Canceled, owned(FutureRecord::<(), ()>::to("")))
}

fn owned<K, V>(record: FutureRecord<'_, K, V>) -> OwnedMessage
where
    K: ToBytes + ?Sized,
    V: ToBytes + ?Sized,
{
    OwnedMessage::new(
        record.payload.map(|payload| payload.to_bytes().to_vec()),
        record.key.map(|key| key.to_bytes().to_vec()),
        record.topic.to_owned(),
        record.timestamp.map_or(Timestamp::NotAvailable, Timestamp::CreateTime),
        record.partition.unwrap_or(-1),
        0,
        record.headers,
    )
}
