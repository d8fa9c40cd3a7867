//! The consumer that observes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use lapin::message::Delivery;
use lapin::{Consumer, Result};

use crate::observer::{CheckOptions, Observer};

/// The members of a view in this process. Clones are the same.
///
/// What its consumers are handed is posted to the sidecar, where it is judged as the view of that
/// queue's name, together with what members in other processes are handed.
#[derive(Clone, Debug)]
pub struct Members(Arc<Observer>);

impl Members {
    /// Members of the view of this queue's name.
    #[must_use]
    pub fn of(queue: &str, options: CheckOptions) -> Self {
        Self(Arc::new(Observer::start(queue, options)))
    }

    /// Observes what this consumer hands over from now on.
    #[must_use]
    pub fn consumer(&self, consumer: Consumer) -> CheckedConsumer {
        CheckedConsumer { consumer, observer: Arc::clone(&self.0) }
    }

    /// Observations that were posted, and those that were not and never will be; what was handed
    /// over meanwhile is unknown to the view.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        self.0.counts()
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
}

impl Stream for CheckedConsumer {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = std::task::ready!(Pin::new(&mut self.consumer).poll_next(cx));
        if let Some(Ok(delivery)) = &next {
            self.observer.observe(delivery);
        }
        Poll::Ready(next)
    }
}

impl std::ops::Deref for CheckedConsumer {
    type Target = Consumer;

    fn deref(&self) -> &Consumer {
        &self.consumer
    }
}
