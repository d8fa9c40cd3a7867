//! The application's process goes on as though nothing were amiss, whatever is amiss with its sidecar
//! or its ledger's queue; and each is counted.

use std::collections::BTreeMap;

use lacuna_brokers::rabbitmq::broker::RabbitMq;
use lacuna_brokers::rabbitmq::producer::Producer;
use lacuna_brokers::rabbitmq::truth::range;
use lacuna_brokers::rabbitmq::{sidecar, truth};
use lacuna_brokers::stub::{Manner, Stub};
use lacuna_brokers::wait;
use lapin::ExchangeKind;

/// Waits until so many more of its records have not arrived; none has.
fn fails(shop: &mut Producer, more: u64) {
    let (_, before) = shop.reported();
    wait::until("the failures are counted", || match shop.reported() {
        (0, failed) if failed >= before + more => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// The ledger goes through the broker and to something that is no sidecar.
fn beside(queue: &str, manner: Manner) {
    let rabbitmq = RabbitMq::take();
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let bindings = format!("bindings = [\"{queue}/k\"]");
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, &bindings)]);
    let stub = Stub::start(manner);
    let address = format!("sidecar={}", stub.address());
    let target = format!("{queue}/k");
    let ways = [address.as_str(), "ledger=yes"];
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", &target, &ways);
    shop.send(100);
    shop.wait();
    truth::seen(&sidecar, "log", 100);
    if manner != Manner::Dead {
        stub.is_asked();
    }
    // From now on nothing is routed to anybody, and all of it is confirmed.
    rabbitmq.unbind(queue, queue, "k");
    rabbitmq.unbind(&format!("lacuna.tap.{queue}"), queue, "k");
    shop.send(50);
    // One that is silent has not answered yet, and nobody waits for it.
    shop.wait();
    // One report may have been under way before; the next one tells of them.
    fails(&mut shop, 2);
    shop.finish();

    let found = truth::judged(&sidecar, "log", 150);
    assert_eq!((found["seen"], found["lost.store"]), (100, 50), "{found:?}");
    let lost = [("lost.store".to_owned(), [range(&target, "shop", 100, 149)].into())];
    assert_eq!(truth::findings(&sidecar, "log"), lost.into());
    sidecar.stop(1);
}

#[test]
fn a_sidecar_that_is_dead() {
    beside("beside-dead", Manner::Dead);
}

#[test]
fn a_sidecar_that_takes_requests_and_never_answers() {
    beside("beside-silent", Manner::Silent);
}

#[test]
fn a_sidecar_that_answers_rubbish() {
    beside("beside-garbled", Manner::Garbled);
}

#[test]
fn a_sidecar_that_refuses() {
    beside("beside-refusing", Manner::Refusing);
}

/// The ledger has no way but a queue that it does not reach: the end of the lane is not judged.
fn without_ledger(rabbitmq: &RabbitMq, queue: &str, ways: &[&str]) {
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let sidecar = sidecar::start(rabbitmq, queue, &[(queue, "")]);
    let target = format!("{queue}/k");
    let ways = [&["sidecar=off"], ways].concat();
    let mut shop = Producer::start(rabbitmq, &sidecar, queue, "shop", &target, &ways);
    shop.send(100);
    shop.wait();
    fails(&mut shop, 1);
    shop.send(100);
    shop.wait();
    let file = shop.file();
    shop.finish();
    let published = truth::published(&[file]);
    let answers: Vec<_> = published.values().flat_map(BTreeMap::values).collect();
    assert_eq!(answers, ["acknowledged"; 200]);
    assert_eq!(rabbitmq.ready(queue), 200);

    let found = truth::judged(&sidecar, "log", 200);
    assert_eq!((found["seen"], found["lanes_without_ledger"]), (200, 1), "{found:?}");
    assert_eq!(truth::findings(&sidecar, "log"), BTreeMap::new());
    sidecar.stop(0);
}

#[test]
fn a_ledger_queue_that_is_missing() {
    let rabbitmq = RabbitMq::take();
    without_ledger(&rabbitmq, "no-ledger", &["ledger=nowhere"]);
}

#[test]
fn a_ledger_queue_that_is_denied() {
    let rabbitmq = RabbitMq::take();
    let queue = "denied-ledger";
    // The ledger goes through the default exchange.
    let url = format!("url={}", rabbitmq.user_that_writes_to(queue));
    without_ledger(&rabbitmq, queue, &["ledger=yes", &url]);
}
