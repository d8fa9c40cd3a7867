use std::time::Duration;

use lapin::options::{
    BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, Consumer, ErrorKind};

use super::bindings::Binding;
use super::message::TRACE;
use super::settings::{RabbitSettings, TapKind};

/// Deliveries that may be on their way; as many are at most read twice after an outage.
pub(super) const PREFETCH: u16 = 2_000;
/// Longest wait for the broker.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A broker that is silent for twice as long is away (by default a minute), unless the URL says
/// otherwise.
const HEARTBEAT_S: u16 = 5;
/// A stream deletes whole segments, so a bound needs several.
const SEGMENTS: u64 = 8;
/// What the ledger's stream keeps: records repeat ten minutes, and a restart reads it again.
const LEDGER_BYTES: u64 = 64 << 20;
const LEDGER_AGE: &str = "1h";
/// The greatest that the broker takes.
const GREATEST_SEGMENT: u64 = 500_000_000;

/// Why the source cannot read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("{0}")]
    Broker(#[from] lapin::Error),
    #[error("cannot read the password's file: {0}")]
    Password(std::io::Error),
    #[error("no answer from the broker within {} s", TIMEOUT.as_secs())]
    TimedOut,
    #[error("{0}")]
    Ask(#[from] super::management::AskError),
    #[error("the tap's queue was deleted, or its node went away")]
    Cancelled,
}

/// A connection to the broker; every step is bounded in time.
pub(super) async fn connect(
    settings: &RabbitSettings,
    mut uri: AMQPUri,
) -> Result<Connection, ReadError> {
    let name = format!("lacuna {}", settings.name);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
    within(Connection::connect_uri(uri, properties)).await
}

pub(super) async fn within<T>(
    step: impl Future<Output = lapin::Result<T>>,
) -> Result<T, ReadError> {
    let answer = tokio::time::timeout(TIMEOUT, step).await;
    Ok(answer.map_err(|_| ReadError::TimedOut)??)
}

/// Whether the tap's queue is there, and with how many messages.
pub(super) async fn look(connection: &Connection, queue: &str) -> Result<Option<u32>, ReadError> {
    // The broker closes a channel that asks for what is not there.
    let channel = within(connection.create_channel()).await?;
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    match within(channel.queue_declare(queue.into(), options, FieldTable::default())).await {
        Ok(found) => {
            within(channel.close(200, "".into())).await?;
            Ok(Some(found.message_count()))
        }
        Err(ReadError::Broker(error)) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_not_found(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    *error.kind() == AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)
}

/// Makes the tap's queue, bounded, and the one that is told when the bound drops a message.
pub(super) async fn declare(channel: &Channel, settings: &RabbitSettings) -> Result<(), ReadError> {
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    let expires = long(u64::try_from(settings.expires.as_millis()).unwrap_or(u64::MAX));
    let bytes = long(settings.max_bytes);
    let arguments = match settings.tap {
        TapKind::Stream => {
            let segment = (settings.max_bytes / SEGMENTS).clamp(1, GREATEST_SEGMENT);
            table([
                ("x-queue-type", text("stream")),
                ("x-max-length-bytes", bytes),
                ("x-stream-max-segment-size-bytes", long(segment)),
                ("x-max-age", text(&format!("{}s", settings.expires.as_secs().max(1)))),
            ])
        }
        TapKind::Queue | TapKind::Firehose => {
            let dropped = settings.dropped_queue();
            let one =
                table([("x-max-length", AMQPValue::LongInt(1)), ("x-expires", expires.clone())]);
            within(channel.queue_declare(dropped.as_str().into(), durable, one)).await?;
            table([
                ("x-max-length", long(u64::from(settings.max_messages))),
                ("x-max-length-bytes", bytes),
                ("x-overflow", text("drop-head")),
                ("x-expires", expires),
                ("x-dead-letter-exchange", text("")),
                ("x-dead-letter-routing-key", text(&dropped)),
            ])
        }
    };
    within(channel.queue_declare(settings.tap_queue.as_str().into(), durable, arguments)).await?;
    Ok(())
}

/// Makes the ledger's queue: a stream, which every sidecar reads whole, and again after a restart.
pub(super) async fn declare_ledger(channel: &Channel, queue: &str) -> Result<(), ReadError> {
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    let arguments = table([
        ("x-queue-type", text("stream")),
        ("x-max-length-bytes", long(LEDGER_BYTES)),
        ("x-stream-max-segment-size-bytes", long(LEDGER_BYTES / SEGMENTS)),
        ("x-max-age", text(LEDGER_AGE)),
    ]);
    within(channel.queue_declare(queue.into(), durable, arguments)).await?;
    Ok(())
}

/// Binds the tap's queue as the business queue is.
pub(super) async fn bind(
    channel: &Channel,
    settings: &RabbitSettings,
    binding: &Binding,
) -> Result<(), ReadError> {
    let Binding { exchange, routing_key, arguments } = binding;
    within(channel.queue_bind(
        settings.tap_queue.as_str().into(),
        exchange.as_str().into(),
        routing_key.as_str().into(),
        QueueBindOptions::default(),
        arguments.clone(),
    ))
    .await
}

/// Takes a binding away that the business queue has no more.
pub(super) async fn unbind(
    channel: &Channel,
    settings: &RabbitSettings,
    binding: &Binding,
) -> Result<(), ReadError> {
    let Binding { exchange, routing_key, arguments } = binding;
    within(channel.queue_unbind(
        settings.tap_queue.as_str().into(),
        exchange.as_str().into(),
        routing_key.as_str().into(),
        arguments.clone(),
    ))
    .await
}

/// What the tracer tells of: every publish, and what the queue's consumers are sent.
pub(super) fn trace_bindings(queue: &str) -> Vec<Binding> {
    let keys = ["publish.#".to_owned(), format!("deliver.{queue}")];
    let binding = |routing_key| Binding {
        exchange: TRACE.to_owned(),
        routing_key,
        arguments: FieldTable::default(),
    };
    keys.map(binding).into()
}

/// Reads a tap queue, which nobody else may: two sidecars would each see a part of it.
pub(super) async fn read_queue(channel: &Channel, queue: &str) -> Result<Consumer, ReadError> {
    let options = BasicConsumeOptions { exclusive: true, ..Default::default() };
    consume(channel, queue, options, FieldTable::default()).await
}

/// Where reading of a stream begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Begin {
    /// With the first message that it keeps.
    First,
    /// With what comes from now on.
    Next,
    /// With this one, or the first after it that is there.
    Offset(u64),
}

/// Reads a stream.
pub(super) async fn read_stream(
    channel: &Channel,
    queue: &str,
    from: Begin,
) -> Result<Consumer, ReadError> {
    let from = match from {
        Begin::First => text("first"),
        Begin::Next => text("next"),
        Begin::Offset(offset) => long(offset),
    };
    consume(channel, queue, BasicConsumeOptions::default(), table([("x-stream-offset", from)]))
        .await
}

/// A message's offset in the stream that it was read from.
pub(super) fn offset_of(headers: &FieldTable) -> Option<u64> {
    let offset = headers.inner().get("x-stream-offset")?.as_long_long_int()?;
    u64::try_from(offset).ok()
}

/// Takes what tells of dropped messages.
pub(super) async fn take_notices(channel: &Channel, queue: &str) -> Result<Consumer, ReadError> {
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    consume(channel, queue, options, FieldTable::default()).await
}

async fn consume(
    channel: &Channel,
    queue: &str,
    options: BasicConsumeOptions,
    arguments: FieldTable,
) -> Result<Consumer, ReadError> {
    within(channel.basic_qos(PREFETCH, BasicQosOptions::default())).await?;
    within(channel.basic_consume(queue.into(), "".into(), options, arguments)).await
}

/// Empties the queue that tells of dropped messages.
pub(super) async fn purge(channel: &Channel, queue: &str) -> Result<(), ReadError> {
    within(channel.queue_purge(queue.into(), QueuePurgeOptions::default())).await?;
    Ok(())
}

fn table<const N: usize>(arguments: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert(name.into(), value);
    }
    table
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn long(number: u64) -> AMQPValue {
    AMQPValue::LongLongInt(i64::try_from(number).unwrap_or(i64::MAX))
}
