//! The application's messages are what they are without Lacuna: headers, keys, placement, order.

use std::collections::{BTreeMap, BTreeSet};

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::producer::Producer;

/// A message: key, value, headers other than the stamp.
type Message = (String, String, Vec<(String, String)>);

/// Each partition's messages in the log's order, those that the client was free to place apart.
#[derive(Debug, Default)]
struct Log {
    placed: BTreeMap<u32, Vec<Message>>,
    free: BTreeSet<String>,
}

fn read(kafka: &Kafka, topic: &str, stamped: bool) -> Log {
    let mut log = Log::default();
    kafka.records(topic, |record| {
        let headers: Vec<_> = record.header_list().collect();
        if stamped {
            // One stamp, the fresh one, behind the application's headers.
            let (name, value) = headers.last().expect("a stamped message has a header");
            assert!(*name == "lacuna-stamp" && value.starts_with("1;orders;"), "{record:?}");
            assert_eq!(record.stamp(), Some(*value));
        }
        let application = headers.iter().filter(|(name, _)| *name != "lacuna-stamp");
        let headers = application.map(|(name, value)| ((*name).into(), (*value).into())).collect();
        if record.key == "null" {
            assert!(log.free.insert(record.value.to_owned()), "twice: {record:?}");
        } else {
            let message = (record.key.to_owned(), record.value.to_owned(), headers);
            log.placed.entry(record.partition).or_default().push(message);
        }
    });
    log
}

#[test]
fn headers_keys_placement_and_order() {
    let kafka = Kafka::take();
    let mut logs = [("unchanged-plain", "stamp=no"), ("unchanged-stamped", "stamp=yes")].map(
        |(topic, stamp)| {
            kafka.create(topic, 5);
            // Without idempotence a batch that is sent again may overtake: the client's own doing.
            let settings = [stamp, "threads=1", "set.enable.idempotence=true"];
            let mut orders = Producer::start(&kafka, topic, "orders", 0, &settings);
            // The partitions are known from the second time on: the stamper chooses then.
            for _ in 0..2 {
                orders.send(4_000);
                orders.wait();
            }
            read(&kafka, topic, stamp == "stamp=yes")
        },
    );
    let [plain, stamped] = &mut logs;
    assert_eq!(plain.placed.values().map(Vec::len).sum::<usize>(), 6_000);
    assert_eq!(plain.placed, stamped.placed);
    assert_eq!(plain.free, stamped.free);
}

#[test]
fn free_messages_are_spread_and_batched_as_by_librdkafka() {
    const PARTITIONS: u32 = 4;
    let kafka = Kafka::take();
    let runs = [("free-plain", "stamp=no"), ("free-stamped", "stamp=yes")];
    for (topic, _) in runs {
        kafka.create(topic, PARTITIONS);
    }
    // At the same time, so that both meet the same load.
    let mut producers = runs.map(|(topic, stamp)| {
        let more = [stamp, "shape=free", "prefetch=yes", "threads=1"];
        Producer::start(&kafka, topic, "orders", 0, &more)
    });
    for producer in &mut producers {
        producer.send_at(100_000, 20_000);
    }
    for producer in &mut producers {
        producer.wait();
    }

    let [plain, stamped] = runs.map(|(topic, _)| {
        let batches: Vec<_> = (0..PARTITIONS).map(|number| kafka.batches(topic, number)).collect();
        let count = |batches: &[lacuna_brokers::broker::Batch]| {
            batches.iter().map(lacuna_brokers::broker::Batch::len).sum::<u64>()
        };
        let messages: Vec<_> = batches.iter().map(|batches| count(batches)).collect();
        assert_eq!(messages.iter().sum::<u64>(), 100_000);
        (messages, batches.iter().map(Vec::len).sum::<usize>())
    });
    // 500 sticky choices among 4 partitions: a share's standard deviation is 2 %.
    for (messages, _) in [&plain, &stamped] {
        for share in messages {
            assert!((15_000..=35_000).contains(share), "{messages:?} of 100,000");
        }
    }
    // A choice message by message would cut the batches to a quarter.
    let (fewer, more) = (plain.1.min(stamped.1), plain.1.max(stamped.1));
    assert!(more * 2 <= fewer * 3, "{} batches plain, {} stamped", plain.1, stamped.1);
}
