//! The channel that stamps.

use std::future::poll_fn;
use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use lacuna_interceptor::{Lane, Outcome};
use lapin::message::BasicReturnMessage;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, PublisherConfirm, Result};

use crate::carrier;
use crate::confirm::{Number, StampedConfirm};
use crate::confirms::{Confirms, Ticket};
use crate::stamper::Stamper;

/// A [`Channel`] that stamps what is published through it. It dereferences to that channel, so
/// everything else works as before.
///
/// ```no_run
/// use lacuna_rabbitmq::Stamper;
/// use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
/// use lapin::{BasicProperties, Connection, ConnectionProperties};
///
/// # async fn example() -> lapin::Result<()> {
/// let stamper = Stamper::default(); // once, for the producer's whole life
/// let connection = Connection::connect("amqp://localhost", ConnectionProperties::default()).await?;
/// let channel = stamper.channel(connection.create_channel().await?);
/// channel.confirm_select(ConfirmSelectOptions::default()).await?;
/// let options = BasicPublishOptions::default();
/// let confirm = channel
///     .basic_publish("orders".into(), "eu".into(), options, b"42", BasicProperties::default())
///     .await?;
/// drop(confirm.await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StampedChannel {
    channel: Channel,
    confirms: Arc<Confirms>,
    /// The reporter goes on while there is a channel.
    _stamper: Stamper,
}

/// One message, as [`Channel::basic_publish`] takes it.
#[derive(Clone, Debug)]
pub struct Publish<'a> {
    /// To this exchange,
    pub exchange: ShortString,
    /// with this routing key.
    pub routing_key: ShortString,
    /// `mandatory` and the like.
    pub options: BasicPublishOptions,
    /// The message's body.
    pub payload: &'a [u8],
    /// Its properties, headers among them.
    pub properties: BasicProperties,
}

impl Publish<'_> {
    fn stamped(self, stamp: &[u8]) -> Self {
        let properties = carrier::stamped(self.properties, stamp);
        Self { properties, ..self }
    }

    async fn through(self, channel: &Channel) -> Result<PublisherConfirm> {
        let Self { exchange, routing_key, options, payload, properties } = self;
        channel.basic_publish(exchange, routing_key, options, payload, properties).await
    }
}

/// What became of a publish that was begun.
struct Begun {
    confirms: Arc<Confirms>,
    ticket: Option<Ticket>,
}

impl Drop for Begun {
    /// The application dropped the publish half-way: the message may be on its way.
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.confirms.unanswered(&ticket);
        }
    }
}

impl StampedChannel {
    pub(crate) fn new(channel: Channel, confirms: Arc<Confirms>, stamper: Stamper) -> Self {
        Self { channel, confirms, _stamper: stamper }
    }

    /// As [`Channel::basic_publish`].
    pub async fn basic_publish(
        &self,
        exchange: ShortString,
        routing_key: ShortString,
        options: BasicPublishOptions,
        payload: &[u8],
        properties: BasicProperties,
    ) -> Result<StampedConfirm> {
        let publish = Publish { exchange, routing_key, options, payload, properties };
        self.publish_keeping(&mut None, publish).await
    }

    /// As [`StampedChannel::basic_publish`]; `kept` holds the message's number from the moment that
    /// it is on its way, where the publish fails as well. `None` then: it never was.
    pub async fn publish_keeping(
        &self,
        kept: &mut Option<Number>,
        publish: Publish<'_>,
    ) -> Result<StampedConfirm> {
        let stamper = self.confirms.stamper();
        let unstamped = &stamper.unstamped;
        let (exchange, routing_key) = (publish.exchange.as_str(), publish.routing_key.as_str());
        let counter = if !stamper.is_on() {
            &unstamped.switched_off
        } else if let Some(lane) = stamper.lane(exchange, routing_key) {
            if lane.turn().stamp().is_some() {
                return self.stamped(kept, lane, publish).await;
            }
            &unstamped.unstampable
        } else {
            &unstamped.too_many_lanes
        };
        let confirm = publish.through(&self.channel).await?;
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(StampedConfirm::plain(confirm))
    }

    /// Publishes a message again of which no answer was heard, with the number that it had: if it
    /// is there already, it is found to be a repeat and not a message of its own.
    pub async fn republish(&self, number: &Number, publish: Publish<'_>) -> Result<StampedConfirm> {
        let Number { lane, seq } = number;
        let mandatory = publish.options.mandatory;
        let publish = publish.stamped(&carrier::value(lane.prefix(), *seq));
        let confirm = publish.through(&self.channel).await?;
        let ticket = self.confirms.issue(Arc::clone(lane), *seq, mandatory);
        Ok(StampedConfirm::new(confirm, Arc::clone(&self.confirms), ticket))
    }

    /// As [`Channel::wait_for_confirms`].
    pub async fn wait_for_confirms(&self) -> Result<Vec<BasicReturnMessage>> {
        let mut returned = self.channel.wait_for_confirms().await?;
        returned.extend(self.confirms.hear_dropped());
        Ok(returned)
    }

    /// As [`Channel::tx_select`].
    pub async fn tx_select(&self) -> Result<()> {
        self.channel.tx_select().await?;
        self.confirms.select_transactions();
        Ok(())
    }

    /// As [`Channel::tx_commit`].
    pub async fn tx_commit(&self) -> Result<()> {
        self.confirms.hear_dropped();
        let committed = self.channel.tx_commit().await;
        let outcome = if committed.is_ok() { Outcome::Acknowledged } else { Outcome::Unanswered };
        self.confirms.end_transaction(outcome);
        committed
    }

    /// As [`Channel::tx_rollback`].
    pub async fn tx_rollback(&self) -> Result<()> {
        self.confirms.hear_dropped();
        let rolled_back = self.channel.tx_rollback().await;
        // Where the answer was lost the channel was too, and the broker commits nothing by itself.
        self.confirms.end_transaction(Outcome::Aborted);
        rolled_back
    }

    async fn stamped(
        &self,
        kept: &mut Option<Number>,
        lane: Arc<Lane>,
        message: Publish<'_>,
    ) -> Result<StampedConfirm> {
        let mut begun = Begun { confirms: Arc::clone(&self.confirms), ticket: None };
        let mandatory = message.options.mandatory;
        let (confirm, ticket) = {
            // The stamp is not known before the lane's turn, and the message is built with it.
            let mut message = Some(message);
            let mut publish = pin!(None);
            let confirm: PublisherConfirm = poll_fn(|cx| {
                if publish.is_none() {
                    let turn = lane.turn();
                    let seq = turn.seq();
                    let Some(message) = message.take() else { return Poll::Pending };
                    let message = message.stamped(turn.stamp().unwrap_or_default());
                    publish.set(Some(message.through(&self.channel)));
                    // With its first look lapin queues the message, in this lane's order.
                    let polled = publish.as_mut().as_pin_mut().map(|publish| publish.poll(cx));
                    match polled {
                        Some(Poll::Ready(Err(error))) => return Poll::Ready(Err(error)),
                        polled => {
                            lane.taken(turn);
                            let lane = Arc::clone(&lane);
                            *kept = Some(Number { lane: Arc::clone(&lane), seq });
                            begun.ticket = Some(self.confirms.issue(lane, seq, mandatory));
                            return polled.unwrap_or(Poll::Pending);
                        }
                    }
                }
                match publish.as_mut().as_pin_mut() {
                    Some(publish) => publish.poll(cx),
                    None => Poll::Pending,
                }
            })
            .await?;
            (confirm, begun.ticket.take())
        };
        Ok(match ticket {
            Some(ticket) => StampedConfirm::new(confirm, Arc::clone(&self.confirms), ticket),
            None => StampedConfirm::plain(confirm),
        })
    }
}

impl Drop for StampedChannel {
    fn drop(&mut self) {
        // A channel that broke has rolled back; one that lives may be committed by another holder.
        let lives = self.channel.status().connected();
        self.confirms.close(if lives { Outcome::Unanswered } else { Outcome::Aborted });
    }
}

impl Deref for StampedChannel {
    type Target = Channel;

    fn deref(&self) -> &Channel {
        &self.channel
    }
}
