//! A message that the source puts into a queue that it reads: when it comes back, all that was there
//! before it has been read.

use std::hash::{BuildHasher, RandomState};

use lapin::message::Delivery;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};

use super::client::{ReadError, within};
use crate::clock;

/// The header that names it.
const HEADER: &str = "lacuna-marker";

/// One that is under way.
#[derive(Debug)]
pub(super) struct Marker {
    /// Nobody else's, and no earlier one's.
    name: String,
    /// When it was sent, ms since the Unix epoch.
    pub(super) asked: u64,
}

impl Marker {
    /// Puts one behind all that the queue holds.
    pub(super) async fn send(channel: &Channel, queue: &str) -> Result<Self, ReadError> {
        let asked = clock::now_ms();
        let name = format!("{:016x}", RandomState::new().hash_one(asked));
        let mut headers = FieldTable::default();
        headers.insert(HEADER.into(), AMQPValue::LongString(name.as_str().into()));
        let properties = BasicProperties::default().with_headers(headers);
        let options = BasicPublishOptions::default();
        within(channel.basic_publish("".into(), queue.into(), options, &[], properties)).await?;
        Ok(Self { name, asked })
    }

    /// Whether this is a marker, of whomever.
    pub(super) fn is_one(delivery: &Delivery) -> bool {
        delivery.exchange.as_str().is_empty() && name(delivery).is_some()
    }

    /// Whether it is this one.
    pub(super) fn is(&self, delivery: &Delivery) -> bool {
        name(delivery) == Some(self.name.as_bytes())
    }
}

fn name(delivery: &Delivery) -> Option<&[u8]> {
    let value = delivery.properties.headers().as_ref()?.inner().get(HEADER)?;
    value.as_long_string().map(|name| name.as_bytes())
}
