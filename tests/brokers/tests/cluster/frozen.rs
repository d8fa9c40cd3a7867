//! A broker that freezes for longer than its clients wait.

use std::time::Duration;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::ledger::{self, answers, never_stored};
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::{Sidecar, counts};
use lacuna_brokers::truth::{Truth, nonzero};
use lacuna_brokers::{verify, wait};

/// They give a request up after a second, and send it again.
const IMPATIENT: [&str; 5] = [
    "set.request.timeout.ms=1000",
    "set.socket.timeout.ms=1000",
    "set.retry.backoff.ms=100",
    "set.linger.ms=100",
    "threads=1",
];

#[test]
fn what_was_sent_again_to_a_frozen_broker_is_there_twice() {
    let kafka = Kafka::take();
    let topics = ["frozen-plain", "frozen-exact", "frozen-failed"];
    for topic in topics {
        kafka.create_with(topic, &["--replica-assignment", "1,1,1"], &["min.insync.replicas=1"]);
    }
    let sidecar = Sidecar::start(&kafka, "^frozen-.*");
    let fates = ["set.enable.idempotence=false", "set.enable.idempotence=true", ""];
    let mut producers = [0, 1, 2].map(|number: usize| {
        let mut more = vec!["prefetch=yes"];
        if number == 2 {
            // It asks once, and gives the message up before it is answered.
            more.extend(["set.message.timeout.ms=2000", "set.linger.ms=100", "threads=1"]);
        } else {
            more.extend(IMPATIENT);
            more.push(fates[number]);
        }
        Producer::start(&kafka, topics[number], "orders", 0, &more)
    });
    for producer in &mut producers {
        producer.send(24);
        producer.wait();
    }
    // Both requests wait in the broker's sockets: it stores what it reads of them.
    kafka.node(1).freeze();
    for producer in &mut producers {
        producer.send(24);
    }
    wait::throughout(Duration::from_secs(3), || ());
    kafka.node(1).thaw();
    for producer in &mut producers {
        producer.wait();
        producer.send(24);
        producer.wait();
    }

    let [plain, exact, failed] = topics.map(|topic| Truth::of(&kafka, topic));
    plain.holds_all_of(&[producers[0].file()]);
    assert!(!plain.duplicates().is_empty(), "the broker stored both requests");
    verify::found_is_true(&sidecar, topics[0], &plain);

    exact.holds_all_of(&[producers[1].file()]);
    assert!(exact.duplicates().is_empty(), "an idempotent producer stores nothing twice");
    verify::found_is_true(&sidecar, topics[1], &exact);

    // Given up by the producer; what it had sent is in the log all the same.
    let answers = answers(&[producers[2].file()]);
    let given_up: u64 = answers.values().map(|said| said.unanswered.len() as u64).sum();
    let gone = never_stored(&answers, &failed);
    assert!(given_up == 24 && ledger::count(&gone) < 24, "{gone:?} of {given_up}");
    sidecar.send("POST", "/v1/ledger", &ledger::ledger(topics[2], &answers));
    let wanted = nonzero([
        ("observed.valid", failed.distinct()),
        ("seen", failed.distinct()),
        ("lost.produce", ledger::count(&gone)),
        ("open_gaps", gone.len() as u64),
        ("lanes", 3),
        ("producers", 1),
    ]);
    assert_eq!(counts(&sidecar.judged(topics[2], failed.ends())), wanted);
    let rows = sidecar.rows("/v1/gaps", &format!("view=log&stream={}", topics[2]));
    assert_eq!(verify::gaps(&rows), gone);
    sidecar.stop(1);
}
