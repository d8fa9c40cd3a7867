//! A worker that reads orders from Kafka and prints them.
//!
//! `worker BROKERS TOPIC GROUP`. What makes it checked is the type of the consumer, and
//! `LACUNA_RING_DIR`, the directory that a sidecar beside it reads.

use std::error::Error;
use std::io::{self, Write};

use lacuna_kafka::CheckedConsumer; // instead of rdkafka::consumer::BaseConsumer
use rdkafka::consumer::Consumer;
use rdkafka::{ClientConfig, Message};

fn main() -> Result<(), Box<dyn Error>> {
    let [brokers, topic, group] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "worker BROKERS TOPIC GROUP")?;
    let consumer: CheckedConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[&topic])?;
    for message in consumer.iter() {
        let message = message?;
        let order = message.payload_view::<str>().transpose()?.unwrap_or_default();
        writeln!(io::stdout(), "{} [{}]: {order}", message.partition(), message.offset())?;
    }
    Ok(())
}
