//! What the benchmarks share: an exchange, a queue that keeps the last thousand messages, and the
//! processes' CPU time.

use std::fs;
use std::path::PathBuf;

use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};

/// The routing key of all messages.
pub(crate) const KEY: &str = "k";
/// Messages that wait for their confirms at a time.
pub(crate) const WINDOW: u64 = 500;

/// Connects, and makes an exchange and a queue of this name.
pub(crate) async fn begin(url: &str, name: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let none = FieldTable::default;
    let exchange = ExchangeDeclareOptions::default();
    channel.exchange_declare(name.into(), ExchangeKind::Direct, exchange, none()).await.unwrap();
    let mut bounded = none();
    bounded.insert("x-max-length".into(), AMQPValue::LongInt(1_000));
    let queue = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), queue, bounded).await.unwrap();
    let bind = QueueBindOptions::default();
    channel.queue_bind(name.into(), name.into(), KEY.into(), bind, none()).await.unwrap();
    (connection, channel)
}

/// Deletes them again.
pub(crate) async fn end(channel: &Channel, name: &str) {
    channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.unwrap();
    channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await.unwrap();
}

/// What all threads of a process have used, in ns, as the kernel has accounted for them.
pub(crate) fn cpu(process: u32) -> f64 {
    let of = |task: PathBuf| {
        let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0)
    };
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    tasks.map(|task| of(task.unwrap().path())).sum()
}

/// The figure in the middle.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
