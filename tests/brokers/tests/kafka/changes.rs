//! What changes while it runs: producers come again, topics grow and appear, checking and stamping
//! are switched.

use std::fs;
use std::path::PathBuf;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::process::Signal;
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::{Sidecar, counts};
use lacuna_brokers::truth::Truth;
use lacuna_brokers::verify;
use serde_json::json;

#[test]
fn restart_growth_and_a_second_topic() {
    let kafka = Kafka::take();
    let (topic, other) = ("changes-orders", "changes-returns");
    kafka.create(topic, 3);
    let sidecar = Sidecar::start(&kafka, "^changes-.*");
    // Clients hear of new partitions soon.
    let soon = "set.topic.metadata.refresh.interval.ms=500";
    let mut steady = Producer::start(&kafka, topic, "steady", 0, &[soon]);
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &[soon]);
    steady.load(2_000);
    steady.goes_on(1_000);
    orders.send(2_000);
    orders.wait();
    let first_run = orders.file();
    orders.finish();

    kafka.grow(topic, 6);
    kafka.create(other, 3);
    let mut orders = Producer::start(&kafka, topic, "orders", 1, &[soon]);
    let mut returns = Producer::start(&kafka, other, "orders", 2, &[soon]);
    orders.send(2_000);
    returns.send(2_000);
    orders.wait();
    returns.wait();
    steady.goes_on(4_000);
    steady.stop();
    steady.wait();

    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[steady.file(), first_run, orders.file()]);
    let epochs = truth.lanes().filter(|lane| lane.producer == "orders" && lane.partition == "0");
    assert_eq!(epochs.count(), 2, "each run of a producer has lanes of its own");
    assert!(
        truth.lanes().any(|lane| lane.producer == "steady" && lane.partition == "5"),
        "the load reached the new partitions"
    );
    verify::found_is_true(&sidecar, topic, &truth);
    let truth = Truth::of(&kafka, other);
    truth.holds_all_of(&[returns.file()]);
    verify::found_is_true(&sidecar, other, &truth);
    sidecar.stop(0);
}

#[test]
fn a_topic_that_is_named_on_sighup_is_read_from_its_beginning() {
    let kafka = Kafka::take();
    let (first, second) = ("reload-first", "reload-second");
    let mut producers = [first, second].map(|topic| {
        kafka.create(topic, 3);
        let mut producer = Producer::start(&kafka, topic, "orders", 0, &[]);
        producer.send(500);
        producer.wait();
        producer
    });
    let config = kafka.directory("reload").join("lacuna.toml");
    let name = |topics: &str| {
        let text = format!(
            "[source.main]\nbrokers = \"{}\"\nfrom = \"beginning\"\nledger = \"off\"\ntopics = {topics}\n",
            kafka.brokers()
        );
        fs::write(&config, text).expect("the run's directory can be written");
    };
    name(r#"["reload-first"]"#);
    let address = kafka.port(60);
    let arguments = ["--config", config.to_str().expect("text"), "--listen", &address.to_string()];
    let log = kafka.directory("sidecar").join("reload");
    let sidecar = Sidecar::launch(&arguments, &[], address, log, PathBuf::new());
    sidecar.ready();
    let [of_first, of_second] = [first, second].map(|topic| Truth::of(&kafka, topic));
    verify::found_is_true(&sidecar, first, &of_first);
    assert_eq!(sidecar.report("log", second)["streams"], json!([]));

    name(r#"["reload-first", "reload-second"]"#);
    sidecar.signal(Signal::Hangup);
    verify::found_is_true(&sidecar, second, &of_second);
    // The other one goes on as it was.
    producers[0].send(500);
    producers[0].wait();
    verify::found_is_true(&sidecar, first, &Truth::of(&kafka, first));
    sidecar.stop(0);
}

#[test]
fn stamping_off_and_on_under_load() {
    let kafka = Kafka::take();
    let topic = "stamping-switched";
    let (sidecar, truth) =
        switched_under_load(&kafka, topic, |_, orders, stamps| orders.switch(stamps));
    assert!(truth.unstamped() > 0, "it was off under load");
    verify::found_is_true(&sidecar, topic, &truth);
    sidecar.stop(0);
}

#[test]
fn checking_off_and_on_under_load() {
    let kafka = Kafka::take();
    let topic = "checking-switched";
    let (sidecar, truth) = switched_under_load(&kafka, topic, |sidecar, _, checks| {
        sidecar.send("PUT", "/v1/checking", &format!(r#"{{"enabled":{checks}}}"#));
    });
    let row = sidecar.judged(topic, truth.ends());
    let found = counts(&row);
    let count = |name: &str| found.get(name).copied().unwrap_or(0);
    assert!(count("unknown.paused") > 0, "it was off under load: {found:?}");
    assert_eq!(count("seen") + count("unknown.paused"), truth.distinct(), "{found:?}");
    let findings = ["lost.", "duplicates.", "missing", "recovered", "open_gaps"];
    let is_finding = |name: &String| findings.iter().any(|prefix| name.starts_with(prefix));
    assert!(!found.keys().any(is_finding), "{found:?}");
    verify::adds_up(&row);
    // What passed while it was off is unknown.
    sidecar.stop(3);
}

/// A load that goes on while something is off and on, twice.
fn switched_under_load(
    kafka: &Kafka,
    topic: &str,
    switch: impl Fn(&Sidecar, &mut Producer, bool),
) -> (Sidecar, Truth) {
    kafka.create(topic, 3);
    let sidecar = Sidecar::start(kafka, topic);
    let mut orders = Producer::start(kafka, topic, "orders", 0, &[]);
    orders.load(4_000);
    for on in [false, true, false, true] {
        orders.goes_on(1_000);
        switch(&sidecar, &mut orders, on);
    }
    orders.goes_on(1_000);
    orders.stop();
    orders.wait();
    let truth = Truth::of(kafka, topic);
    truth.holds_all_of(&[orders.file()]);
    (sidecar, truth)
}
