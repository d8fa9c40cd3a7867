//! What is absent for a reason that has a name, and topics that are not what they were.

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::ledger;
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::{Sidecar, counts};
use lacuna_brokers::truth::{Truth, nonzero};
use lacuna_brokers::{verify, wait};

#[test]
fn what_was_compacted_is_absent_by_design() {
    let kafka = Kafka::take();
    let topic = "compacted";
    let properties = [
        "cleanup.policy=compact",
        "min.cleanable.dirty.ratio=0.01",
        "segment.ms=1000",
        "min.compaction.lag.ms=0",
        "max.compaction.lag.ms=1000",
    ];
    kafka.create_with(topic, &["--partitions", "3"], &properties);
    let early = Sidecar::start(&kafka, topic);
    let more = ["prefetch=yes", "threads=1", "shape=keyed"];
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &more);
    orders.send(2_000);
    orders.wait();
    let whole = Truth::of(&kafka, topic);
    whole.holds_all_of(&[orders.file()]);
    // One that read before sees all of it.
    verify::found_is_true(&early, topic, &whole);
    early.stop(0);

    // What is written last is never compacted: it makes all before it compactible.
    let truth = wait::until("the broker compacts", || {
        orders.send(20);
        orders.wait();
        let truth = Truth::of(&kafka, topic);
        let left = truth.distinct();
        if left < 1_000 { Ok(truth) } else { Err(format!("{left} messages are left")) }
    });
    let sidecar = Sidecar::start(&kafka, topic);
    let row = sidecar.judged(topic, truth.ends());
    let found = counts(&row);
    let lanes = truth.lanes().count() as u64;
    let gaps = truth.gaps();
    let absent = ledger::count(&gaps);
    assert!(absent > 1_000, "{absent} messages were compacted");
    let wanted = nonzero([
        ("observed.valid", truth.distinct()),
        ("seen", truth.distinct()),
        ("by_design.compacted", absent),
        ("lanes", lanes),
        ("lanes_without_ledger", lanes),
        ("producers", 1),
    ]);
    assert_eq!(found, wanted);
    let rows = sidecar.rows("/v1/gaps", &format!("view=log&stream={topic}&state=compacted"));
    assert_eq!(verify::gaps(&rows), gaps);
    sidecar.stop(0);
    let (report, code) = verify::audit(&kafka, topic);
    assert_eq!((counts(&report["streams"][0]), code), (wanted, Some(0)), "what an audit finds");
}

#[test]
fn a_topic_deleted_and_made_again_is_read_from_its_start() {
    let kafka = Kafka::take();
    let topic = "anew";
    kafka.create(topic, 3);
    // Its leaders' epochs are above those that a new topic begins with.
    kafka.kill();
    kafka.start();
    let sidecar = Sidecar::start(&kafka, topic);
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &["prefetch=yes"]);
    orders.send(3_000);
    orders.wait();
    let first = Truth::of(&kafka, topic);
    sidecar.judged(topic, first.ends());
    orders.finish();
    kafka.delete(topic);
    kafka.create(topic, 3);
    let mut returns = Producer::start(&kafka, topic, "returns", 0, &["prefetch=yes"]);
    returns.send(1_200);
    returns.wait();
    let second = Truth::of(&kafka, topic);
    second.holds_all_of(&[returns.file()]);

    let wanted = nonzero([
        ("observed.valid", 4_200),
        ("seen", 4_200),
        ("reordered", first.reordered() + second.reordered()),
        ("lanes", 6),
        ("lanes_without_ledger", 6),
        ("producers", 2),
    ]);
    wait::until("both topics are read", || {
        let found = counts(&sidecar.report("log", topic)["streams"][0]);
        if found == wanted { Ok(()) } else { Err(format!("{found:?}, not {wanted:?}")) }
    });
    assert_eq!(sidecar.rows("/v1/gaps", &format!("stream={topic}")).len(), 0);
    sidecar.stop(0);
}
