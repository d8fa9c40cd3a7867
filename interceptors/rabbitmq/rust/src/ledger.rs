//! The ledger's way through RabbitMQ: a queue on the broker that carries the traffic, through a
//! channel of its own, so that nothing of it waits behind the application's messages.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_util::FutureExt;
use lacuna_interceptor::{Carrier, clock, lock};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, Confirmation, Result};

/// How finely it waits for answers.
const STEP: Duration = Duration::from_millis(10);
/// A message is kept by the broker for as long as records repeat what they say.
const EXPIRATION_MS: &str = "600000";

/// The queue, and the channel to it that the application gave last.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    queue: Arc<str>,
    channel: Arc<Mutex<Option<Channel>>>,
}

impl Way {
    /// To this queue, once there is a channel.
    pub(crate) fn to(queue: &str) -> Self {
        Self { queue: queue.into(), channel: Arc::default() }
    }

    /// Goes on through this channel.
    pub(crate) fn open(&self, channel: Channel) {
        *lock(&self.channel) = Some(channel);
    }

    fn channel(&self) -> Option<Channel> {
        lock(&self.channel).clone()
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Confirmation>> + Send>>;

/// Writes ledger messages to the queue.
pub(crate) struct QueueCarrier {
    way: Way,
    /// Messages whose answer has not come.
    sent: Vec<(u64, Answer)>,
    refused: Vec<u64>,
}

impl QueueCarrier {
    pub(crate) fn new(way: Way) -> Self {
        Self { way, sent: Vec::new(), refused: Vec::new() }
    }
}

impl Carrier for QueueCarrier {
    fn send(&mut self, batch: u64, lines: &[u8]) {
        let Some(channel) = self.way.channel() else { return self.refused.push(batch) };
        let (queue, lines) = (Arc::clone(&self.way.queue), lines.to_vec());
        // A queue that is not there is told by a return, with the confirm.
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = BasicProperties::default()
            .with_content_type("application/x-ndjson".into())
            .with_expiration(EXPIRATION_MS.into());
        let mut answer: Answer = Box::pin(async move {
            let publish =
                channel.basic_publish("".into(), (*queue).into(), options, &lines, properties);
            publish.await?.await
        });
        // With its first look lapin queues the message; it needs no runtime of ours.
        match (&mut answer).now_or_never() {
            None => self.sent.push((batch, answer)),
            // A confirm cannot be there yet, so the channel is broken.
            Some(_) => self.refused.push(batch),
        }
    }

    fn answers(&mut self, wait: Duration, tell: &mut dyn FnMut(u64, bool)) {
        let until = clock::monotonic() + wait;
        loop {
            let mut told = !self.refused.is_empty();
            self.refused.drain(..).for_each(|batch| tell(batch, false));
            self.sent.retain_mut(|(batch, answer)| match answer.now_or_never() {
                Some(answered) => {
                    told = true;
                    tell(*batch, matches!(answered, Ok(Confirmation::Ack(None))));
                    false
                }
                None => true,
            });
            let left = until.saturating_duration_since(clock::monotonic());
            if told || self.sent.is_empty() || left.is_zero() {
                return;
            }
            thread::sleep(left.min(STEP));
        }
    }
}

impl std::fmt::Debug for QueueCarrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueueCarrier").field("way", &self.way).finish_non_exhaustive()
    }
}
