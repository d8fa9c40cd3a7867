//! Stamps as they arrive: headers, numbers, threads, refusals, the switch, the contexts.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lacuna_core::stamp::HEADER;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DefaultProducerContext, Producer, ProducerContext,
};
use rdkafka::{ClientContext, Statistics};

use lacuna_kafka::{Options, StampedProducer, StampedThreadedProducer, Switch};

use crate::support::{Cluster, LIMIT, assert_consecutive, until};

fn headers(list: &[(&str, Option<&str>)]) -> OwnedHeaders {
    list.iter()
        .fold(OwnedHeaders::new(), |headers, &(key, value)| headers.insert(Header { key, value }))
}

#[test]
fn headers_stay_in_order_and_an_old_stamp_is_replaced() {
    let cluster = Cluster::new("orders", 1);
    let producer: StampedProducer = cluster.config(&[]).create().unwrap();
    assert!(producer.prefetch("orders", LIMIT));
    let given = headers(&[
        ("b", Some("1")),
        (HEADER, Some("1;other;1;00000000;0;7")),
        ("a", None),
        ("b", Some("2")),
        (HEADER, Some("junk")),
    ]);
    let record = BaseRecord::to("orders").key("k").payload("body").timestamp(77).headers(given);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(LIMIT).unwrap();

    let log = cluster.log("orders");
    let stored = &log[0];
    let stamp = stored.stamp().unwrap();
    assert_eq!((stamp.producer, stamp.epoch), (producer.name(), producer.epoch()));
    assert_eq!((stamp.lane, stamp.seq), ("0", 0));
    let names: Vec<_> = stored.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["b", "a", "b", HEADER]);
    assert_eq!(stored.headers[0].1.as_deref(), Some(&b"1"[..]));
    assert_eq!(stored.headers[1].1, None);
    assert_eq!(stored.headers[2].1.as_deref(), Some(&b"2"[..]));
    assert_eq!((stored.key.as_deref(), &stored.payload[..]), (Some(&b"k"[..]), &b"body"[..]));
}

#[test]
fn many_threads_take_every_number_once_and_in_the_log_s_order() {
    const THREADS: usize = 8;
    const EACH: usize = 2_000;
    let cluster = Cluster::new("orders", 3);
    let producer: StampedThreadedProducer = cluster.config(&[]).create().unwrap();
    assert!(producer.prefetch("orders", LIMIT));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let producer = &producer;
            scope.spawn(move || {
                for number in 0..EACH {
                    let key = (thread * EACH + number).to_string();
                    let explicit = BaseRecord::to("orders").payload("x").partition(1);
                    let result = match number % 3 {
                        0 => producer.send(explicit),
                        1 => producer.send(BaseRecord::to("orders").payload("x").key(&*key)),
                        _ => producer.send(BaseRecord::<str, str>::to("orders").payload("x")),
                    };
                    result.map_err(|(error, _)| error).unwrap();
                }
            });
        }
    });
    producer.flush(LIMIT).unwrap();

    let log = cluster.log("orders");
    assert_eq!(log.len(), THREADS * EACH);
    assert!(log.iter().all(|stored| stored.stamp().is_some_and(|stamp| stamp.lane != "*")));
    assert_consecutive("orders", &log);
    let counts = producer.counts();
    assert_eq!(counts.stamped, u64::try_from(THREADS * EACH).unwrap());
    assert_eq!(counts.unknown_partition, 0);
}

#[test]
fn a_full_queue_gives_the_number_and_the_record_back() {
    let cluster = Cluster::new("orders", 1);
    let config = cluster.config(&[("queue.buffering.max.messages", "10")]);
    let producer: StampedProducer = config.create().unwrap();
    let record = || {
        let given = headers(&[("a", Some("1")), (HEADER, Some("old"))]);
        BaseRecord::<str, str>::to("orders").payload("x").partition(0).headers(given)
    };
    let mut sent = 0;
    let refused = loop {
        match producer.send(record()) {
            Ok(()) => sent += 1,
            Err((error, refused)) => {
                let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
                assert_eq!(error, full);
                break refused;
            }
        }
    };
    assert_eq!(refused.partition, Some(0));
    let given_back = refused.headers.as_ref().unwrap();
    let names: Vec<_> = given_back.iter().map(|header| header.key.to_owned()).collect();
    assert_eq!(names, ["a", HEADER]);
    assert_eq!(given_back.get(1).value, Some(&b"old"[..]));

    for _ in 0..3 {
        assert!(producer.send(record()).is_err());
    }
    producer.flush(LIMIT).unwrap();
    producer.send(refused).map_err(|(error, _)| error).unwrap();
    producer.flush(LIMIT).unwrap();
    assert_eq!(producer.counts().stamped, sent + 1);
    let log = cluster.log("orders");
    assert_eq!(u64::try_from(log.len()).unwrap(), sent + 1);
    assert_consecutive("orders", &log);
}

#[test]
fn a_record_that_is_refused_without_headers_comes_back_without() {
    let cluster = Cluster::new("orders", 3);
    let producer: StampedProducer = cluster.config(&[]).create().unwrap();
    assert!(producer.prefetch("orders", LIMIT));
    let record = BaseRecord::<str, str>::to("orders").payload("x").partition(3);
    let (error, record) = producer.send(record).unwrap_err();
    assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::UnknownPartition));
    assert!(record.headers.is_none());
    assert_eq!(record.partition, Some(3));
    assert_eq!(producer.counts().stamped, 0);
}

#[test]
fn what_only_the_stamp_makes_too_large_goes_out_unstamped() {
    let cluster = Cluster::new("orders", 1);
    let config = cluster.config(&[("message.max.bytes", "1000")]);
    let plain: BaseProducer = config.create().unwrap();
    let fits = |size: &usize| {
        let payload = "x".repeat(*size);
        plain.send(BaseRecord::<str, str>::to("other").payload(&payload)).is_ok()
    };
    let largest = (0..1_000).rev().find(fits).unwrap();

    let producer: StampedProducer = config.create().unwrap();
    assert!(producer.prefetch("orders", LIMIT));
    for (size, taken) in [(largest, true), (largest + 1, false), (10, true)] {
        let payload = "x".repeat(size);
        let record = BaseRecord::<str, str>::to("orders").payload(&payload);
        assert_eq!(producer.send(record).is_ok(), taken, "{size}");
    }
    producer.flush(LIMIT).unwrap();
    let log = cluster.log("orders");
    let stamps: Vec<_> = log.iter().map(|stored| stored.stamp().map(|stamp| stamp.seq)).collect();
    assert_eq!(stamps, [None, Some(0)]);
    let counts = producer.counts();
    assert_eq!((counts.stamped, counts.too_large), (1, 1));
}

#[test]
fn switching_off_and_on_uses_no_numbers_up() {
    let cluster = Cluster::new("orders", 1);
    let switch = Switch::new(true);
    let options = Options::default().producer("p@h").switch(switch.clone());
    let producer: StampedProducer =
        StampedProducer::new(&cluster.config(&[]), DefaultProducerContext, &options).unwrap();
    assert!(producer.prefetch("orders", LIMIT));
    for on in [true, true, false, false, true, false, true] {
        switch.set(on);
        let given = headers(&[(HEADER, Some("1;forwarded;1;00000000;0;7"))]);
        let record = BaseRecord::<str, str>::to("orders").payload("x").headers(given);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LIMIT).unwrap();

    let log = cluster.log("orders");
    let ours = |seq| Some(("p@h", seq));
    let forwarded = Some(("forwarded", 7));
    let stamps: Vec<_> =
        log.iter().map(|stored| stored.stamp().map(|stamp| (stamp.producer, stamp.seq))).collect();
    let expected = [ours(0), ours(1), forwarded, forwarded, ours(2), forwarded, ours(3)];
    assert_eq!(stamps, expected);
    let counts = producer.counts();
    assert_eq!((counts.stamped, counts.switched_off), (4, 3));
}

#[test]
fn before_metadata_is_there_messages_count_over_the_whole_topic() {
    let cluster = Cluster::new("orders", 4);
    let producer: StampedThreadedProducer = cluster.config(&[]).create().unwrap();
    let mut sent = 0_u64;
    // Nobody waits for metadata; once it is there the lanes become the partitions'.
    until(|| {
        let key = sent.to_string();
        let record = BaseRecord::to("orders").payload("x").key(&*key);
        match producer.send(record) {
            Ok(()) => sent += 1,
            Err(_) => producer.flush(LIMIT).unwrap(),
        }
        let counts = producer.counts();
        counts.stamped > 10 && counts.stamped > counts.unknown_partition
    });
    producer.flush(LIMIT).unwrap();
    let log = cluster.log("orders");
    assert_eq!(u64::try_from(log.len()).unwrap(), sent);
    assert_consecutive("orders", &log);
    let whole = log.iter().filter(|stored| stored.stamp().unwrap().lane == "*").count();
    assert_eq!(u64::try_from(whole).unwrap(), producer.counts().unknown_partition);
    assert!(whole > 0, "the first message cannot know its partition");
}

#[derive(Default)]
struct Watching {
    delivered: Mutex<Vec<(usize, Result<i64, KafkaError>)>>,
    statistics: AtomicUsize,
}

impl ClientContext for Watching {
    fn stats(&self, _: Statistics) {
        self.statistics.fetch_add(1, Ordering::Relaxed);
    }
}

impl ProducerContext for Watching {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, report: &DeliveryResult<'_>, number: Box<usize>) {
        let report = match report {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        self.delivered.lock().unwrap().push((*number, report));
    }
}

#[test]
fn the_application_s_own_context_is_called_with_its_own_opaque() {
    let cluster = Cluster::new("orders", 1);
    let producer: StampedProducer<Watching> = cluster
        .config(&[("statistics.interval.ms", "10")])
        .create_with_context(Watching::default())
        .unwrap();
    for number in [3, 1, 2] {
        let record = BaseRecord::<str, str, _>::with_opaque_to("orders", Box::new(number));
        producer.send(record.partition(0)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LIMIT).unwrap();
    let context = producer.context();
    let delivered = std::mem::take(&mut *context.delivered.lock().unwrap());
    assert_eq!(delivered, [(3, Ok(0)), (1, Ok(1)), (2, Ok(2))]);
    until(|| {
        producer.poll(std::time::Duration::from_millis(10));
        context.statistics.load(Ordering::Relaxed) > 0
    });
}
