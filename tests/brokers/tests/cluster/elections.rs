//! Elections that take acknowledged messages away, unclean ones and clean ones.

use std::collections::BTreeSet;
use std::time::Duration;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::ledger::{self, answers, vanished};
use lacuna_brokers::process::Signal;
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::{Sidecar, counts, partition_row};
use lacuna_brokers::truth::{Gap, Truth, nonzero};
use lacuna_brokers::{verify, wait};

/// Three partitions that the first two nodes hold, the first leading.
fn create(kafka: &Kafka, topic: &str, unclean: bool) {
    let unclean = format!("unclean.leader.election.enable={unclean}");
    let properties = ["min.insync.replicas=1", &unclean];
    kafka.create_with(topic, &["--replica-assignment", "1:2,1:2,1:2"], &properties);
    kafka.wait_led(topic, Some(1), &[1, 2]);
}

fn producer(kafka: &Kafka, topic: &str, acks: &str) -> Producer {
    let acks = format!("set.acks={acks}");
    let more = ["prefetch=yes", "threads=2", &acks, "set.enable.idempotence=false"];
    Producer::start(kafka, topic, "orders", 0, &more)
}

/// Sends what both replicas have before it returns.
fn send_to_both(kafka: &Kafka, topic: &str, orders: &mut Producer) {
    orders.send(600);
    orders.wait();
    wait::until("both replicas have it", || {
        let ends = kafka.ends(topic);
        if ends.values().sum::<u64>() == 600 { Ok(()) } else { Err(format!("{ends:?}")) }
    });
}

/// Holds what a sidecar found against what is true: `gone` was acknowledged and is not in the log,
/// and `read` of it was read before it went.
fn losses_are_true(sidecar: &Sidecar, topic: &str, truth: &Truth, gone: &BTreeSet<Gap>, read: u64) {
    wait::until("the log is read as it is now", || {
        let report = sidecar.report("log", topic);
        let at = |partition: &u32| {
            let row = partition_row(&report["streams"][0], &partition.to_string())?;
            row["position"].as_u64()
        };
        let now = truth.ends().iter().all(|(partition, end)| at(partition) == Some(*end));
        if now { Ok(()) } else { Err(report.to_string()) }
    });
    let row = sidecar.judged(topic, truth.ends());
    let lanes = truth.lanes().count() as u64;
    let count = ledger::count(gone);
    let rows = sidecar.rows("/v1/gaps", &format!("view=log&stream={topic}&state=lost"));
    for row in &rows {
        assert_eq!(row["stage"], "store", "{row}");
    }
    assert_eq!(verify::gaps(&rows), *gone, "what went, found, against true");
    let wanted = nonzero([
        ("observed.valid", truth.distinct() + read),
        ("seen", truth.distinct()),
        ("lost.store", count),
        ("open_gaps", gone.len() as u64),
        ("lanes", lanes),
        ("producers", 1),
        ("log_cuts", if read > 0 { 3 } else { 0 }),
    ]);
    assert_eq!(counts(&row), wanted, "the stream: found, against true");
    verify::adds_up(&row);
    assert_eq!(sidecar.rows("/v1/duplicates", &format!("view=log&stream={topic}")).len(), 0);
}

/// Says what the producer was answered; gives what went, and what was said.
fn tell(
    sidecar: &Sidecar,
    topic: &str,
    truth: &Truth,
    orders: &Producer,
) -> (BTreeSet<Gap>, String) {
    let answers = answers(&[orders.file()]);
    let gone = vanished(&answers, truth);
    assert_eq!(ledger::count(&gone), 900, "what only the dead leader had is gone");
    let said = ledger::ledger(topic, &answers);
    sidecar.send("POST", "/v1/ledger", &said);
    (gone, said)
}

#[test]
fn an_unclean_election_takes_away_what_was_read() {
    unclean("unclean", false);
}

#[test]
fn an_unclean_election_while_the_tap_stalls_takes_away_what_was_read() {
    unclean("stalled", true);
}

fn unclean(name: &str, stalled: bool) {
    let kafka = Kafka::take();
    let topics: [String; 3] = std::array::from_fn(|number| format!("{name}-{number}"));
    // Who acknowledges, and how much is written later: less than was read, more, nothing.
    let [some, more, none] = &topics;
    let topics = [(some, "1", 300), (more, "all", 1_800), (none, "1", 0)];
    for (topic, ..) in topics {
        create(&kafka, topic, true);
    }
    let sidecar = Sidecar::start(&kafka, &format!("^{name}-.*"));
    let mut producers = topics.map(|(topic, acks, _)| producer(&kafka, topic, acks));
    for ((topic, ..), orders) in topics.iter().zip(&mut producers) {
        send_to_both(&kafka, topic, orders);
    }
    kafka.node(2).kill();
    for ((topic, ..), orders) in topics.iter().zip(&mut producers) {
        kafka.wait_led(topic, Some(1), &[1]);
        orders.send(900);
        orders.wait();
        sidecar.judged(topic, Truth::of(&kafka, topic).ends());
    }
    if stalled {
        // What it sees next is a log that looks as if it had only grown.
        sidecar.signal(Signal::Stop);
    }
    kafka.node(1).kill();
    kafka.wait_led(some, None, &[]);
    kafka.node(2).start();
    for ((topic, _, later), orders) in topics.iter().zip(&mut producers) {
        kafka.wait_led(topic, Some(2), &[2]);
        orders.send(*later);
        orders.wait();
    }
    kafka.node(1).start();
    if stalled {
        sidecar.signal(Signal::Continue);
    }
    let mut all = Vec::new();
    for ((topic, ..), orders) in topics.iter().zip(&producers) {
        kafka.wait_in_sync(topic, &[1, 2]);
        let truth = Truth::of(&kafka, topic);
        let (gone, said) = tell(&sidecar, topic, &truth, orders);
        losses_are_true(&sidecar, topic, &truth, &gone, 900);
        all.push((topic, truth, gone, said));
    }
    sidecar.stop(1);
    // One that comes when all is over finds the same, and no cut.
    let sidecar = Sidecar::start(&kafka, &format!("^{name}-.*"));
    for (topic, truth, gone, said) in all {
        sidecar.send("POST", "/v1/ledger", &said);
        losses_are_true(&sidecar, topic, &truth, &gone, 0);
    }
    sidecar.stop(1);
}

#[test]
fn a_clean_election_takes_away_what_one_replica_acknowledged() {
    let kafka = Kafka::take();
    let topic = "clean";
    create(&kafka, topic, false);
    let sidecar = Sidecar::start(&kafka, topic);
    let mut orders = producer(&kafka, topic, "1");
    send_to_both(&kafka, topic, &mut orders);

    // In sync until it is missed, and elected before it is.
    kafka.node(2).freeze();
    // What it had asked for is answered by then: nothing slips through.
    wait::throughout(Duration::from_millis(600), || ());
    orders.send(900);
    orders.wait();
    kafka.node(1).kill();
    kafka.node(2).thaw();
    kafka.wait_led(topic, Some(2), &[2]);
    orders.send(300);
    orders.wait();
    kafka.node(1).start();
    kafka.wait_in_sync(topic, &[1, 2]);

    let truth = Truth::of(&kafka, topic);
    let (gone, _) = tell(&sidecar, topic, &truth, &orders);
    // Nobody could read it before the follower had it: the log was not cut, it never grew.
    losses_are_true(&sidecar, topic, &truth, &gone, 0);
    sidecar.stop(1);
}
