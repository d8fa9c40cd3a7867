//! The ledger that is sent: what stands in its topic.

use std::time::Duration;

use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, PurgeConfig};
use serde_json::Value;

use lacuna_kafka::{Options, StampedProducer, StampedThreadedProducer};

use crate::support::{Cluster, LIMIT, until};

const TOPIC: &str = "orders";
const LEDGER: &str = "lacuna.ledger";

/// Reports as often as it can.
fn eager() -> Options {
    Options::default().ledger(Some(LEDGER)).ledger_interval(Duration::from_millis(1))
}

/// Reports what fails, what is flushed and what is closed, and never for the time.
fn lazy() -> Options {
    Options::default().ledger(Some(LEDGER)).ledger_interval(Duration::from_secs(3_600))
}

fn producer(cluster: &Cluster, settings: &[(&str, &str)], options: &Options) -> StampedProducer {
    let config = cluster.config(settings);
    StampedProducer::new(&config, DefaultProducerContext, options).unwrap()
}

fn send(producer: &StampedProducer, count: usize) {
    for _ in 0..count {
        let record = BaseRecord::<str, str>::to(TOPIC).payload("x").partition(0);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
}

/// All records in the topic, in the order of their revisions.
fn records(cluster: &Cluster) -> Vec<Value> {
    let log = cluster.log(LEDGER);
    let lines = log.iter().flat_map(|stored| stored.payload.split(|&b| b == b'\n'));
    let mut records: Vec<Value> = lines
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    records.sort_by_key(|record| record["rev"].as_u64());
    records
}

fn last(cluster: &Cluster) -> Value {
    records(cluster).pop().expect("no record")
}

/// The last record, once it says this: failures are said as they come, so that a record before it
/// may lawfully know of the first one alone.
fn said(cluster: &Cluster, outcome: &str, ranges: &Value) -> Value {
    let mut last = Value::Null;
    until(|| {
        last = records(cluster).pop().unwrap_or_default();
        last[outcome] == *ranges
    });
    last
}

#[test]
fn a_closed_producer_has_said_all() {
    let cluster = Cluster::new(TOPIC, 1);
    let producer = producer(&cluster, &[], &lazy());
    send(&producer, 5);
    producer.flush(LIMIT).unwrap();
    until(|| producer.reported().sent == 1);
    let flushed = last(&cluster);
    assert_eq!((&flushed["next"], &flushed["pending"]), (&5.into(), &Value::Array(vec![])));
    assert_eq!((&flushed["stream"], &flushed["lane"]), (&TOPIC.into(), &"0".into()));
    assert_eq!(flushed["producer"], producer.name());
    assert_eq!(flushed["epoch"], format!("{:x}", producer.epoch()));
    assert_eq!(flushed["closed"], false);

    send(&producer, 2);
    drop(producer);
    let closed = last(&cluster);
    assert_eq!((&closed["next"], &closed["closed"]), (&7.into(), &true.into()));
    // What a drop takes from the queue was never sent, and the application is told so.
    let settled = closed["refused"] == serde_json::json!([[5, 6]])
        || closed["unanswered"] == serde_json::json!([[5, 6]]);
    assert!(settled, "{closed}");
}

#[test]
fn what_is_pending_is_said_while_nothing_moves() {
    let cluster = Cluster::new(TOPIC, 1);
    let producer = producer(&cluster, &[], &eager());
    send(&producer, 3);
    // Not polled, so that no answer is heard of.
    until(|| producer.reported().sent >= 3);
    for record in records(&cluster) {
        // The first ones may have been made while the messages were being sent.
        let next = record["next"].as_u64().unwrap();
        assert_eq!(record["pending"], serde_json::json!([[0, next - 1]]), "{record}");
    }
}

#[test]
fn what_is_refused_is_said_at_once() {
    let cluster = Cluster::new(TOPIC, 1);
    let producer = producer(&cluster, &[("linger.ms", "60000")], &lazy());
    send(&producer, 2);
    producer.purge(PurgeConfig::default().queue());
    until(|| {
        producer.poll(Duration::ZERO);
        producer.reported().sent > 0
    });
    let record = said(&cluster, "refused", &serde_json::json!([[0, 1]]));
    assert_eq!((&record["next"], &record["pending"]), (&2.into(), &Value::Array(vec![])));
}

#[test]
fn what_a_cluster_that_was_away_did_not_hear_is_said_when_it_is_back() {
    let cluster = Cluster::new(TOPIC, 1);
    let producer = producer(&cluster, &[("message.timeout.ms", "100")], &lazy());
    send(&producer, 1);
    producer.flush(LIMIT).unwrap();
    until(|| producer.reported().sent == 1);
    cluster.0.broker_down(1).unwrap();
    send(&producer, 2);
    producer.flush(LIMIT).unwrap();
    cluster.0.broker_up(1).unwrap();
    let record = said(&cluster, "unanswered", &serde_json::json!([[1, 2]]));
    assert_eq!((&record["next"], &record["pending"]), (&3.into(), &Value::Array(vec![])));
}

#[test]
fn a_producer_whose_cluster_is_away_ends_all_the_same() {
    let cluster = Cluster::new(TOPIC, 1);
    cluster.0.broker_down(1).unwrap();
    let producer = producer(&cluster, &[], &eager());
    send(&producer, 1);
    drop(producer);
}

#[test]
fn a_transaction_is_pending_until_its_end() {
    let cluster = Cluster::new(TOPIC, 1);
    let config = cluster.config(&[("transactional.id", "t")]);
    let options = eager();
    let producer = StampedThreadedProducer::new(&config, DefaultProducerContext, &options).unwrap();
    producer.init_transactions(LIMIT).unwrap();
    producer.begin_transaction().unwrap();
    let record = BaseRecord::<str, str>::to(TOPIC).payload("x").partition(0);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(LIMIT).unwrap();
    let sent = producer.reported().sent;
    until(|| producer.reported().sent > sent + 1);
    assert_eq!(last(&cluster)["pending"], serde_json::json!([[0, 0]]));
    producer.abort_transaction(LIMIT).unwrap();
    drop(producer);
    let record = last(&cluster);
    assert_eq!(record["aborted"], serde_json::json!([[0, 0]]), "{record}");
    assert_eq!((&record["pending"], &record["closed"]), (&Value::Array(vec![]), &true.into()));
}

#[test]
fn it_is_not_sent_where_it_is_off() {
    let cluster = Cluster::new(TOPIC, 1);
    let producer = producer(&cluster, &[], &Options::default().ledger(None).sidecar(None));
    send(&producer, 1);
    producer.flush(LIMIT).unwrap();
    let reported = producer.reported();
    drop(producer);
    assert_eq!(reported, lacuna_kafka::Reported::default());
    assert!(cluster.log(LEDGER).is_empty());
}
