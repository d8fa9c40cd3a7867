//! RabbitMQ's tracer as a tap: it sees the default exchange, and what consumers are sent.

use std::collections::BTreeMap;

use lacuna_brokers::rabbitmq::broker::RabbitMq;
use lacuna_brokers::rabbitmq::consumer::Consumer;
use lacuna_brokers::rabbitmq::producer::Producer;
use lacuna_brokers::rabbitmq::{sidecar, truth};
use lacuna_brokers::wait;

#[test]
fn a_queue_of_the_default_exchange() {
    let rabbitmq = RabbitMq::take();
    let queue = "traced";
    rabbitmq.queue(queue, &[], &[]);
    rabbitmq.trace(true);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "tap = \"firehose\"")]);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "/traced", &[]);
    shop.send(500);
    shop.wait();
    truth::seen(&sidecar, "log", 500);
    // Nobody reports what this one is handed: the tracer does.
    let answer = ["answer=requeue-once", "way=none"];
    let mut member = Consumer::start(&rabbitmq, &sidecar, queue, "member", "/traced", &answer);
    Consumer::all_handed(&mut [&mut member], 1_000);
    member.finish();
    shop.finish();
    rabbitmq.trace(false);

    let log = truth::judged(&sidecar, "log", 500);
    assert_eq!((log["seen"], log.get("duplicates.redelivered")), (500, None), "{log:?}");
    let group = truth::judged(&sidecar, queue, 500);
    assert_eq!((group["seen"], group["duplicates.redelivered"]), (500, 500), "{group:?}");
    assert_eq!(truth::findings(&sidecar, "log"), BTreeMap::new());
    sidecar.stop(1);
}

#[test]
fn a_tap_says_that_it_cannot_see_the_default_exchange() {
    let rabbitmq = RabbitMq::take();
    let queue = "untapped";
    rabbitmq.queue(queue, &[], &[]);
    let (sidecar, log) = sidecar::not_ready(&rabbitmq, queue, &[(queue, "")]);
    wait::until("it says so", || {
        let said = std::fs::read_to_string(&log).expect("the log is there");
        if said.contains("default exchange alone") && said.contains("--firehose") {
            Ok(())
        } else {
            Err(said)
        }
    });
    assert_eq!(sidecar.metrics_of("lacuna_source_up"), [0.0]);
    sidecar.stop(3);
}
