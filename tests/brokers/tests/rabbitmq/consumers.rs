//! Consumers that are killed with messages in their hands.

use std::collections::BTreeMap;

use lacuna_brokers::rabbitmq::broker::RabbitMq;
use lacuna_brokers::rabbitmq::consumer::Consumer;
use lacuna_brokers::rabbitmq::producer::Producer;
use lacuna_brokers::rabbitmq::truth::range;
use lacuna_brokers::rabbitmq::{sidecar, truth};
use lacuna_brokers::wait;
use lapin::ExchangeKind;

#[test]
fn sent_to_a_consumer_that_never_processed_them() {
    let rabbitmq = RabbitMq::take();
    let queue = "auto";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "")]);
    let auto = ["answer=auto", "hold=200"];
    let mut killed = Consumer::start(&rabbitmq, &sidecar, queue, "killed", "auto/k", &auto);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "auto/k", &[]);
    shop.send(1_000);
    shop.wait();
    Consumer::all_handed(&mut [&mut killed], 200);
    wait::until("all were sent to it", || match rabbitmq.ready(queue) {
        0 => Ok(()),
        other => Err(other.to_string()),
    });
    // What it processed is known before it dies.
    truth::seen(&sidecar, queue, 200);
    let handed = truth::handed(&[killed.file()]);
    let (lane, numbers) = handed.first_key_value().expect("a lane");
    assert_eq!(
        truth::ranges(lane, numbers.keys().copied()),
        [range("auto/k", "shop", 0, 199)].into()
    );
    killed.kill();
    shop.send(10);
    shop.wait();
    let mut member = Consumer::start(&rabbitmq, &sidecar, queue, "member", "auto/k", &[]);
    Consumer::all_handed(&mut [&mut member], 10);
    member.finish();
    shop.finish();

    let found = truth::judged(&sidecar, queue, 1_010);
    assert_eq!((found["seen"], found.get("lost.consume")), (210, Some(&800)), "{found:?}");
    let lost = [("lost.consume".to_owned(), [range("auto/k", "shop", 200, 999)].into())];
    assert_eq!(truth::findings(&sidecar, queue), lost.into());
    assert_eq!(truth::findings(&sidecar, "log"), BTreeMap::new());
    sidecar.stop(1);
}

#[test]
fn processed_and_not_acknowledged() {
    let rabbitmq = RabbitMq::take();
    let queue = "manual";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "")]);
    let never = ["answer=never", "prefetch=20"];
    let mut killed = Consumer::start(&rabbitmq, &sidecar, queue, "killed", "manual/k", &never);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "manual/k", &[]);
    shop.send(1_000);
    shop.wait();
    Consumer::all_handed(&mut [&mut killed], 20);
    truth::seen(&sidecar, queue, 20);
    let first = truth::handed(&[killed.file()]);
    killed.kill();
    let mut member = Consumer::start(&rabbitmq, &sidecar, queue, "member", "manual/k", &[]);
    Consumer::all_handed(&mut [&mut member], 1_000);
    let again = truth::handed(&[member.file()]);
    assert_eq!(again.values().next().map(BTreeMap::len), Some(1_000));
    assert_eq!(first.values().next().map(BTreeMap::len), Some(20));
    member.finish();
    shop.finish();

    let found = truth::judged(&sidecar, queue, 1_000);
    assert_eq!((found["seen"], found["duplicates.redelivered"]), (1_000, 20), "{found:?}");
    assert_eq!(found.get("duplicates.resent"), None, "{found:?}");
    assert_eq!(truth::findings(&sidecar, queue), BTreeMap::new());
    sidecar.stop(1);
}
