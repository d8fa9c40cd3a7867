//! The checked consumers: the application consumes as before, and what it was handed is told to the
//! sidecar beside it, which judges it as its group's view.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use lacuna_interceptor::{CheckOptions, Switch};
use rdkafka::client::OAuthToken;
use rdkafka::config::{FromClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{
    BaseConsumer, Consumer, ConsumerContext, DefaultConsumerContext, Rebalance, StreamConsumer,
};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::statistics::Statistics;
use rdkafka::util::{AsyncRuntime, DefaultRuntime, Timeout};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use crate::context::pass_on_client_callbacks;
use crate::native;
use crate::observer::Observer;

/// The application's consumer context. It has the callbacks of [`ConsumerContext`] but for the type
/// of the consumer in them, which is a checked one: change the trait's and the consumer's name in
/// the `impl`, and all else stays.
pub trait CheckedContext: ClientContext + Sized {
    /// Runs before a rebalance is carried out.
    fn pre_rebalance(
        &self,
        _consumer: &BaseConsumer<CheckContext<Self>>,
        _rebalance: &Rebalance<'_>,
    ) {
    }

    /// Runs after a rebalance was carried out.
    fn post_rebalance(
        &self,
        _consumer: &BaseConsumer<CheckContext<Self>>,
        _rebalance: &Rebalance<'_>,
    ) {
    }

    /// Runs after offsets were committed.
    fn commit_callback(&self, _result: KafkaResult<()>, _offsets: &TopicPartitionList) {}

    /// See [`ConsumerContext::main_queue_min_poll_interval`].
    fn main_queue_min_poll_interval(&self) -> Timeout {
        Timeout::After(Duration::from_secs(1))
    }
}

impl CheckedContext for DefaultConsumerContext {}

/// The application's context `C`, wrapped: every callback still reaches it, and it is what this
/// dereferences to.
#[derive(Debug)]
pub struct CheckContext<C> {
    app: C,
    observer: Arc<Observer>,
}

impl<C> Deref for CheckContext<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.app
    }
}

impl<C: ClientContext> ClientContext for CheckContext<C> {
    pass_on_client_callbacks!();
}

impl<C: CheckedContext> ConsumerContext for CheckContext<C> {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            // Before it takes effect, so that no message comes before it.
            Rebalance::Assign(partitions) => {
                self.observer.assigned(partitions, native::generation(consumer.client()));
            }
            Rebalance::Revoke(partitions) => self.observer.released(partitions),
            Rebalance::Error(_) => {}
        }
        self.app.pre_rebalance(consumer, rebalance);
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.app.post_rebalance(consumer, rebalance);
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        self.app.commit_callback(result, offsets);
    }

    fn main_queue_min_poll_interval(&self) -> Timeout {
        self.app.main_queue_min_poll_interval()
    }
}

/// A [`BaseConsumer`] whose messages are checked. It dereferences to that consumer, so everything
/// else works as before; messages that are taken past it (a split partition queue) are not seen.
///
/// ```no_run
/// use lacuna_kafka::CheckedConsumer; // instead of rdkafka::consumer::BaseConsumer
/// use rdkafka::ClientConfig;
/// use rdkafka::consumer::Consumer;
/// use std::time::Duration;
///
/// let consumer: CheckedConsumer = ClientConfig::new()
///     .set("bootstrap.servers", "localhost:9092")
///     .set("group.id", "billing")
///     .create()?;
/// consumer.subscribe(&["orders"])?;
/// while let Some(message) = consumer.poll(Duration::from_secs(1)) {
///     drop(message?);
/// }
/// // In the environment of the application: LACUNA_RING_DIR=/run/lacuna, the sidecar's
/// // members.ring_dir.
/// assert!(consumer.is_telling());
/// # Ok::<(), rdkafka::error::KafkaError>(())
/// ```
pub type CheckedConsumer<C = DefaultConsumerContext> = Checked<BaseConsumer<CheckContext<C>>>;

/// A [`StreamConsumer`] whose messages are checked; else as [`CheckedConsumer`].
pub type CheckedStreamConsumer<C = DefaultConsumerContext, R = DefaultRuntime> =
    Checked<StreamConsumer<CheckContext<C>, R>>;

/// A consumer `I` of rdkafka, observed; see [`CheckedConsumer`] and [`CheckedStreamConsumer`].
pub struct Checked<I> {
    consumer: I,
    observer: Arc<Observer>,
}

impl<I> Checked<I> {
    /// A consumer with these options; [`ClientConfig::create_with_context`] uses the default ones.
    ///
    /// Errors are those of the consumer that this one stands for.
    pub fn new<C>(config: &ClientConfig, context: C, options: CheckOptions) -> KafkaResult<Self>
    where
        C: CheckedContext,
        I: FromClientConfigAndContext<CheckContext<C>>,
    {
        let observer = Arc::new(Observer::new(&config.create_native_config()?, &options));
        let context = CheckContext { app: context, observer: Arc::clone(&observer) };
        Ok(Self { consumer: I::from_config_and_context(config, context)?, observer })
    }

    /// Whether there is a way to a sidecar: a ring could be made in the directory that is named, or a
    /// sidecar is.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        self.observer.is_telling()
    }

    /// Messages that were handed over and that no sidecar will hear of, because it did not listen for
    /// so long that there was no room, or refused them. To it they are unknown.
    #[must_use]
    pub fn untold(&self) -> u64 {
        self.observer.untold()
    }

    /// The switch that governs the checking; it may be turned at any time.
    #[must_use]
    pub fn switch(&self) -> &Switch {
        self.observer.switch()
    }

    /// As [`Consumer::assign`].
    pub fn assign<C>(&self, partitions: &TopicPartitionList) -> KafkaResult<()>
    where
        C: CheckedContext,
        I: Consumer<CheckContext<C>>,
    {
        self.observer.assigned(partitions, None);
        self.consumer.assign(partitions)
    }

    /// As [`Consumer::incremental_assign`].
    pub fn incremental_assign<C>(&self, partitions: &TopicPartitionList) -> KafkaResult<()>
    where
        C: CheckedContext,
        I: Consumer<CheckContext<C>>,
    {
        self.observer.assigned(partitions, None);
        self.consumer.incremental_assign(partitions)
    }

    /// As [`Consumer::seek`]. What the application skips by itself is no loss.
    pub fn seek<C, T>(
        &self,
        topic: &str,
        partition: i32,
        offset: Offset,
        timeout: T,
    ) -> KafkaResult<()>
    where
        C: CheckedContext,
        I: Consumer<CheckContext<C>>,
        T: Into<Timeout>,
    {
        self.consumer.seek(topic, partition, offset, timeout)?;
        self.observer.moved(topic, partition, offset);
        Ok(())
    }

    fn observed<'a>(
        &self,
        message: KafkaResult<BorrowedMessage<'a>>,
    ) -> KafkaResult<BorrowedMessage<'a>> {
        if let Ok(message) = &message {
            self.observer.observe(message);
        }
        message
    }
}

impl<C: CheckedContext> CheckedConsumer<C> {
    /// As [`BaseConsumer::poll`].
    pub fn poll<T: Into<Timeout>>(&self, timeout: T) -> Option<KafkaResult<BorrowedMessage<'_>>> {
        self.consumer.poll(timeout).map(|message| self.observed(message))
    }

    /// As [`BaseConsumer::iter`].
    pub fn iter(&self) -> impl Iterator<Item = KafkaResult<BorrowedMessage<'_>>> {
        self.consumer.iter().map(|message| self.observed(message))
    }
}

impl<C, R> CheckedStreamConsumer<C, R>
where
    C: CheckedContext + 'static,
{
    /// As [`StreamConsumer::recv`].
    pub async fn recv(&self) -> KafkaResult<BorrowedMessage<'_>> {
        let message = self.consumer.recv().await;
        self.observed(message)
    }

    /// As [`StreamConsumer::stream`].
    pub fn stream(&self) -> impl Stream<Item = KafkaResult<BorrowedMessage<'_>>> {
        self.consumer.stream().map(|message| self.observed(message))
    }
}

impl<I> Deref for Checked<I> {
    type Target = I;

    fn deref(&self) -> &I {
        &self.consumer
    }
}

impl FromClientConfig for CheckedConsumer {
    fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
        Self::new(config, DefaultConsumerContext, CheckOptions::default())
    }
}

impl<R: AsyncRuntime> FromClientConfig for CheckedStreamConsumer<DefaultConsumerContext, R> {
    fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
        Self::new(config, DefaultConsumerContext, CheckOptions::default())
    }
}

impl<C, I> FromClientConfigAndContext<C> for Checked<I>
where
    C: CheckedContext,
    I: FromClientConfigAndContext<CheckContext<C>>,
{
    fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        Self::new(config, context, CheckOptions::default())
    }
}

impl<I> fmt::Debug for Checked<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checked").field("observer", &self.observer).finish_non_exhaustive()
    }
}
