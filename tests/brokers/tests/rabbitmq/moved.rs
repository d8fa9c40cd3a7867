//! Messages that the broker hands over again, or moves.

use std::collections::BTreeMap;

use lacuna_brokers::rabbitmq::broker::{RabbitMq, text};
use lacuna_brokers::rabbitmq::consumer::Consumer;
use lacuna_brokers::rabbitmq::producer::Producer;
use lacuna_brokers::rabbitmq::{sidecar, truth};
use lapin::ExchangeKind;
use lapin::types::AMQPValue;

const COUNT: u64 = 300;

#[test]
fn requeued_and_handed_over_again() {
    for (queue, kind) in [("again-classic", "classic"), ("again-quorum", "quorum")] {
        let rabbitmq = RabbitMq::take();
        rabbitmq.exchange(queue, ExchangeKind::Direct);
        rabbitmq.queue(queue, &[("x-queue-type", text(kind))], &[(queue, "k")]);
        let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "")]);
        let target = format!("{queue}/k");
        let answer = ["answer=requeue-once"];
        let mut member = Consumer::start(&rabbitmq, &sidecar, queue, "member", &target, &answer);
        let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", &target, &[]);
        shop.send(COUNT);
        shop.wait();
        Consumer::all_handed(&mut [&mut member], 2 * COUNT);
        let handed = truth::handed(&[member.file()]);
        assert!(handed.values().flat_map(BTreeMap::values).all(|&times| times == 2));
        member.finish();
        shop.finish();

        let found = truth::judged(&sidecar, queue, COUNT);
        assert_eq!((found["seen"], found["duplicates.redelivered"]), (COUNT, COUNT), "{found:?}");
        assert_eq!(found.get("duplicates.resent"), None, "{found:?}");
        assert_eq!(truth::findings(&sidecar, queue), BTreeMap::new());
        let log = truth::judged(&sidecar, "log", COUNT);
        assert_eq!((log["seen"], log.get("duplicates.redelivered")), (COUNT, None), "{log:?}");
        sidecar.stop(1);
    }
}

#[test]
fn rejected_to_a_dead_letter_exchange() {
    let rabbitmq = RabbitMq::take();
    let queue = "rejects";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.exchange("rejects-dlx", ExchangeKind::Fanout);
    rabbitmq.queue("rejects-dead", &[], &[("rejects-dlx", "")]);
    rabbitmq.queue(queue, &[("x-dead-letter-exchange", text("rejects-dlx"))], &[(queue, "k")]);
    // The dead letters are watched as well: their stamps are of another exchange.
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, ""), ("rejects-dead", "")]);
    let answer = ["answer=reject"];
    let mut member = Consumer::start(&rabbitmq, &sidecar, queue, "member", "rejects/k", &answer);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "rejects/k", &[]);
    shop.send(COUNT);
    shop.wait();
    Consumer::all_handed(&mut [&mut member], COUNT);
    member.finish();
    shop.finish();
    assert_eq!(u64::from(rabbitmq.ready("rejects-dead")), COUNT);

    let found = truth::judged(&sidecar, queue, COUNT);
    assert_eq!((found["seen"], found["observed.valid"]), (COUNT, COUNT), "{found:?}");
    let log = truth::judged(&sidecar, "log", COUNT);
    assert_eq!((log["seen"], log["observed.foreign"]), (COUNT, COUNT), "{log:?}");
    for view in ["log", queue] {
        assert_eq!(truth::findings(&sidecar, view), BTreeMap::new(), "{view}");
    }
    sidecar.stop(0);
}

#[test]
fn tried_again_after_a_while() {
    let rabbitmq = RabbitMq::take();
    let queue = "tries";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    let to = |exchange: &str| ("x-dead-letter-exchange", text(exchange));
    rabbitmq.exchange("tries-later", ExchangeKind::Direct);
    let later = [("x-message-ttl", AMQPValue::LongInt(200)), to(queue)];
    rabbitmq.queue("tries-later", &later, &[("tries-later", "k")]);
    rabbitmq.queue(queue, &[to("tries-later")], &[(queue, "k")]);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "")]);
    let answer = ["answer=reject-once"];
    let mut member = Consumer::start(&rabbitmq, &sidecar, queue, "member", "tries/k", &answer);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "tries/k", &[]);
    shop.send(COUNT);
    shop.wait();
    Consumer::all_handed(&mut [&mut member], 2 * COUNT);
    let handed = truth::handed(&[member.file()]);
    assert!(handed.values().flat_map(BTreeMap::values).all(|&times| times == 2));
    member.finish();
    shop.finish();

    // The broker publishes them again: no repeat of the producer's.
    truth::seen(&sidecar, "log", COUNT);
    for view in ["log", queue] {
        let found = truth::judged(&sidecar, view, COUNT);
        assert_eq!((found["seen"], found["duplicates.redelivered"]), (COUNT, COUNT), "{found:?}");
        assert_eq!(found.get("duplicates.resent"), None, "{view}: {found:?}");
        assert_eq!(truth::findings(&sidecar, view), BTreeMap::new(), "{view}");
    }
    sidecar.stop(1);
}
