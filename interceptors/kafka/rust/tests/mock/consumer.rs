//! The checked consumers.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;
use std::{env, fs, process};

use lacuna_ring::{Reader, Reading, Record};
use rdkafka::consumer::{BaseConsumer, Consumer, Rebalance};
use rdkafka::error::KafkaResult;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use lacuna_kafka::{
    CheckContext, CheckOptions, Checked, CheckedConsumer, CheckedContext, CheckedStreamConsumer,
    StampedProducer,
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

/// A directory for rings, removed in the end.
struct Rings(PathBuf);

impl Rings {
    fn new(name: &str) -> Self {
        let dir = env::temp_dir().join(format!("lacuna-consumer-{name}-{}", process::id()));
        drop(fs::remove_dir_all(&dir));
        Self(dir)
    }

    fn options(&self) -> CheckOptions {
        CheckOptions::default().ring_dir(&self.0)
    }

    /// A sidecar's end of the only ring.
    fn reader(&self) -> Reader {
        let rings = Reader::list(&self.0).unwrap();
        assert_eq!(rings.len(), 1, "{rings:?}");
        Reader::open(&rings[0], None).unwrap()
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// What a consumer has told, a line each, without the numbers that differ from run to run.
fn told(reader: &mut Reader) -> Vec<String> {
    let head = reader.head();
    let mut lines = Vec::new();
    while let Some(record) = reader.next(head).unwrap() {
        lines.push(match record {
            Record::Handed { position, stamp, .. } => {
                let stamp = stamp.map(|stamp| str::from_utf8(stamp).unwrap());
                let number = stamp.and_then(|stamp| stamp.rsplit(';').next()).unwrap_or("-");
                format!("handed {} {number}", position.unwrap())
            }
            Record::Assigned { partition, generation, position, resumed, .. } => {
                format!("assigned {partition} {generation:?} {position:?} {resumed}")
            }
            Record::Released { slot, .. } => format!("released {slot}"),
            Record::Generation { generation, .. } => format!("generation {generation}"),
            Record::Moved { position, .. } => format!("moved {position:?}"),
            Record::Lost { records } => format!("lost {records}"),
        });
    }
    reader.release(reader.position());
    lines
}

fn handed(positions: std::ops::Range<u64>) -> Vec<String> {
    positions.map(|position| format!("handed {position} {position}")).collect()
}

fn consumer(cluster: &Cluster, options: CheckOptions) -> CheckedConsumer {
    let config = cluster.config(&[("group.id", "billing")]);
    Checked::new(&config, rdkafka::consumer::DefaultConsumerContext, options).unwrap()
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
fn what_is_handed_over_is_told_before_the_application_has_it() {
    let cluster = produced(30);
    let rings = Rings::new("told");
    let consumer = consumer(&cluster, rings.options());
    assert!(consumer.is_telling());
    let mut reader = rings.reader();
    assert_eq!((reader.view(), reader.reading()), ("billing", Reading::Committed));
    consumer.assign(&one(Offset::Offset(2))).unwrap();
    for position in 2..5 {
        read(&consumer, 1);
        let lines = told(&mut reader);
        assert_eq!(lines.last(), handed(position..position + 1).last(), "{lines:?}");
    }
    consumer.seek(TOPIC, 0, Offset::Offset(8), LIMIT).unwrap();
    read(&consumer, 2);
    let moved = ["moved Some(8)".to_owned()];
    assert_eq!(told(&mut reader), [&moved[..], &handed(8..10)].concat());
    assert_eq!(consumer.untold(), 0);
    // What is told is there when the consumer is not any more.
    read(&consumer, 0);
    drop(consumer);
    assert!(reader.is_dead() && !reader.is_behind());
}

#[test]
fn without_a_directory_the_application_consumes_all_the_same() {
    let cluster = produced(30);
    for options in [CheckOptions::default(), CheckOptions::default().ring_dir("/dev/null/none")] {
        let consumer = consumer(&cluster, options);
        assert!(!consumer.is_telling());
        consumer.assign(&from(Offset::Beginning)).unwrap();
        read(&consumer, 30);
    }
}

#[test]
fn what_finds_no_room_is_counted_and_told_to_be_lost() {
    let cluster = produced(600);
    let rings = Rings::new("full");
    let consumer = consumer(&cluster, rings.options().ring_bytes(1));
    let mut reader = rings.reader();
    consumer.assign(&one(Offset::Beginning)).unwrap();
    read(&consumer, 150);
    let untold = consumer.untold();
    assert!(untold > 0 && reader.is_behind());
    let lines = told(&mut reader);
    assert_eq!(lines.iter().filter(|line| line.starts_with("handed")).count() as u64, 150 - untold);
    // There is room again.
    read(&consumer, 1);
    let lost = [format!("lost {untold}"), "assigned 0 None None true".to_owned()];
    assert_eq!(told(&mut reader), [&lost[..], &handed(150..151)].concat());
    assert!(!reader.is_behind());
    assert_eq!(consumer.untold(), untold);
}

#[test]
fn a_new_sidecar_is_told_what_the_consumer_has() {
    let cluster = produced(90);
    let rings = Rings::new("again");
    let consumer = consumer(&cluster, rings.options());
    let mut reader = rings.reader();
    consumer.assign(&one(Offset::Beginning)).unwrap();
    read(&consumer, 2);
    told(&mut reader);
    let mut reader = rings.reader();
    read(&consumer, 1);
    let again = ["assigned 0 None None true".to_owned()];
    assert_eq!(told(&mut reader), [&again[..], &handed(2..3)].concat());
}

#[test]
fn while_switched_off_nothing_is_told_and_that_is_known() {
    let cluster = produced(90);
    let rings = Rings::new("off");
    let consumer = consumer(&cluster, rings.options());
    let mut reader = rings.reader();
    consumer.assign(&one(Offset::Beginning)).unwrap();
    read(&consumer, 10);
    told(&mut reader);
    consumer.switch().set(false);
    read(&consumer, 10);
    assert_eq!(told(&mut reader), [""; 0]);
    // Were it killed now, the sidecar would know that it does not know all.
    assert!(reader.is_behind());
    consumer.switch().set(true);
    read(&consumer, 1);
    let lines = told(&mut reader);
    assert_eq!(lines[0], "lost 1");
    assert_eq!(lines[2..], handed(20..21));
    assert!(!reader.is_behind());
}

#[test]
fn a_stream_consumer_tells_the_same() {
    let cluster = produced(30);
    let rings = Rings::new("stream");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let config = cluster.config(&[("group.id", "billing")]);
        let context = rdkafka::consumer::DefaultConsumerContext;
        let consumer: CheckedStreamConsumer =
            Checked::new(&config, context, rings.options()).unwrap();
        consumer.assign(&one(Offset::Beginning)).unwrap();
        for _ in 0..10 {
            consumer.recv().await.unwrap();
        }
        assert_eq!(told(&mut rings.reader())[1..], handed(0..10));
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
    let rings = Rings::new("group");
    let config = cluster.config(&[
        ("group.id", "billing"),
        ("auto.offset.reset", "earliest"),
        ("auto.commit.interval.ms", "10"),
    ]);
    let consumer: CheckedConsumer<Watching> =
        Checked::new(&config, Watching::default(), rings.options()).unwrap();
    let mut reader = rings.reader();
    consumer.subscribe(&[TOPIC]).unwrap();
    let mut left = 30;
    until(|| {
        left -= usize::from(consumer.poll(LIMIT).transpose().unwrap().is_some());
        left == 0
    });
    let mut lines = told(&mut reader);
    // Twice, if the reader has come after the first. Messages of two partitions may look alike.
    lines.dedup_by(|one, other| one == other && one.starts_with("generation"));
    let generation = lines[0].strip_prefix("generation ").unwrap();
    for partition in 0..PARTITIONS {
        let line = format!("assigned {partition} Some({generation}) None false");
        assert!(lines[1..4].contains(&line), "{lines:?}");
    }
    assert_eq!(lines[4..].len(), 30);
    let notes = || consumer.context().0.lock().unwrap().clone();
    until(|| {
        assert!(consumer.poll(Duration::from_millis(100)).is_none());
        notes().iter().any(|note| note == "commit")
    });
    assert_eq!(notes()[..2], ["pre", "post"]);
    // Leaving, it gives its partitions back.
    drop(consumer);
    let mut lines = told(&mut reader);
    lines.sort_unstable();
    assert_eq!(lines, ["released 0", "released 1", "released 2"]);
}
