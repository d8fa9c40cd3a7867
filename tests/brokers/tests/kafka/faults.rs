//! Messages that are lost or stored twice between stamp and broker.

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::ledger;
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::Sidecar;
use lacuna_brokers::truth::Truth;
use lacuna_brokers::{relay, verify};

/// Lanes of single partitions, as each producer knows them from the start.
const KNOWN: &[&str] = &["prefetch=yes"];
/// Lanes over the whole topic: no message has a key, and the stamper leaves the choice to the client,
/// which draws a partition for each message: were it to stay with one for a while, a fast run could
/// leave a partition without the messages that its faults are about.
const SPANS: &[&str] =
    &["prefetch=yes", "shape=free", "choose=no", "set.sticky.partitioning.linger.ms=0"];

/// Two producers of this kind behind a relay with these faults; what the running sidecar finds must
/// be what is true. Gives the truth, for what it must hold to be worth the test.
fn through_a_relay(kafka: &Kafka, topic: &str, faults: &[&str], kind: &[&str]) -> Truth {
    kafka.create(topic, 3);
    let sidecar = Sidecar::start(kafka, topic);
    let (relay, brokers) = relay::start(kafka, topic, &[&["partitions=3"], faults].concat());

    // The first one alone: the heads of its lanes come first.
    let kind = [&[brokers.as_str()], kind].concat();
    let mut first =
        Producer::start(kafka, topic, "first", 0, &[kind.as_slice(), &["threads=2"]].concat());
    first.send(600);
    first.wait();
    let mut second = Producer::start(kafka, topic, "second", 0, &kind);
    first.send(6_000);
    second.send(6_000);
    first.wait();
    second.wait();
    // What the relay still holds is on its way to the real log when the producers are done.
    relay.finish();

    let truth = Truth::of(kafka, topic);
    truth.lacks_only_what_was_acknowledged(&[first.file(), second.file()]);
    verify::found_is_true(&sidecar, topic, &truth);
    sidecar.stop(1);
    truth
}

/// The same with lanes of single partitions, and an audit finds it too.
fn found_and_audited(topic: &str, faults: &[&str]) -> Truth {
    let kafka = Kafka::take();
    let truth = through_a_relay(&kafka, topic, faults, KNOWN);
    verify::audit_is_true(&kafka, topic, &truth);
    truth
}

#[test]
fn swallowed_at_the_head_and_in_the_middle() {
    let truth = found_and_audited(
        "swallowed",
        &["swallow=0:0-4,1:0-0,1:300-349,2:20-20,2:22-22,2:900-1899"],
    );
    let gaps = truth.gaps();
    assert!(gaps.iter().any(|gap| gap.lane.partition == "0" && gap.first == 0 && gap.last == 4));
    assert!(gaps.iter().any(|gap| gap.lane.partition == "1" && gap.first == 0 && gap.last == 0));
    assert!(gaps.iter().any(|gap| gap.first == 20) && gaps.iter().any(|gap| gap.first == 22));
    assert_eq!(truth.duplicates(), [].into());
}

#[test]
fn stored_twice() {
    let truth = found_and_audited("stored-twice", &["repeat=0:0-0,1:250-299,2:1000-1499"]);
    assert_eq!(truth.duplicates().len(), 1 + 50 + 500);
    assert_eq!(truth.gaps(), [].into());
}

#[test]
fn swallowed_and_stored_twice() {
    let truth = found_and_audited(
        "swallowed-and-twice",
        &["swallow=0:0-0,0:100-109,1:500-699", "repeat=0:1-1,0:95-99,0:110-114,1:700-799"],
    );
    assert_eq!(truth.duplicates().len(), 1 + 5 + 5 + 100);
    assert!(truth.gaps().len() >= 3);
}

/// Not audited: that asks for every end once, and so may leave a gap of lane `*` open.
#[test]
fn swallowed_and_stored_twice_in_lanes_over_the_whole_topic() {
    let kafka = Kafka::take();
    let faults = [
        "swallow=0:0-2,1:0-0,1:300-349,2:20-20,2:100-299",
        "repeat=0:3-3,0:250-299,1:350-354,2:300-349",
    ];
    let truth = through_a_relay(&kafka, "spans", &faults, SPANS);
    assert!(truth.lanes().all(|lane| lane.partition == "*"), "the stamper chose a partition");
    assert_eq!(truth.lanes().count(), 2);
    let lost = ledger::count(&truth.gaps());
    assert_eq!(lost, 3 + 1 + 50 + 1 + 200);
    assert_eq!(truth.duplicates().len(), 1 + 50 + 5 + 50);
}
