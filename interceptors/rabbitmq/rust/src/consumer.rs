//! The consumer that observes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use lacuna_interceptor::{CheckOptions, Switch};
use lapin::message::Delivery;
use lapin::{Consumer, Result};

use crate::idle::Idle;
use crate::observer::Observer;

/// The members of a view in this process. Clones are the same.
///
/// What its consumers are handed is told to the sidecar, where it is judged as the view of that
/// queue's name, together with what members in other processes are handed.
#[derive(Clone, Debug)]
pub struct Members(Arc<Observer>);

impl Members {
    /// Members of the view of this queue's name.
    #[must_use]
    pub fn of(queue: &str, options: CheckOptions) -> Self {
        Self(Arc::new(Observer::start(queue, &options)))
    }

    /// A stream (exchange, `/`, routing key) that the queue is fed with: the view watches it at
    /// once, and not only from its first message on.
    #[must_use]
    pub fn stream(self, stream: &str) -> Self {
        self.0.watch(stream);
        self
    }

    /// Observes what this consumer hands over from now on.
    #[must_use]
    pub fn consumer(&self, consumer: Consumer) -> CheckedConsumer {
        let observer = Arc::clone(&self.0);
        CheckedConsumer { consumer, idle: Idle::new(Arc::clone(&observer)), observer }
    }

    /// Whether there is a way to a sidecar: a ring could be made in the directory that is named, or a
    /// sidecar is.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        self.0.is_telling()
    }

    /// Messages that were handed over and that no sidecar will hear of, because it did not listen for
    /// so long that there was no room, or refused them. To it they are unknown.
    #[must_use]
    pub fn untold(&self) -> u64 {
        self.0.untold()
    }

    /// The switch that governs the checking; it may be turned at any time.
    #[must_use]
    pub fn switch(&self) -> &Switch {
        self.0.switch()
    }
}

/// A [`Consumer`] whose deliveries are observed as they are handed to the application. They are
/// lapin's own: acked, rejected or requeued as before.
///
/// ```no_run
/// use futures_util::StreamExt;
/// use lacuna_rabbitmq::{CheckOptions, Members};
/// use lapin::options::{BasicAckOptions, BasicConsumeOptions};
/// use lapin::types::FieldTable;
///
/// # async fn example(channel: lapin::Channel) -> lapin::Result<()> {
/// let members = Members::of("orders", CheckOptions::default()); // once a process and queue
/// let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
/// let consumer = channel.basic_consume("orders".into(), "".into(), options, arguments).await?;
/// let mut consumer = members.consumer(consumer);
/// while let Some(delivery) = consumer.next().await {
///     delivery?.ack(BasicAckOptions::default()).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CheckedConsumer {
    consumer: Consumer,
    observer: Arc<Observer>,
    idle: Arc<Idle>,
}

impl Stream for CheckedConsumer {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { consumer, idle, .. } = &mut *self;
        let next = std::task::ready!(idle.ask(cx, |cx| Pin::new(consumer).poll_next(cx)));
        if let Some(Ok(delivery)) = &next {
            self.observer.observe(delivery);
        }
        Poll::Ready(next)
    }
}

impl Drop for CheckedConsumer {
    fn drop(&mut self) {
        self.idle.end();
    }
}

impl std::ops::Deref for CheckedConsumer {
    type Target = Consumer;

    fn deref(&self) -> &Consumer {
        &self.consumer
    }
}
