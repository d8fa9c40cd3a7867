//! The ledger through the broker itself: a lane's end is judged.

use lacuna_brokers::rabbitmq::broker::RabbitMq;
use lacuna_brokers::rabbitmq::producer::Producer;
use lacuna_brokers::rabbitmq::truth::range;
use lacuna_brokers::rabbitmq::{sidecar, truth};
use lapin::ExchangeKind;

#[test]
fn the_end_of_a_lane_is_lost() {
    let rabbitmq = RabbitMq::take();
    let queue = "ends";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let lines = "bindings = [\"ends/k\"]";
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, lines)]);
    let through_the_queue = ["sidecar=off", "ledger=yes"];
    let mut shop =
        Producer::start(&rabbitmq, &sidecar, queue, "shop", "ends/k", &through_the_queue);
    shop.send(100);
    shop.wait();
    truth::seen(&sidecar, "log", 100);
    // From now on nothing is routed to anybody, and all of it is confirmed.
    rabbitmq.unbind(queue, queue, "k");
    rabbitmq.unbind("lacuna.tap.ends", queue, "k");
    shop.send(50);
    shop.wait();
    shop.finish();
    assert_eq!(rabbitmq.ready(queue), 100);

    let found = truth::judged(&sidecar, "log", 150);
    assert_eq!((found["seen"], found["lost.store"]), (100, 50), "{found:?}");
    let lost = [("lost.store".to_owned(), [range("ends/k", "shop", 100, 149)].into())];
    assert_eq!(truth::findings(&sidecar, "log"), lost.into());
    sidecar.stop(1);
}
