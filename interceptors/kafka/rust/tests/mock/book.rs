//! The book that is kept from delivery reports.

use rdkafka::bindings::rd_kafka_resp_err_t as Code;
use rdkafka::producer::{
    BaseRecord, DefaultProducerContext, NoCustomPartitioner, Producer, PurgeConfig,
};
use rdkafka::types::RDKafkaApiKey;

use lacuna_kafka::{Enqueue, Options, StampedProducer, StampedThreadedProducer};

use crate::support::{Cluster, LIMIT, book};

const TOPIC: &str = "orders";

fn send<P>(producer: &StampedProducer<DefaultProducerContext, NoCustomPartitioner, P>, count: usize)
where
    P: Enqueue<DefaultProducerContext, NoCustomPartitioner>,
{
    for _ in 0..count {
        let record = BaseRecord::<str, str>::to(TOPIC).payload("x").partition(0);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
}

#[test]
fn pending_until_it_is_acknowledged() {
    let cluster = Cluster::new(TOPIC, 1);
    // What it sends by itself would have numbers, too.
    let options = Options::default().ledger(None).sidecar(None);
    let config = cluster.config(&[]);
    let producer: StampedProducer =
        StampedProducer::new(&config, DefaultProducerContext, &options).unwrap();
    send(&producer, 5);
    let before = book(&producer, TOPIC, "0");
    assert_eq!((before.next, before.pending), (5, vec![(0, 4)]));
    producer.flush(LIMIT).unwrap();
    let after = book(&producer, TOPIC, "0");
    assert_eq!((after.next, after.pending), (5, vec![]));
    assert_eq!((after.refused, after.unanswered), (vec![], vec![]));
    assert_eq!((before.rev, after.rev), (1, 2));
}

#[test]
fn what_the_broker_refuses_is_refused() {
    let cluster = Cluster::new(TOPIC, 1);
    let producer: StampedProducer = cluster.config(&[]).create().unwrap();
    send(&producer, 1);
    producer.flush(LIMIT).unwrap();
    let refusal = Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    cluster.0.request_errors(RDKafkaApiKey::Produce, &[refusal]);
    send(&producer, 1);
    producer.flush(LIMIT).unwrap();
    send(&producer, 1);
    producer.flush(LIMIT).unwrap();
    let record = book(&producer, TOPIC, "0");
    assert_eq!((record.next, record.refused), (3, vec![(1, 1)]));
    assert_eq!((record.pending, record.unanswered), (vec![], vec![]));
}

#[test]
fn a_refusal_that_may_come_after_the_write_is_none() {
    let cluster = Cluster::new(TOPIC, 1);
    let producer: StampedProducer = cluster.config(&[("retries", "0")]).create().unwrap();
    let unsure = Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
    cluster.0.request_errors(RDKafkaApiKey::Produce, &[unsure]);
    send(&producer, 1);
    producer.flush(LIMIT).unwrap();
    let record = book(&producer, TOPIC, "0");
    assert_eq!((record.refused, record.unanswered), (vec![], vec![(0, 0)]));
}

#[test]
fn a_local_timeout_is_no_answer() {
    let cluster = Cluster::new(TOPIC, 1);
    let producer: StampedProducer =
        cluster.config(&[("message.timeout.ms", "100")]).create().unwrap();
    cluster.0.broker_down(1).unwrap();
    send(&producer, 2);
    producer.flush(LIMIT).unwrap();
    let record = book(&producer, TOPIC, "0");
    assert_eq!((record.pending, record.unanswered), (vec![], vec![(0, 1)]));
}

#[test]
fn what_is_purged_from_the_queue_was_never_sent() {
    let cluster = Cluster::new(TOPIC, 1);
    let producer: StampedProducer = cluster.config(&[]).create().unwrap();
    cluster.0.broker_down(1).unwrap();
    send(&producer, 2);
    producer.purge(PurgeConfig::default().queue());
    producer.flush(LIMIT).unwrap();
    let record = book(&producer, TOPIC, "0");
    assert_eq!((record.pending, record.refused), (vec![], vec![(0, 1)]));
}

#[test]
fn without_acks_nothing_is_ever_acknowledged() {
    for name in ["acks", "request.required.acks"] {
        let cluster = Cluster::new(TOPIC, 1);
        let producer: StampedProducer = cluster.config(&[(name, "0")]).create().unwrap();
        send(&producer, 3);
        producer.flush(LIMIT).unwrap();
        let record = book(&producer, TOPIC, "0");
        assert_eq!((record.pending, record.unanswered), (vec![], vec![(0, 2)]), "{name}");
    }
}

#[test]
fn without_reports_of_success_nothing_is_ever_acknowledged() {
    let cluster = Cluster::new(TOPIC, 1);
    let config = cluster.config(&[("delivery.report.only.error", "true")]);
    let producer: StampedProducer = config.create().unwrap();
    send(&producer, 3);
    producer.flush(LIMIT).unwrap();
    let record = book(&producer, TOPIC, "0");
    assert_eq!((record.pending, record.unanswered), (vec![], vec![(0, 2)]));
}

#[test]
fn a_transaction_s_numbers_are_pending_then_acknowledged_or_aborted() {
    let cluster = Cluster::new(TOPIC, 1);
    let config = cluster.config(&[("transactional.id", "t")]);
    let producer: StampedThreadedProducer = config.create().unwrap();
    producer.init_transactions(LIMIT).unwrap();

    producer.begin_transaction().unwrap();
    send(&producer, 2);
    producer.flush(LIMIT).unwrap();
    assert_eq!(book(&producer, TOPIC, "0").pending, [(0, 1)], "delivered, not committed");
    producer.commit_transaction(LIMIT).unwrap();
    assert_eq!(book(&producer, TOPIC, "0").pending, []);

    producer.begin_transaction().unwrap();
    send(&producer, 3);
    producer.abort_transaction(LIMIT).unwrap();
    producer.flush(LIMIT).unwrap();
    let aborted = book(&producer, TOPIC, "0");
    assert_eq!((aborted.next, aborted.aborted), (5, vec![(2, 4)]));
    assert_eq!((aborted.pending, aborted.refused), (vec![], vec![]));

    producer.begin_transaction().unwrap();
    send(&producer, 1);
    producer.commit_transaction(LIMIT).unwrap();
    let last = book(&producer, TOPIC, "0");
    assert_eq!((last.next, last.aborted, last.pending), (6, vec![(2, 4)], vec![]));
}
