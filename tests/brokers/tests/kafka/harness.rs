//! The harness itself, without Lacuna: it sees what is there, and its faults are what it is told.

use std::collections::BTreeSet;
use std::time::Duration;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::process::{Process, lab};
use lacuna_brokers::proxy::Proxy;
use lacuna_brokers::wait;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

fn producer(brokers: &str) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).create().expect("the configuration is sound")
}

/// Sends values `first..last` to partition 1, each with two headers.
fn send(producer: &BaseProducer, topic: &str, values: std::ops::Range<u32>) {
    for value in values {
        let payload = value.to_string();
        let headers = OwnedHeaders::new()
            .insert(Header { key: "a", value: Some("1") })
            .insert(Header { key: "lacuna-stamp", value: Some("1;p;0;00000000;1;7") });
        let record = BaseRecord::<str, str>::to(topic)
            .partition(1)
            .key("k")
            .payload(&payload)
            .headers(headers);
        producer.send(record).expect("the queue has room");
    }
    producer.flush(Duration::from_secs(60)).expect("the broker answers");
}

fn values(kafka: &Kafka, topic: &str) -> Vec<u32> {
    let mut values = Vec::new();
    kafka.records(topic, |record| {
        assert_eq!(record.partition, 1);
        let headers: Vec<_> = record.header_list().collect();
        assert_eq!(headers, [("a", "1"), ("lacuna-stamp", "1;p;0;00000000;1;7")]);
        assert_eq!((record.key, record.stamp()), ("k", Some("1;p;0;00000000;1;7")));
        values.push(record.value.parse().expect("values are numbers"));
    });
    values
}

#[test]
fn kafka_says_what_is_in_its_log() {
    let kafka = Kafka::take();
    let topic = "harness";
    kafka.create(topic, 2);
    let client = producer(&kafka.brokers());
    send(&client, topic, 0..100);
    assert_eq!(kafka.ends(topic), [(0, 0), (1, 100)].into());
    assert_eq!(values(&kafka, topic), Vec::from_iter(0..100));
    assert_eq!(kafka.batches(topic, 1).iter().map(|batch| batch.len()).sum::<u64>(), 100);

    kafka.kill();
    kafka.start();
    send(&client, topic, 100..110);
    assert_eq!(values(&kafka, topic), Vec::from_iter(0..110));

    kafka.delete_below(topic, 1, 40);
    assert_eq!(values(&kafka, topic), Vec::from_iter(40..110));

    kafka.grow(topic, 3);
    assert_eq!(kafka.ends(topic).len(), 3);
}

#[test]
fn the_relay_swallows_and_repeats_what_it_is_told() {
    let kafka = Kafka::take();
    let topic = "harness-relay";
    kafka.create(topic, 2);
    let mut relay = Process::start(
        "relay",
        lab("lab-relay").args([
            &format!("to={}", kafka.brokers()),
            &format!("topic={topic}"),
            "partitions=2",
            "swallow=1:0-4,1:50-59",
            "repeat=1:70-71",
        ]),
    );
    let client = producer(&relay.hear("serving"));
    send(&client, topic, 0..100);
    relay.finish();
    let found = values(&kafka, topic);
    let wanted: BTreeSet<u32> = (5..50).chain(60..100).collect();
    assert_eq!(BTreeSet::from_iter(found.iter().copied()), wanted);
    let twice = wanted.iter().filter(|value| found.iter().filter(|v| v == value).count() == 2);
    assert_eq!(Vec::from_iter(twice), [&70, &71]);
    assert_eq!(found.len(), wanted.len() + 2);
}

#[test]
fn the_proxy_cuts_one_client_off() {
    let kafka = Kafka::take();
    let topic = "harness-proxy";
    kafka.create(topic, 2);
    let (from, to) = kafka.proxied();
    let proxy = Proxy::start(from, to);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", from.to_string());
    let client: BaseConsumer = config.create().expect("the configuration is sound");
    let ask = || client.fetch_watermarks(topic, 1, Duration::from_secs(1));
    assert_eq!(ask().expect("the proxy forwards"), (0, 0));
    proxy.cut();
    assert!(ask().is_err(), "the proxy is cut");
    send(&producer(&kafka.brokers()), topic, 0..1);
    proxy.mend();
    let found = wait::until("the proxy forwards again", || ask().map_err(|e| e.to_string()));
    assert_eq!(found, (0, 1));
}
