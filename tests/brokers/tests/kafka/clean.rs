//! Nothing goes wrong, so nothing may be found.

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::Sidecar;
use lacuna_brokers::truth::Truth;
use lacuna_brokers::verify;

#[test]
fn a_million_messages_without_a_false_finding() {
    let kafka = Kafka::take();
    let topic = "million";
    kafka.create(topic, 3);
    let sidecar = Sidecar::start(&kafka, topic);
    // What a slow machine makes them send again is stored once.
    let more = ["set.enable.idempotence=true"];
    let mut producers: Vec<_> = (0..4)
        .map(|number| Producer::start(&kafka, topic, &format!("orders-{number}"), 0, &more))
        .collect();
    for producer in &mut producers {
        producer.send(250_000);
    }
    for producer in &mut producers {
        producer.wait();
    }

    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&Vec::from_iter(producers.iter().map(Producer::file)));
    assert_eq!(truth.distinct(), 1_000_000);
    assert_eq!(truth.duplicates(), [].into());
    verify::found_is_true(&sidecar, topic, &truth);
    verify::audit_is_true(&kafka, topic, &truth);
    sidecar.stop(0);
}

#[test]
fn committed_transactions_are_no_finding() {
    let kafka = Kafka::take();
    let topic = "transactions";
    kafka.create(topic, 3);
    let sidecar = Sidecar::start(&kafka, topic);
    let transactional = ["set.transactional.id=billing", "threads=2"];
    let mut billing = Producer::start(&kafka, topic, "billing", 0, &transactional);
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &[]);
    orders.send_at(4_000, 2_000);
    for _ in 0..5 {
        billing.transact(400);
    }
    orders.wait();

    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[billing.file(), orders.file()]);
    assert_eq!(truth.distinct(), 6_000);
    let markers =
        |partition| kafka.batches(topic, partition).iter().filter(|batch| batch.control).count();
    assert!((0..3).map(markers).sum::<usize>() >= 5, "the log has the transactions' markers");
    verify::found_is_true(&sidecar, topic, &truth);
    sidecar.stop(0);
}
