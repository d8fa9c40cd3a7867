//! The future-returning producer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{FutureRecord, Producer};
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, Statistics};

use lacuna_kafka::StampedFutureProducer;

use crate::support::{Cluster, LIMIT, assert_consecutive, book, until};

const TOPIC: &str = "orders";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn record(payload: &str) -> FutureRecord<'_, str, str> {
    FutureRecord::to(TOPIC).payload(payload).partition(0)
}

#[test]
fn a_send_resolves_with_its_delivery() {
    let cluster = Cluster::new(TOPIC, 1);
    let producer: StampedFutureProducer = cluster.config(&[]).create().unwrap();
    block_on(async {
        for offset in 0..3 {
            let delivery = producer.send(record("x"), Timeout::Never).await.unwrap();
            assert_eq!((delivery.partition, delivery.offset), (0, offset));
        }
    });
    assert_consecutive(TOPIC, &cluster.log(TOPIC));
    assert_eq!(book(&producer, TOPIC, "0").pending, []);
}

#[test]
fn a_dropped_future_is_still_in_the_book() {
    let cluster = Cluster::new(TOPIC, 1);
    let producer: StampedFutureProducer = cluster.config(&[]).create().unwrap();
    for _ in 0..3 {
        drop(producer.send_result(record("x")).map_err(|(error, _)| error).unwrap());
    }
    producer.flush(LIMIT).unwrap();
    let record = book(&producer, TOPIC, "0");
    assert_eq!((record.next, record.pending, record.unanswered), (3, vec![], vec![]));
    assert_eq!(cluster.log(TOPIC).len(), 3);
}

#[test]
fn a_full_queue_is_waited_for_as_long_as_allowed() {
    let cluster = Cluster::new(TOPIC, 1);
    let config = cluster.config(&[("queue.buffering.max.messages", "1")]);
    let producer: StampedFutureProducer = config.create().unwrap();
    let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
    cluster.0.broker_down(1).unwrap();
    let first = producer.send_result(record("first")).map_err(|(error, _)| error).unwrap();
    block_on(async {
        let (error, message) =
            producer.send(record("second"), std::time::Duration::ZERO).await.unwrap_err();
        assert_eq!(error, full);
        assert_eq!(message.payload(), Some(&b"second"[..]));
        assert!(message.headers().is_none());
        let third = producer.send(record("third"), Timeout::Never);
        cluster.0.broker_up(1).unwrap();
        assert_eq!(third.await.unwrap().offset, 1);
        assert_eq!(first.await.unwrap().unwrap().offset, 0);
    });
    let log = cluster.log(TOPIC);
    assert_eq!(log.len(), 2);
    assert_consecutive(TOPIC, &log);
}

#[test]
fn the_application_s_own_context_is_called() {
    struct Counting(Arc<AtomicUsize>);
    impl ClientContext for Counting {
        fn stats(&self, _: Statistics) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let cluster = Cluster::new(TOPIC, 1);
    let calls = Arc::new(AtomicUsize::new(0));
    let producer: StampedFutureProducer<Counting> = cluster
        .config(&[("statistics.interval.ms", "10")])
        .create_with_context(Counting(Arc::clone(&calls)))
        .unwrap();
    until(|| {
        producer.poll(std::time::Duration::from_millis(10));
        calls.load(Ordering::Relaxed) > 0
    });
}
