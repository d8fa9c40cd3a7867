//! A producing application whose own metrics say what it stamped, and what not and why.
//!
//! ```text
//! cargo run -p lacuna-kafka --example kafka-produce -- localhost:9092 orders 127.0.0.1:9100
//! ```
//!
//! It sends a hundred messages a second until it is ended, and answers a Prometheus at the last address.
#![expect(clippy::print_stderr, reason = "an example talks to whoever runs it")]

use std::error::Error;
use std::fmt;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lacuna_kafka::{Counts, StampedThreadedProducer};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext};

type Producer = StampedThreadedProducer<DefaultProducerContext>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic, listen] = &arguments[..] else {
        return Err("usage: produce BROKERS TOPIC LISTEN".into());
    };
    let producer: Producer =
        ClientConfig::new().set("bootstrap.servers", brokers.as_str()).create()?;
    let producer = Arc::new(producer);

    let mut registry = Registry::default();
    registry.register_collector(Box::new(Stamping(Arc::clone(&producer))));
    let listener = TcpListener::bind(listen)?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Err(error) = answer(stream, &registry) {
                eprintln!("a scrape failed: {error}");
            }
        }
    });

    for number in 0_u64.. {
        let (key, payload) = ((number % 1_000).to_string(), format!("order {number}"));
        let record = BaseRecord::to(topic).key(&key).payload(&payload);
        if let Err((error, _)) = producer.send(record) {
            eprintln!("order {number} was refused: {error}");
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Asks the producer whenever the registry is asked.
#[derive(Debug)]
struct Stamping(Arc<Producer>);

impl Collector for Stamping {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counts: Counts = self.0.counts();
        let stamped = "Messages that went out with a stamp";
        ConstCounter::new(counts.stamped).encode(encoder.encode_descriptor(
            "lacuna_stamped_messages",
            stamped,
            None,
            MetricType::Counter,
        )?)?;
        let unstamped = "Messages that went out without, and why";
        let mut family = encoder.encode_descriptor(
            "lacuna_unstamped_messages",
            unstamped,
            None,
            MetricType::Counter,
        )?;
        for (reason, count) in [
            ("switched_off", counts.switched_off),
            ("too_large", counts.too_large),
            ("unstampable", counts.unstampable),
            ("too_many_lanes", counts.too_many_lanes),
        ] {
            ConstCounter::new(count).encode(family.encode_family(&[("reason", reason)])?)?;
        }
        Ok(())
    }
}

/// One scrape: whatever is asked, the answer is the metrics.
fn answer(mut stream: TcpStream, registry: &Registry) -> Result<(), Box<dyn Error>> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let _: usize = stream.read(&mut [0; 4096])?;
    let mut text = String::new();
    encode(&mut text, registry)?;
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    )?;
    Ok(())
}
