//! What a view's members in this process are handed, told to a sidecar.

use std::collections::HashMap;

use lacuna_core::stamp::{self, Stamp};
use lacuna_interceptor::{CheckOptions, Switch, Teller, Telling};
use lacuna_ring::{Reading, Record};
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};

/// RabbitMQ has no partitions: every stream is one.
const PARTITION: &str = "0";
/// Streams that are told of. What comes of more is unknown to the view.
const STREAMS: usize = 10_000;

/// What the members are handed.
#[derive(Debug)]
pub(crate) struct Observer(Telling<Slots>);

/// The slots of the streams that came.
#[derive(Debug, Default)]
struct Slots(HashMap<String, u32>);

impl Observer {
    pub(crate) fn start(queue: &str, options: &CheckOptions) -> Self {
        Self(Telling::start(queue, Reading::Competing, options))
    }

    pub(crate) fn switch(&self) -> &Switch {
        self.0.switch()
    }

    pub(crate) fn is_telling(&self) -> bool {
        self.0.is_telling()
    }

    pub(crate) fn untold(&self) -> u64 {
        self.0.untold()
    }

    /// The view watches this stream.
    pub(crate) fn watch(&self, stream: &str) {
        self.0.tell(|teller, slots| slots.slot(teller, stream));
    }

    /// The application is about to be handed this.
    pub(crate) fn observe(&self, delivery: &Delivery) {
        let headers = delivery.properties.headers().as_ref();
        let stamp = headers.and_then(stamp_of);
        self.0.observe(|teller, slots| {
            let Some(slot) = slots.slot(teller, &stream_of(delivery, stamp)) else {
                teller.fall_behind();
                return false;
            };
            teller.tell(&Record::Handed {
                slot,
                position: None,
                time: None,
                redelivered: Some(again(delivery, headers)),
                stamp,
            })
        });
    }

    /// One more of the members, or one less, may have been sent what it has not handed over yet.
    pub(crate) fn busy(&self, more: bool) {
        self.0.tell(|teller, _| teller.busy(more));
    }
}

impl Slots {
    /// `None`: it is one more than are told of.
    fn slot(&mut self, teller: &mut Teller, stream: &str) -> Option<u32> {
        if let Some(slot) = self.0.get(stream) {
            return Some(*slot);
        }
        if self.0.len() >= STREAMS {
            return None;
        }
        let slot = teller.slot(stream, PARTITION);
        self.0.insert(stream.to_owned(), slot);
        teller.assign(slot, None, None);
        Some(slot)
    }
}

fn stamp_of(headers: &FieldTable) -> Option<&[u8]> {
    let value = headers.inner().get(stamp::HEADER)?;
    // A stamp of another type is there, and not of good form.
    Some(value.as_long_string().map_or(&[], |stamp| stamp.as_bytes()))
}

/// The exchange alone where the stamp counts per exchange.
fn stream_of(delivery: &Delivery, stamp: Option<&[u8]>) -> String {
    let exchange = delivery.exchange.as_str();
    let stamp = stamp.and_then(|stamp| Stamp::parse(stamp).ok());
    if stamp.is_some_and(|stamp| stamp.origin == stamp::origin(exchange)) {
        return exchange.to_owned();
    }
    [exchange, "/", delivery.routing_key.as_str()].concat()
}

/// Whether the broker hands this message over again: it says so, or a quorum queue counts it, or
/// it was published again out of a dead-lettering queue, or by a shovel.
fn again(delivery: &Delivery, headers: Option<&FieldTable>) -> bool {
    let counted = |headers: &FieldTable| {
        let count = headers.inner().get("x-delivery-count").and_then(AMQPValue::as_long_long_int);
        let moved = ["x-death", "x-shovelled"].iter().any(|name| headers.contains_key(name));
        moved || count.is_some_and(|count| count > 0)
    };
    delivery.redelivered || headers.is_some_and(counted)
}
