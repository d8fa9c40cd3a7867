//! What stamping costs on RabbitMQ: a stamped publish against one with a constant header of the same
//! size.
//!
//! ```text
//! LACUNA_BENCH_RABBITMQ=amqp://guest:guest@127.0.0.1:5672/%2f cargo bench -p lacuna-rabbitmq --bench publish
//! ```
//!
//! It needs a real RabbitMQ, on which it makes an exchange and a queue of its own that keeps the last
//! thousand messages, and deletes them again. Both sides wait for confirms, in windows of 500; the
//! rounds alternate. Figures are medians of the rounds' ratios, of this process's CPU time.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

mod broker;

use std::env;
use std::hint::black_box;
use std::process;

use broker::{KEY, WINDOW, begin, cpu, end, median};
use lacuna_core::stamp::{HEADER, Stamp, origin};
use lacuna_rabbitmq::{Options, Stamper};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection};

const NAME: &str = "lacuna-bench-publish";
const ROUNDS: usize = 5;
/// Message sizes in bytes, and how many messages of each.
const SIZES: [(usize, u64); 2] = [(100, 100_000), (1_024, 50_000)];

#[tokio::main]
async fn main() {
    let Ok(url) = env::var("LACUNA_BENCH_RABBITMQ") else {
        println!("skipped: LACUNA_BENCH_RABBITMQ names no broker");
        return;
    };
    let (connection, channel) = begin(&url, NAME).await;
    for (size, messages) in SIZES {
        let payload = vec![b'x'; size];
        let (mut ratios, mut stamped, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let one = constant(&connection, &payload, messages).await;
            let other = with_stamp(&connection, &payload, messages).await;
            // The first round warms up.
            if round > 0 {
                ratios.push(other / one);
                plain.push(one);
                stamped.push(other);
            }
        }
        println!(
            "{size:>5} B: stamped / constant header: process CPU {:.2} ({:.0} ns / {:.0} ns a message)",
            median(&mut ratios),
            median(&mut stamped),
            median(&mut plain)
        );
    }
    end(&channel, NAME).await;
}

async fn with_stamp(connection: &Connection, payload: &[u8], messages: u64) -> f64 {
    let stamper = Stamper::new(Options::default().ledger(None).sidecar(None));
    let channel = stamper.channel(connection.create_channel().await.unwrap());
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let begun = cpu(process::id());
    for _ in 0..messages / WINDOW {
        let mut confirms = Vec::new();
        for _ in 0..WINDOW {
            let (options, properties) =
                (BasicPublishOptions::default(), BasicProperties::default());
            let publish =
                channel.basic_publish(NAME.into(), KEY.into(), options, payload, properties);
            confirms.push(publish.await.unwrap());
        }
        for confirm in confirms {
            assert!(confirm.await.unwrap().is_ack());
        }
    }
    let cost = cpu(process::id()) - begun;
    assert_eq!(stamper.counts().stamped, messages);
    each(cost, messages)
}

async fn constant(connection: &Connection, payload: &[u8], messages: u64) -> f64 {
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let origin = origin(&format!("{NAME}/{KEY}"));
    let stamp =
        Stamp { producer: "bench@host", epoch: 0x19a_b0c0_ffee, origin, lane: "0", seq: 4_711 };
    let value = stamp.to_string();
    let begun = cpu(process::id());
    for _ in 0..messages / WINDOW {
        let mut confirms = Vec::new();
        for _ in 0..WINDOW {
            let mut headers = FieldTable::default();
            let value = AMQPValue::LongString(black_box(&value).as_bytes().to_vec().into());
            headers.insert(HEADER.into(), value);
            let properties = BasicProperties::default().with_headers(headers);
            let options = BasicPublishOptions::default();
            let publish =
                channel.basic_publish(NAME.into(), KEY.into(), options, payload, properties);
            confirms.push(publish.await.unwrap());
        }
        for confirm in confirms {
            assert!(confirm.await.unwrap().is_ack());
        }
    }
    each(cpu(process::id()) - begun, messages)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn each(cost: f64, messages: u64) -> f64 {
    cost / messages as f64
}
