//! A consuming application that writes down the body of each message that it was handed, a line a
//! message, before it answers.
//!
//! `answer=ack` (by default), `requeue-once` (nack of every message that is not redelivered, with
//! requeue), `reject`, `reject-once` (of every message that was not dead-lettered yet), `never`,
//! `auto`; with `hold=COUNT` it takes so many messages and then no more. Told `count`, it says how
//! many messages it was handed. It tells a sidecar of them by the way that the environment names.
#![expect(clippy::panic, reason = "a test program fails by panicking")]

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use futures_util::StreamExt;
use lacuna_brokers::arguments::Arguments;
use lacuna_brokers::process::say;
use lacuna_rabbitmq::{CheckOptions, Members};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};
use tokio::sync::oneshot;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::of_this_process();
    let handed = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&handed);
    let (finish, mut finished) = oneshot::channel::<()>();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            assert_eq!(line, "count", "not understood");
            say(&format!("handed {}", counted.load(Ordering::Relaxed)));
        }
        drop(finish);
    });
    let mut out = File::create(arguments.text("out")).expect("the file can be written");
    let queue = arguments.text("queue");
    let members = Members::of(queue, CheckOptions::default());
    let streams = arguments.text("streams").split(',');
    let members = streams.fold(members, Members::stream);
    let connection = Connection::connect(arguments.text("url"), ConnectionProperties::default());
    let connection = connection.await.expect("the broker serves");
    let channel = connection.create_channel().await.expect("a channel");
    let prefetch =
        arguments.optional("prefetch").map_or(50, |text| text.parse().expect("a number"));
    channel.basic_qos(prefetch, BasicQosOptions::default()).await.expect("a prefetch");
    let answer = arguments.optional("answer").unwrap_or("ack");
    let options =
        BasicConsumeOptions { no_ack: answer == "auto", ..BasicConsumeOptions::default() };
    let mut table = FieldTable::default();
    if arguments.optional("stream").is_some() {
        table.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
    }
    let consumer = channel.basic_consume(queue.into(), "".into(), options, table).await;
    let mut consumer = members.consumer(consumer.expect("a consumer"));
    say("ready");
    let hold = arguments.optional("hold").map_or(u64::MAX, |text| text.parse().expect("a number"));
    loop {
        let holds = handed.load(Ordering::Relaxed) >= hold;
        let delivery = tokio::select! {
            delivery = consumer.next(), if !holds => delivery,
            _ = &mut finished => break,
        };
        let delivery = delivery.expect("the consumer goes on").expect("a delivery");
        writeln!(out, "{}", String::from_utf8_lossy(&delivery.data)).expect("the file is written");
        let answered = match answer {
            "ack" => delivery.ack(BasicAckOptions::default()).await,
            "requeue-once" if delivery.redelivered => {
                delivery.ack(BasicAckOptions::default()).await
            }
            "requeue-once" => {
                let again = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
                delivery.nack(again).await
            }
            "reject-once" if dead_lettered(&delivery) => {
                delivery.ack(BasicAckOptions::default()).await
            }
            "reject" | "reject-once" => {
                delivery.reject(BasicRejectOptions { requeue: false }).await
            }
            "auto" | "never" => Ok(true),
            _ => panic!("answer={answer}: not understood"),
        };
        answered.expect("the channel lives");
        handed.fetch_add(1, Ordering::Relaxed);
    }
    drop(consumer);
    drop(connection.close(200, "".into()).await);
    // Its end waits for what is left to be told.
    drop(members);
}

fn dead_lettered(delivery: &Delivery) -> bool {
    delivery.properties.headers().as_ref().is_some_and(|headers| headers.contains_key("x-death"))
}
