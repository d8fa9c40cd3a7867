//! What a delivery tells: which stream it is of, its stamp, and whether the broker moved it.

use lacuna_core::stamp;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, LongString};

use super::settings::{RabbitSettings, TapKind};

/// The exchange of RabbitMQ's tracer.
pub(super) const TRACE: &str = "amq.rabbitmq.trace";

/// Who observed a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Seen {
    /// The broker, which routed it.
    Log,
    /// A consumer of the business queue, to whom it was sent.
    Group,
}

/// A message as contracts §3 knows it; nothing else of it leaves the source.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) seen: Seen,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) stamp: Option<LongString>,
    /// The broker's own flag; of the log: the broker itself published it again.
    pub(super) redelivered: Option<bool>,
    /// ms since the Unix epoch.
    pub(super) time: Option<u64>,
}

impl Message {
    /// Reads what a tap was sent. `None`: an event of the firehose that is not the queue's.
    pub(super) fn of(settings: &RabbitSettings, delivery: &Delivery) -> Option<Self> {
        if settings.tap == TapKind::Firehose {
            return Self::traced(settings.queue.as_deref()?, delivery);
        }
        let headers = delivery.properties.headers().as_ref();
        Some(Self {
            seen: Seen::Log,
            exchange: delivery.exchange.as_str().to_owned(),
            routing_key: delivery.routing_key.as_str().to_owned(),
            stamp: headers.and_then(stamp_of),
            redelivered: moved(headers),
            time: delivery.properties.timestamp().map(|seconds| seconds.saturating_mul(1000)),
        })
    }

    /// An event of the tracer: `publish.<exchange>` or `deliver.<queue>`.
    fn traced(queue: &str, delivery: &Delivery) -> Option<Self> {
        let event = delivery.properties.headers().as_ref()?.inner();
        let text = |name: &str| event.get(name).and_then(as_text);
        let list = |name: &str| {
            let items = event.get(name).and_then(AMQPValue::as_array);
            items.into_iter().flat_map(|items| items.as_slice()).filter_map(as_text)
        };
        let properties = event.get("properties")?.as_field_table()?.inner();
        let headers = properties.get("headers").and_then(AMQPValue::as_field_table);
        let (kind, of) = delivery.routing_key.as_str().split_once('.')?;
        let (seen, redelivered) = match kind {
            "publish" if list("routed_queues").any(|routed| routed == queue) => {
                (Seen::Log, moved(headers))
            }
            "deliver" if of == queue => (Seen::Group, event.get("redelivered").and_then(as_flag)),
            _ => return None,
        };
        Some(Self {
            seen,
            exchange: text("exchange_name")?,
            routing_key: list("routing_keys").next()?,
            stamp: headers.and_then(stamp_of),
            redelivered,
            time: None,
        })
    }

    /// The stream: the exchange alone where the stamp counts per exchange.
    pub(super) fn stream(&self) -> String {
        let Self { exchange, routing_key, .. } = self;
        if self.counts_per_exchange() {
            exchange.clone()
        } else {
            format!("{exchange}/{routing_key}")
        }
    }

    pub(super) fn counts_per_exchange(&self) -> bool {
        let stamp =
            self.stamp.as_ref().and_then(|value| stamp::Stamp::parse(value.as_bytes()).ok());
        stamp.is_some_and(|stamp| stamp.origin == stamp::origin(&self.exchange))
    }
}

fn stamp_of(headers: &FieldTable) -> Option<LongString> {
    let value = headers.inner().get(stamp::HEADER)?;
    // A stamp of another type is there, and not of good form.
    Some(value.as_long_string().cloned().unwrap_or_default())
}

/// What the broker says of a message that it has published itself: out of a dead-lettering queue,
/// or through a shovel. It is no repeat of the producer's.
fn moved(headers: Option<&FieldTable>) -> Option<bool> {
    let headers = headers?.inner();
    let by_broker = ["x-death", "x-shovelled"].iter().any(|name| headers.contains_key(*name));
    by_broker.then_some(true)
}

fn as_text(value: &AMQPValue) -> Option<String> {
    let text = value.as_long_string()?;
    Some(String::from_utf8_lossy(text.as_bytes()).into_owned())
}

/// The tracer writes flags as numbers.
fn as_flag(value: &AMQPValue) -> Option<bool> {
    let number = || {
        let long = value.as_long_int().map(i64::from);
        long.or_else(|| value.as_long_long_int())
            .or_else(|| value.as_short_short_int().map(i64::from))
    };
    value.as_bool().or_else(|| number().map(|number| number != 0))
}
