//! Queues that drop what they have taken, and queues that refuse.

use std::collections::BTreeMap;

use lacuna_brokers::rabbitmq::broker::{RabbitMq, text};
use lacuna_brokers::rabbitmq::consumer::Consumer;
use lacuna_brokers::rabbitmq::producer::Producer;
use lacuna_brokers::rabbitmq::truth::range;
use lacuna_brokers::rabbitmq::{sidecar, truth};
use lacuna_brokers::truth::nonzero;
use lacuna_brokers::wait;
use lapin::ExchangeKind;
use lapin::types::AMQPValue;

#[test]
fn dropped_from_the_head_of_a_full_queue() {
    const DROPPED: &str = "rabbitmq_global_messages_dead_lettered_maxlen_total";
    let rabbitmq = RabbitMq::take();
    let queue = "ring";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    let bound = [("x-max-length", AMQPValue::LongInt(100)), ("x-overflow", text("drop-head"))];
    rabbitmq.queue(queue, &bound, &[(queue, "k")]);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "")]);
    // Ten are in its hands and not in the queue, which then holds the last hundred.
    let hold = ["prefetch=10", "answer=never"];
    let mut holder = Consumer::start(&rabbitmq, &sidecar, queue, "holder", "ring/k", &hold);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "ring/k", &[]);
    let before = rabbitmq.counter(DROPPED);
    shop.send(10);
    shop.wait();
    Consumer::all_handed(&mut [&mut holder], 10);
    shop.send(990);
    shop.wait();
    assert_eq!(rabbitmq.counter(DROPPED) - before, 890, "dropped, as the broker counts");
    holder.finish();
    wait::until("the ten are back in the queue", || match rabbitmq.ready(queue) {
        100 => Ok(()),
        other => Err(other.to_string()),
    });
    let mut member = Consumer::start(&rabbitmq, &sidecar, queue, "member", "ring/k", &[]);
    Consumer::all_handed(&mut [&mut member], 100);
    let handed = truth::handed(&[member.file()]);
    let (lane, numbers) = handed.first_key_value().expect("a lane");
    assert_eq!(
        truth::ranges(lane, numbers.keys().copied()),
        [range("ring/k", "shop", 900, 999)].into()
    );
    member.finish();
    shop.finish();

    assert_eq!(
        truth::judged(&sidecar, "log", 1_000),
        nonzero([("observed.valid", 1_000), ("seen", 1_000), ("lanes", 1), ("producers", 1)])
    );
    let found = truth::judged(&sidecar, queue, 1_000);
    assert_eq!((found["seen"], found["lost.consume"]), (110, 890), "{found:?}");
    let lost = [("lost.consume".to_owned(), [range("ring/k", "shop", 10, 899)].into())];
    assert_eq!(truth::findings(&sidecar, queue), lost.into());
    sidecar.stop(1);
}

#[test]
fn refused_by_a_full_queue() {
    let rabbitmq = RabbitMq::take();
    let queue = "full";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    let bound = [("x-max-length", AMQPValue::LongInt(10)), ("x-overflow", text("reject-publish"))];
    rabbitmq.queue(queue, &bound, &[(queue, "k")]);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "")]);
    let none = ["answer=never", "hold=0", "prefetch=1"];
    let holder = Consumer::start(&rabbitmq, &sidecar, queue, "holder", "full/k", &none);
    holder.finish();
    let one = ["one_queue=yes"];
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "full/k", &one);
    for _ in 0..30 {
        // One at a time: the queue counts what it has confirmed.
        shop.send(1);
        shop.wait();
    }
    let published = truth::published(&[shop.file()]);
    let (lane, answers) = published.first_key_value().expect("a lane");
    let nacked =
        answers.iter().filter(|(_, answer)| *answer == "nacked").map(|(number, _)| *number);
    let nacked: Vec<_> = nacked.collect();
    assert_eq!(u64::from(rabbitmq.ready(queue)), 30 - nacked.len() as u64, "in the queue");
    assert!(nacked.len() >= 19, "{answers:?}");
    let mut member = Consumer::start(&rabbitmq, &sidecar, queue, "member", "full/k", &[]);
    Consumer::all_handed(&mut [&mut member], 30 - nacked.len() as u64);
    member.finish();
    shop.finish();

    // The tap's queue took them all, and the business queue's refusal is in the ledger.
    let found = truth::judged(&sidecar, queue, 30);
    assert_eq!(found["refused"], nacked.len() as u64, "{found:?}");
    let refused = [("refused".to_owned(), truth::ranges(lane, nacked))];
    assert_eq!(truth::findings(&sidecar, queue), refused.into());
    assert_eq!(truth::findings(&sidecar, "log"), BTreeMap::new());
    sidecar.stop(0);
}

#[test]
fn expired_before_they_were_consumed() {
    let rabbitmq = RabbitMq::take();
    let queue = "stale";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    let dead =
        [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("stale-dead"))];
    rabbitmq.queue("stale-dead", &[], &[]);
    rabbitmq.queue(queue, &dead, &[(queue, "k")]);
    // A stream knows no expiration, whatever the load.
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "tap = \"stream\"")]);
    let hold = ["prefetch=1", "answer=never"];
    let mut holder = Consumer::start(&rabbitmq, &sidecar, queue, "holder", "stale/k", &hold);
    let soon = ["expiration=100"];
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "stale/k", &soon);
    shop.send(1);
    shop.wait();
    Consumer::all_handed(&mut [&mut holder], 1);
    shop.send(99);
    shop.wait();
    wait::until("ninety-nine are dead", || match rabbitmq.ready("stale-dead") {
        99 => Ok(()),
        other => Err(other.to_string()),
    });
    holder.finish();
    wait::until("the one that was held is dead too", || match rabbitmq.ready("stale-dead") {
        100 => Ok(()),
        other => Err(other.to_string()),
    });
    shop.finish();

    let found = truth::judged(&sidecar, queue, 100);
    assert_eq!((found["seen"], found["lost.consume"]), (1, 99), "{found:?}");
    let lost = [("lost.consume".to_owned(), [range("stale/k", "shop", 1, 99)].into())];
    assert_eq!(truth::findings(&sidecar, queue), lost.into());
    assert_eq!(truth::findings(&sidecar, "log"), BTreeMap::new());
    sidecar.stop(1);
}
