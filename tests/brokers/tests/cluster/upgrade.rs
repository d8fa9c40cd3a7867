//! Brokers that are restarted one after the other, as for an upgrade.

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::Sidecar;
use lacuna_brokers::truth::Truth;
use lacuna_brokers::verify;

#[test]
fn a_rolling_restart_under_load_makes_no_finding() {
    let kafka = Kafka::take();
    let topic = "upgrade";
    kafka.create_with(topic, &["--partitions", "6"], &["min.insync.replicas=2"]);
    kafka.wait_in_sync(topic, &[1, 2, 3]);
    let sidecar = Sidecar::start(&kafka, topic);
    let mut producers = ["orders", "returns"].map(|name| {
        Producer::start(&kafka, topic, name, 0, &["prefetch=yes", "set.enable.idempotence=true"])
    });
    for producer in &mut producers {
        producer.load(1_000);
        producer.goes_on(1_000);
    }
    for node in 1..=3 {
        kafka.node(node).stop();
        for producer in &mut producers {
            producer.goes_on(2_000);
        }
        kafka.node(node).start();
        kafka.wait_in_sync(topic, &[1, 2, 3]);
    }
    for producer in &mut producers {
        producer.goes_on(1_000);
        producer.stop();
        producer.wait();
    }

    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&producers.each_ref().map(Producer::file));
    assert!(truth.duplicates().is_empty(), "an idempotent producer stores nothing twice");
    // Equal counts: no loss, no repeat, no cut, and all of it seen.
    verify::found_is_true(&sidecar, topic, &truth);
    sidecar.stop(0);
}
