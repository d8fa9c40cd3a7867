//! Where messages go: where they went before.

use std::collections::BTreeMap;

use rdkafka::ClientContext;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{
    BaseProducer, BaseRecord, DefaultProducerContext, Partitioner, Producer, ProducerContext,
};

use lacuna_kafka::{Options, StampedProducer};

use crate::support::{Cluster, LIMIT, Stored, assert_consecutive};

const PARTITIONS: i32 = 7;

/// Keys of every length up to 40, and none.
fn keys() -> Vec<Option<Vec<u8>>> {
    let byte = |length: usize, at: usize| u8::try_from((length * 37 + at * 101) % 256).unwrap();
    let keyed = (0..=40).map(|length| Some((0..length).map(|at| byte(length, at)).collect()));
    keyed.chain([None]).collect()
}

/// Each key with the one partition that all of its messages are in, else `None`.
fn placed(log: &[Stored]) -> BTreeMap<Option<Vec<u8>>, Option<i32>> {
    let mut placed = BTreeMap::new();
    for stored in log {
        placed
            .entry(stored.key.clone())
            .and_modify(|partition| {
                if *partition != Some(stored.partition) {
                    *partition = None;
                }
            })
            .or_insert(Some(stored.partition));
    }
    placed
}

/// Sends all keys often to both topics, by a plain and by a stamped producer.
fn both(settings: &[(&str, &str)], keys: &[Option<Vec<u8>>]) -> (Vec<Stored>, Vec<Stored>) {
    let cluster = Cluster::new("plain", PARTITIONS);
    cluster.0.create_topic("stamped", PARTITIONS, 1).unwrap();
    let config = cluster.config(settings);
    let plain: BaseProducer = config.create().unwrap();
    let stamped: StampedProducer = config.create().unwrap();
    plain.client().fetch_metadata(Some("plain"), LIMIT).unwrap();
    assert!(stamped.prefetch("stamped", LIMIT));
    for _ in 0..20 {
        for key in keys {
            let record = |topic| BaseRecord::<[u8], str> {
                key: key.as_deref(),
                ..BaseRecord::to(topic).payload("x")
            };
            plain.send(record("plain")).map_err(|(error, _)| error).unwrap();
            stamped.send(record("stamped")).map_err(|(error, _)| error).unwrap();
        }
    }
    plain.flush(LIMIT).unwrap();
    stamped.flush(LIMIT).unwrap();
    let stamped = cluster.log("stamped");
    assert!(stamped.iter().all(|stored| stored.stamp().unwrap().lane != "*"));
    assert_consecutive("stamped", &stamped);
    (cluster.log("plain"), stamped)
}

#[test]
fn keys_go_where_every_partitioner_puts_them() {
    for partitioner in
        ["consistent", "consistent_random", "murmur2", "murmur2_random", "fnv1a", "fnv1a_random"]
    {
        // Random where there is no key, so that what is not hashed shows as many partitions.
        let settings = [("partitioner", partitioner), ("sticky.partitioning.linger.ms", "0")];
        let (plain, stamped) = both(&settings, &keys());
        let (plain, stamped) = (placed(&plain), placed(&stamped));
        assert_eq!(plain, stamped, "{partitioner}");
        let hashed = plain.values().flatten().collect::<std::collections::BTreeSet<_>>();
        assert!(hashed.len() > 3, "{partitioner}: keys differ in their partition: {plain:?}");
    }
}

#[test]
fn the_default_partitioner_is_librdkafka_s() {
    let keyed: Vec<_> =
        keys().into_iter().filter(|key| key.as_ref().is_some_and(|k| !k.is_empty())).collect();
    let (plain, stamped) = both(&[], &keyed);
    assert_eq!(placed(&plain), placed(&stamped));
    assert!(placed(&plain).values().all(Option::is_some));
}

#[test]
fn random_placement_reaches_every_partition() {
    let (plain, stamped) = both(&[("partitioner", "random")], &[Some(b"same key".to_vec())]);
    for log in [plain, stamped] {
        let partitions = log.iter().map(|stored| stored.partition);
        assert!(partitions.collect::<std::collections::BTreeSet<_>>().len() > 3);
    }
}

#[test]
fn without_a_key_one_partition_is_kept_for_the_configured_time() {
    let settings = [("sticky.partitioning.linger.ms", "600000")];
    let (plain, stamped) = both(&settings, &[None, Some(Vec::new())]);
    for log in [plain, stamped] {
        assert!(log.iter().all(|stored| stored.partition == log[0].partition));
    }
}

#[test]
fn a_partition_that_librdkafka_is_left_to_choose_counts_over_the_whole_topic() {
    let cluster = Cluster::new("orders", PARTITIONS);
    let options = Options::default().choose_partitions(false);
    let config = cluster.config(&[("sticky.partitioning.linger.ms", "0")]);
    let producer: StampedProducer =
        StampedProducer::new(&config, DefaultProducerContext, &options).unwrap();
    assert!(producer.prefetch("orders", LIMIT));
    for _ in 0..100 {
        let record = BaseRecord::<str, str>::to("orders").payload("x");
        producer.send(record).map_err(|(error, _)| error).unwrap();
        let record = BaseRecord::to("orders").payload("x").key("keyed");
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LIMIT).unwrap();
    let log = cluster.log("orders");
    assert_consecutive("orders", &log);
    let free = log.iter().filter(|stored| stored.stamp().unwrap().lane == "*");
    assert!(free.clone().all(|stored| stored.key.is_none()));
    assert_eq!(free.count(), 100);
}

struct ByLength;

impl Partitioner for ByLength {
    fn partition(
        &self,
        _: &str,
        key: Option<&[u8]>,
        count: i32,
        is_available: impl Fn(i32) -> bool,
    ) -> i32 {
        assert!(is_available(0) && !is_available(count));
        i32::try_from(key.map_or(1, <[u8]>::len)).unwrap() % count
    }
}

struct Custom(ByLength);

impl ClientContext for Custom {}

impl ProducerContext<ByLength> for Custom {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}

    fn get_custom_partitioner(&self) -> Option<&ByLength> {
        Some(&self.0)
    }
}

#[test]
fn an_own_partitioner_places_and_is_stamped_with_its_choice() {
    let cluster = Cluster::new("orders", PARTITIONS);
    // rdkafka registers a partitioner only where some topic property is set.
    let settings = [("sticky.partitioning.linger.ms", "0"), ("message.timeout.ms", "30000")];
    let config = cluster.config(&settings);
    let producer: StampedProducer<Custom, ByLength> =
        config.create_with_context(Custom(ByLength)).unwrap();
    assert!(producer.prefetch("orders", LIMIT));
    for key in keys() {
        let record = BaseRecord::<[u8], str> {
            key: key.as_deref(),
            ..BaseRecord::to("orders").payload("x")
        };
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LIMIT).unwrap();
    let log = cluster.log("orders");
    assert_eq!(log.len(), keys().len());
    assert_consecutive("orders", &log);
    for stored in &log {
        let length = stored.key.as_ref().map_or(1, Vec::len);
        assert_eq!(stored.partition, i32::try_from(length).unwrap() % PARTITIONS);
        assert_eq!(stored.stamp().unwrap().lane, stored.partition.to_string());
    }
}
