//! The broker goes away, the tap stalls, retention overtakes it.

use std::collections::BTreeMap;
use std::time::Duration;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::process::Signal;
use lacuna_brokers::producer::Producer;
use lacuna_brokers::proxy::Proxy;
use lacuna_brokers::sidecar::{GRACE_S, Sidecar, counts, partition_row};
use lacuna_brokers::truth::Truth;
use lacuna_brokers::{verify, wait};

use crate::renamed::configured;

fn source_is(sidecar: &Sidecar, up: bool) {
    wait::until(&format!("the source says that it is {}", if up { "up" } else { "down" }), || {
        let metrics = sidecar.metrics_of("lacuna_source_up");
        let wanted = if up { 1.0 } else { 0.0 };
        if metrics == [wanted] { Ok(()) } else { Err(format!("{metrics:?}")) }
    });
}

#[test]
fn the_broker_is_killed_and_the_tap_stalls_under_load() {
    let kafka = Kafka::take();
    let topic = "outage";
    kafka.create(topic, 3);
    let sidecar = Sidecar::start(&kafka, topic);
    source_is(&sidecar, true);
    // One that keeps order and uniqueness over a retry, and one that may store twice.
    let exact = ["set.enable.idempotence=true"];
    let mut exact = Producer::start(&kafka, topic, "exact", 0, &exact);
    let mut plain = Producer::start(&kafka, topic, "plain", 0, &["set.enable.idempotence=false"]);
    exact.load(3_000);
    plain.load(3_000);
    exact.goes_on(3_000);

    kafka.kill();
    source_is(&sidecar, false);
    kafka.start();
    source_is(&sidecar, true);

    // A fault that lasts: no clock of the sidecar's runs, but the world's does.
    sidecar.signal(Signal::Stop);
    wait::throughout(Duration::from_secs(2 * GRACE_S), || ());
    sidecar.signal(Signal::Continue);
    for producer in [&mut exact, &mut plain] {
        producer.goes_on(6_000);
        producer.stop();
        producer.wait();
    }

    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[exact.file(), plain.file()]);
    verify::found_is_true(&sidecar, topic, &truth);
    // The producer without idempotence may have stored messages twice: then that is found.
    sidecar.stop(i32::from(!truth.duplicates().is_empty()));
}

#[test]
fn retention_overtakes_the_tap() {
    let kafka = Kafka::take();
    let topic = "retention";
    kafka.create(topic, 3);
    let (from, to) = kafka.proxied();
    let proxy = Proxy::start(from, to);
    let sidecar = Sidecar::through(&kafka, &from.to_string(), topic);
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &["prefetch=yes"]);
    orders.send(3_000);
    orders.wait();
    sidecar.judged(topic, Truth::of(&kafka, topic).ends());

    // While only the tap is cut off, more is stored, and the beginning of that deleted.
    proxy.cut();
    let read = kafka.ends(topic);
    orders.send(3_000);
    orders.wait();
    let whole = kafka.ends(topic);
    let mut truth = Truth::of(&kafka, topic);
    let mut gone = BTreeMap::new();
    for (&partition, &end) in &whole {
        let keep = end - (end - read[&partition]) / 3;
        kafka.delete_below(topic, partition, keep);
        gone.insert(partition, read[&partition]..keep);
    }
    let deleted = truth.only_at(|(partition, offset)| gone[partition].contains(offset));
    proxy.mend();
    orders.send(300);
    orders.wait();
    // What Kafka's tools can still see is what was there and was not deleted.
    truth.add_later(Truth::of(&kafka, topic));
    truth.holds_all_of(&[orders.file()]);

    let row = sidecar.judged(topic, truth.ends());
    let found = counts(&row);
    let count = |name: &str| found.get(name).copied().unwrap_or(0);
    let gone: u64 = deleted.iter().map(|range| range.last - range.first + 1).sum();
    assert!(gone > 1_000, "{gone} unread messages were deleted");
    assert_eq!(count("by_design.retention"), gone, "{found:?}");
    assert_eq!(count("seen"), truth.distinct() - gone, "{found:?}");
    let named = ["by_design.retention", "seen", "observed.valid", "lanes", "lanes_without_ledger"];
    let other: Vec<_> = found.keys().filter(|name| !named.contains(&name.as_str())).collect();
    assert_eq!(other, ["producers"], "nothing else is found: {found:?}");
    let rows = sidecar.rows("/v1/gaps", &format!("view=log&stream={topic}&state=retention"));
    assert_eq!(verify::states(&rows), [("retention".to_owned(), deleted)].into());
    verify::adds_up(&row);
    let last = partition_row(&row, "0").expect("partition 0 was read");
    assert_eq!(last["position"], truth.ends()[&0]);
    sidecar.stop(0);
}

/// Between the sidecar and the broker, in turn; each for so long that the sidecar falls behind.
#[test]
fn the_way_is_cut_slow_and_half_open() {
    let kafka = Kafka::take();
    let topic = "way";
    kafka.create(topic, 3);
    let (from, to) = kafka.proxied();
    let proxy = Proxy::start(from, to);
    // A connection that says nothing is given up after a minute, unless said otherwise.
    let table = format!(
        "[source.main]\nbrokers = \"{from}\"\ntopics = [\"{topic}\"]\nfrom = \"beginning\"\n\
         ledger = \"off\"\nproperties = {{ \"socket.timeout.ms\" = \"3000\" }}\n"
    );
    let sidecar = configured(&kafka, topic, &table);
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &["prefetch=yes"]);
    orders.load(2_000);
    let position = |partition: u32| {
        let report = sidecar.report("log", topic);
        let row = partition_row(&report["streams"][0], &partition.to_string());
        row.and_then(|row| row["position"].as_u64()).unwrap_or(0)
    };
    let behind = || {
        let ends = kafka.ends(topic).into_iter();
        ends.map(|(partition, end)| end.saturating_sub(position(partition))).sum::<u64>()
    };
    let falls_behind = |what: &str| {
        wait::until(what, || match behind() {
            4_000.. => Ok(()),
            fewer => Err(format!("behind by {fewer}")),
        });
    };
    let catches_up = |what: &str| {
        wait::until(what, || match behind() {
            ..2_000 => Ok(()),
            more => Err(format!("behind by {more}")),
        });
    };
    orders.goes_on(2_000);
    proxy.cut();
    falls_behind("cut off");
    proxy.mend();
    catches_up("mended");
    proxy.slow(10_000);
    falls_behind("slow");
    proxy.slow(0);
    catches_up("as fast as before");
    proxy.forget();
    falls_behind("half open");
    catches_up("connected anew, by itself");
    orders.stop();
    orders.wait();
    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[orders.file()]);
    verify::found_is_true(&sidecar, topic, &truth);
    sidecar.stop(0);
}
