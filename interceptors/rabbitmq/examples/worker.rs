//! A worker that takes orders from a queue of RabbitMQ, prints and acknowledges them.
//!
//! `worker URL QUEUE`. What makes it checked is [`Members`]: it tells the sidecar at
//! `LACUNA_SIDECAR` what was handed over.

use std::error::Error;
use std::io::{self, Write};

use futures_util::StreamExt as _;
use lacuna_rabbitmq::{CheckOptions, Members};
use lapin::options::{BasicAckOptions, BasicConsumeOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [url, queue] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "worker URL QUEUE")?;
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let members = Members::of(&queue, CheckOptions::default()); // once a process and queue
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let consumer =
        channel.basic_consume(queue.as_str().into(), "".into(), options, arguments).await?;
    let mut consumer = members.consumer(consumer);
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        writeln!(io::stdout(), "{}", String::from_utf8_lossy(&delivery.data))?;
        delivery.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}
