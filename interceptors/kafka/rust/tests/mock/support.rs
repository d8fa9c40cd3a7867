//! An embedded cluster, and what stands in its log afterwards.

use std::time::{Duration, Instant};

use lacuna_core::ledger::LedgerRecord;
use lacuna_core::stamp::{HEADER, Stamp, origin};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, Partitioner, ProducerContext};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use lacuna_kafka::{Enqueue, StampedProducer};

/// Nothing here takes this long; what does has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Cluster(pub(crate) MockCluster<'static, DefaultProducerContext>);

impl Cluster {
    /// One broker and a topic with so many partitions.
    pub(crate) fn new(topic: &str, partitions: i32) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(topic, partitions, 1).unwrap();
        Self(cluster)
    }

    pub(crate) fn config(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.0.bootstrap_servers());
        for &(name, value) in settings {
            config.set(name, value);
        }
        config
    }

    /// Everything in the topic's log, partition by partition, in the log's order.
    pub(crate) fn log(&self, topic: &str) -> Vec<Stored> {
        let reader: BaseConsumer = self.config(&[("group.id", "reader")]).create().unwrap();
        let metadata = reader.fetch_metadata(Some(topic), LIMIT).unwrap();
        let mut assignment = TopicPartitionList::new();
        let mut left = 0;
        for partition in metadata.topics()[0].partitions() {
            let (low, high) = reader.fetch_watermarks(topic, partition.id(), LIMIT).unwrap();
            left += high - low;
            assignment.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
        }
        reader.assign(&assignment).unwrap();
        let mut log = Vec::new();
        while left > 0 {
            let message = reader.poll(LIMIT).expect("the log is shorter than its end").unwrap();
            log.push(Stored::new(&message));
            left -= 1;
        }
        log.sort_by_key(|stored| (stored.partition, stored.offset));
        log
    }
}

/// A message as it stands in the log.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Vec<u8>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Stored {
    fn new(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().unwrap_or_default().to_vec(),
            headers: headers.map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect(),
        }
    }

    /// The (one) stamp's value.
    pub(crate) fn stamp(&self) -> Option<Stamp<'_>> {
        let mut stamps = self.headers.iter().filter(|(key, _)| key == HEADER);
        let (_, value) = stamps.next()?;
        assert!(stamps.next().is_none(), "two stamps: {self:?}");
        Some(Stamp::parse(value.as_deref()?).expect("a stamp of this version"))
    }
}

/// Every stamped message is from this topic and partition, and the log has each lane's numbers
/// from 0 on, each once. In a lane of one partition, in order, too.
pub(crate) fn assert_consecutive(topic: &str, log: &[Stored]) {
    let mut lanes = std::collections::BTreeMap::<String, Vec<u64>>::new();
    for stored in log {
        let Some(stamp) = stored.stamp() else { continue };
        assert!(stamp.is_from(origin(topic), &stored.partition.to_string()), "{stored:?}");
        lanes.entry(stamp.lane.to_owned()).or_default().push(stamp.seq);
    }
    for (lane, mut seqs) in lanes {
        if lane == "*" {
            seqs.sort_unstable();
        }
        let count = u64::try_from(seqs.len()).unwrap();
        assert_eq!(seqs, (0..count).collect::<Vec<_>>(), "lane {lane}");
    }
}

/// Steps until this is done, or fails where that takes too long.
#[expect(clippy::disallowed_methods, reason = "a test's own deadline")]
pub(crate) fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "still not done");
    }
}

/// The book of one lane, without its names.
pub(crate) fn book<C, Part, P>(
    producer: &StampedProducer<C, Part, P>,
    topic: &str,
    lane: &str,
) -> LedgerRecord<'static>
where
    C: ProducerContext<Part>,
    Part: Partitioner + Send + Sync,
    P: Enqueue<C, Part>,
{
    let mut found = None;
    producer.ledger(|record| {
        assert_eq!(record.validate(), Ok(()), "{record:?}");
        if (record.stream, record.lane) == (topic, lane) {
            let (producer, stream, lane) = ("", "", "");
            found = Some(LedgerRecord { producer, stream, lane, ..record.clone() });
        }
    });
    found.expect("no such lane")
}
