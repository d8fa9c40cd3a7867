//! The ledger's queue (contracts §2): a stream, read from its beginning, so that a sidecar that is
//! restarted hears again what was said.

use std::sync::Arc;

use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use lapin::{Channel, Connection, Consumer};

use super::client::{self, Begin, ReadError, within};
use super::marker::Marker;
use super::orders::Order;
use super::settings::RabbitSettings;
use crate::clock;
use crate::record::{self, Lines};

/// After the broker was away, producers could perhaps not say anything either. Their silence counts
/// only once they had this long to connect again.
const PATIENCE_MS: u64 = 20_000;

/// How far it was read.
#[derive(Default)]
pub(super) struct Ledger {
    channel: Option<Channel>,
    /// The last message.
    offset: Option<u64>,
    tag: u64,
    marker: Option<Marker>,
    /// The time before which silence says nothing.
    trusted_from: u64,
}

impl Ledger {
    /// Begins to read, or goes on after an outage.
    pub(super) async fn begin(
        &mut self,
        connection: &Connection,
        settings: &RabbitSettings,
    ) -> Result<Option<Consumer>, ReadError> {
        // The core does not know which of several brokers' streams of one name a record means.
        let named = settings.ledger.as_deref().filter(|_| settings.stream_prefix.is_empty());
        let Some(queue) = named else { return Ok(None) };
        let channel = within(connection.create_channel()).await?;
        client::declare_ledger(&channel, queue).await?;
        let from = self.offset.map_or(Begin::First, |offset| Begin::Offset(offset + 1));
        let consumer = client::read_stream(&channel, queue, from).await?;
        if self.channel.replace(channel).is_some() {
            self.trusted_from = clock::now_ms() + PATIENCE_MS;
        }
        self.marker = None;
        Ok(Some(consumer))
    }

    /// Asks up to when it is read.
    pub(super) async fn ask(
        &mut self,
        channel: &Channel,
        settings: &RabbitSettings,
    ) -> Result<(), ReadError> {
        if let (Some(queue), None, true) = (&settings.ledger, &self.marker, self.channel.is_some())
        {
            self.marker = Some(Marker::send(channel, queue).await?);
        }
        Ok(())
    }

    /// What a message says.
    pub(super) fn take(&mut self, message: Delivery, settings: &RabbitSettings) -> Option<Order> {
        self.tag = message.delivery_tag;
        let headers = message.properties.headers().as_ref();
        self.offset = headers.and_then(client::offset_of);
        if Marker::is_one(&message) {
            let marker = self.marker.take_if(|marker| marker.is(&message))?;
            return (marker.asked >= self.trusted_from).then_some(Order::LedgerRead(marker.asked));
        }
        let (records, skipped) = parse(&message.data);
        if let Some(first) = skipped {
            let source = &settings.name;
            tracing::warn!(source, first, "a line that is no ledger record is skipped");
        }
        Some(Order::Ledger(Arc::new(records)))
    }

    /// Lets more come.
    pub(super) async fn acknowledge(&self) -> Result<(), ReadError> {
        if let Some(channel) = &self.channel {
            within(channel.basic_ack(self.tag, BasicAckOptions { multiple: true })).await?;
        }
        Ok(())
    }
}

/// A message's records, and the first line that is none.
fn parse(data: &[u8]) -> (Vec<record::Ledger>, Option<String>) {
    let (mut records, mut skipped) = (Vec::new(), None);
    let mut lines = Lines::new(data);
    loop {
        let line = match lines.next_line() {
            Ok(None) => return (records, skipped),
            Ok(Some(line)) => record::Ledger::parse(line).map_err(|error| error.to_string()),
            Err(error) => return (records, Some(error.to_string())),
        };
        match line {
            Ok(record) => records.push(record),
            Err(error) => skipped = skipped.or(Some(error)),
        }
    }
}
