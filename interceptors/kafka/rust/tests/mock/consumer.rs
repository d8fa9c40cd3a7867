//! The checked consumers.

use std::sync::Mutex;
use std::time::Duration;

use lacuna_core::stamp::{HEADER, Stamp, origin};
use lacuna_core::totals::{Duplicates, Lost, Totals, Unknown};
use rdkafka::consumer::{BaseConsumer, Consumer, Rebalance};
use rdkafka::error::KafkaResult;
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use lacuna_kafka::{
    CheckContext, CheckedConsumer, CheckedContext, CheckedStreamConsumer, StampedProducer,
};

use crate::support::{Cluster, LIMIT, until};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 3;

fn produced(count: usize) -> Cluster {
    let cluster = Cluster::new(TOPIC, PARTITIONS);
    let producer: StampedProducer = cluster.config(&[]).create().unwrap();
    send(&producer, count);
    cluster
}

fn send(producer: &StampedProducer, count: usize) {
    for number in 0..count {
        let partition = i32::try_from(number).unwrap() % PARTITIONS;
        let record = BaseRecord::<str, str>::to(TOPIC).payload("x").partition(partition);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LIMIT).unwrap();
}

fn from(offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(TOPIC, partition, offset).unwrap();
    }
    list
}

fn one(offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, offset).unwrap();
    list
}

fn totals<I>(consumer: &lacuna_kafka::Checked<I>) -> Totals {
    consumer.checker(|checker| checker.totals()).unwrap()
}

fn read(consumer: &CheckedConsumer, count: usize) {
    let mut left = count;
    until(|| {
        // A poll that only served a callback gives no message.
        if let Some(message) = consumer.poll(LIMIT) {
            assert_eq!(message.unwrap().payload(), Some(&b"x"[..]));
            left -= 1;
        }
        left == 0
    });
}

#[test]
fn what_is_handed_over_is_seen_once() {
    let cluster = produced(300);
    let consumer: CheckedConsumer = cluster.config(&[("group.id", "billing")]).create().unwrap();
    consumer.assign(&from(Offset::Beginning)).unwrap();
    read(&consumer, 300);
    let totals = totals(&consumer);
    assert_eq!((totals.seen, totals.missing, totals.lanes), (300, 0, 3));
    assert_eq!((totals.lost, totals.unknown), (Lost::default(), Unknown::default()));
    assert_eq!(totals.duplicates, Duplicates::default());
}

#[test]
fn what_is_handed_over_again_is_redelivered() {
    let cluster = produced(30);
    let consumer: CheckedConsumer = cluster.config(&[("group.id", "billing")]).create().unwrap();
    consumer.assign(&from(Offset::Beginning)).unwrap();
    read(&consumer, 30);
    consumer.assign(&from(Offset::Offset(5))).unwrap();
    read(&consumer, 15);
    let totals = totals(&consumer);
    let redelivered = Duplicates { redelivered: 15, ..Duplicates::default() };
    assert_eq!((totals.seen, totals.duplicates), (30, redelivered));
}

#[test]
fn what_the_application_skips_by_itself_is_unknown_and_no_loss() {
    let cluster = produced(30);
    let consumer: CheckedConsumer = cluster.config(&[("group.id", "billing")]).create().unwrap();
    consumer.assign(&one(Offset::Beginning)).unwrap();
    read(&consumer, 2);
    consumer.assign(&one(Offset::Offset(7))).unwrap();
    read(&consumer, 3);
    let totals = totals(&consumer);
    let paused = Unknown { paused: 5, ..Unknown::default() };
    assert_eq!((totals.seen, totals.missing, totals.lost), (5, 0, Lost::default()));
    assert_eq!(totals.unknown, paused);
}

/// Whether what is below a lane's first number is missing or unknown: only who has read the
/// partition from its first message knows.
#[test]
fn a_partition_is_watched_from_its_start_where_its_first_message_is_seen() {
    let cluster = Cluster::new(TOPIC, 1);
    let forger: BaseProducer = cluster.config(&[]).create().unwrap();
    for seq in [2, 3] {
        let stamp = Stamp { producer: "p", epoch: 1, origin: origin(TOPIC), lane: "0", seq };
        let value = stamp.to_string();
        let headers = OwnedHeaders::new().insert(Header { key: HEADER, value: Some(&value) });
        let record = BaseRecord::<str, str>::to(TOPIC).payload("x").partition(0).headers(headers);
        forger.send(record).map_err(|(error, _)| error).unwrap();
    }
    forger.flush(LIMIT).unwrap();
    for (first, missing, joined) in [(0, 2, 0), (1, 0, 3)] {
        let consumer: CheckedConsumer =
            cluster.config(&[("group.id", "billing")]).create().unwrap();
        consumer.assign(&one(Offset::Offset(first))).unwrap();
        read(&consumer, if first == 0 { 2 } else { 1 });
        let totals = totals(&consumer);
        assert_eq!((totals.missing, totals.unknown.joined), (missing, joined), "from {first}");
    }
}

#[test]
fn while_switched_off_nothing_is_seen_and_nothing_is_missing() {
    let cluster = produced(90);
    let consumer: CheckedConsumer = cluster.config(&[("group.id", "billing")]).create().unwrap();
    consumer.assign(&one(Offset::Beginning)).unwrap();
    read(&consumer, 10);
    consumer.switch().set(false);
    read(&consumer, 10);
    consumer.switch().set(true);
    read(&consumer, 10);
    let totals = totals(&consumer);
    assert_eq!((totals.seen, totals.missing, totals.lost), (20, 0, Lost::default()));
    let paused = Unknown { paused: 10, ..Unknown::default() };
    assert_eq!(totals.unknown, paused);
}

#[test]
fn a_stream_consumer_is_checked_the_same() {
    let cluster = produced(30);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let consumer: CheckedStreamConsumer =
            cluster.config(&[("group.id", "billing")]).create().unwrap();
        consumer.assign(&from(Offset::Beginning)).unwrap();
        for _ in 0..30 {
            consumer.recv().await.unwrap();
        }
        let totals = totals(&consumer);
        assert_eq!((totals.seen, totals.missing), (30, 0));
    });
}

#[derive(Default)]
struct Watching(Mutex<Vec<String>>);

impl Watching {
    fn note(&self, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }
}

impl ClientContext for Watching {}

impl CheckedContext for Watching {
    fn pre_rebalance(&self, _: &BaseConsumer<CheckContext<Self>>, _: &Rebalance<'_>) {
        self.note("pre");
    }

    fn post_rebalance(&self, _: &BaseConsumer<CheckContext<Self>>, _: &Rebalance<'_>) {
        self.note("post");
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        assert!(result.is_ok());
        self.note("commit");
    }
}

#[test]
fn the_application_s_own_context_is_called_in_a_group() {
    let cluster = produced(30);
    let consumer: CheckedConsumer<Watching> = cluster
        .config(&[
            ("group.id", "billing"),
            ("auto.offset.reset", "earliest"),
            ("auto.commit.interval.ms", "10"),
        ])
        .create_with_context(Watching::default())
        .unwrap();
    consumer.subscribe(&[TOPIC]).unwrap();
    let mut left = 30;
    until(|| {
        left -= usize::from(consumer.poll(LIMIT).transpose().unwrap().is_some());
        left == 0
    });
    assert_eq!(totals(&consumer).seen, 30);
    let notes = || consumer.context().0.lock().unwrap().clone();
    until(|| {
        assert!(consumer.poll(Duration::from_millis(100)).is_none());
        notes().iter().any(|note| note == "commit")
    });
    assert_eq!(notes()[..2], ["pre", "post"]);
    let views = consumer.checker(|checker| checker.report(&Default::default(), false)).unwrap();
    assert!(views.iter().all(|row| row.view == "billing"), "{views:?}");
    assert_eq!(views.len(), 1);
}
