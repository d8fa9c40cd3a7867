//! What every producer variant shares: choose the partition, take the number, put the stamp, and
//! keep the book. Whatever goes wrong here, the message goes out unstamped and is counted.
#![expect(clippy::result_large_err, reason = "rdkafka gives a refused record back by value")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lacuna_core::ledger::LedgerRecord;
use lacuna_core::stamp;
use lacuna_interceptor::{Answers, Counts, Identity, Outcome, Switch, Unstamped, clock};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message, ToBytes};
use rdkafka::producer::{BaseRecord, PARTITION_UA, Partitioner};
use rdkafka::util::IntoOpaque;

use crate::carrier;
use crate::lanes::{Topic, Topics};
use crate::metadata::{self, Questions};
use crate::native::{self, Persistence};
use crate::options::Options;
use crate::partition::{self, Choice, Placement, property};

/// What librdkafka answers to a message that it does not take, and the message.
pub(crate) type Refusal<'a, K, P, D> = (KafkaError, BaseRecord<'a, K, P, D>);

/// One producer's stamping.
#[derive(Debug)]
pub(crate) struct Stamper {
    identity: Identity,
    switch: Switch,
    /// Whether to choose where librdkafka would choose freely.
    choose: bool,
    placement: Placement,
    transactional: bool,
    answers: Answers,
    pub(crate) refresh: Duration,
    pub(crate) topics: Arc<Topics>,
    pub(crate) questions: Arc<Questions>,
    unstamped: Unstamped,
}

impl Stamper {
    pub(crate) fn new(config: &ClientConfig, options: &Options, custom: bool) -> KafkaResult<Self> {
        let native = config.create_native_config()?;
        let only_errors = property(&native, "delivery.report.only.error");
        Ok(Self {
            identity: options.stamping.identity(config.get("client.id")),
            switch: options.stamping.switch.clone(),
            choose: options.choose,
            placement: Placement::new(config, &native, custom),
            transactional: property(&native, "transactional.id").is_some(),
            answers: match only_errors.as_deref() {
                Some("true") => Answers::OnlyErrors,
                Some(_) | None => Answers::All,
            },
            refresh: metadata::refresh_interval(&native),
            topics: Arc::default(),
            questions: Arc::default(),
            unstamped: Unstamped::default(),
        })
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn switch(&self) -> &Switch {
        &self.switch
    }

    /// Sends a record through `enqueue`, stamped if that can be. A refusal gives back the record
    /// as the application made it.
    #[inline]
    pub(crate) fn send<'a, K, P, D, Part>(
        &self,
        record: BaseRecord<'a, K, P, D>,
        custom: Option<&Part>,
        enqueue: impl Fn(BaseRecord<'a, K, P, D>) -> Result<(), Refusal<'a, K, P, D>>,
    ) -> Result<(), Refusal<'a, K, P, D>>
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
        D: IntoOpaque,
        Part: Partitioner,
    {
        if !self.switch.is_on() {
            return count(enqueue(record), &self.unstamped.switched_off);
        }
        let topic = self.topics.entry(record.topic);
        let (mut partition, ours) = match record.partition {
            None | Some(PARTITION_UA) => {
                (self.place(topic, record.key.map(ToBytes::to_bytes), custom), true)
            }
            Some(explicit) => (Some(explicit).filter(|&number| number >= 0), false),
        };
        let mut record = record;
        loop {
            match self.stamped(topic, record, partition, &enqueue) {
                // The topic has fewer partitions than was last heard: let librdkafka place it.
                Err((
                    KafkaError::MessageProduction(RDKafkaErrorCode::UnknownPartition),
                    refused,
                )) if ours && partition.is_some() => {
                    self.ask(topic);
                    (partition, record) = (None, refused);
                }
                result => return result,
            }
        }
    }

    /// A delivery report.
    pub(crate) fn delivered(&self, report: &DeliveryResult<'_>) {
        let (message, error) = match report {
            Ok(message) => (message, None),
            Err((error, message)) => (message, Some(error)),
        };
        let Some((prefix, seq)) = native::stamp(message).and_then(stamp::split) else {
            return;
        };
        if let Some(topic) = self.topics.find(message.topic()) {
            topic.settle(message.partition(), prefix, seq, outcome(message, error));
        }
    }

    /// The open transaction was committed or rolled back.
    pub(crate) fn end_transaction(&self, committed: bool) {
        for lane in self.topics.lanes() {
            lane.end_transaction(committed);
        }
    }

    /// One record of every lane, as of now.
    pub(crate) fn ledger(&self, mut visit: impl FnMut(&LedgerRecord<'_>)) {
        let now = clock::unix_ms();
        for lane in self.topics.lanes() {
            visit(&lane.record(&self.identity, self.answers, now));
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.unstamped.counts(self.topics.lanes())
    }

    /// Where a message without a partition of its own goes; `None` while that is not known.
    fn place<Part: Partitioner>(
        &self,
        topic: &Topic,
        key: Option<&[u8]>,
        custom: Option<&Part>,
    ) -> Option<i32> {
        let count = topic.count();
        if count == 0 {
            self.ask(topic);
            return None;
        }
        let free = match self.placement.choice(key) {
            Choice::Hashed(hash) => return partition::hashed(hash, key, count),
            Choice::Custom => {
                let count = i32::try_from(count).ok()?;
                let is_led = |partition| {
                    usize::try_from(partition).is_ok_and(|number| topic.spread().is_led(number))
                };
                return custom
                    .map(|custom| custom.partition(topic.name(), key, count, is_led))
                    .filter(|partition| (0..count).contains(partition));
            }
            Choice::Sticky(_) | Choice::Random if !self.choose => None,
            Choice::Sticky(linger) => topic.spread().sticky(linger, clock::monotonic()),
            Choice::Random => topic.spread().random(),
        };
        free.and_then(|partition| i32::try_from(partition).ok())
    }

    /// Takes a number of the partition's lane and sends with it.
    #[inline]
    fn stamped<'a, K, P, D>(
        &self,
        topic: &Topic,
        mut record: BaseRecord<'a, K, P, D>,
        partition: Option<i32>,
        enqueue: &impl Fn(BaseRecord<'a, K, P, D>) -> Result<(), Refusal<'a, K, P, D>>,
    ) -> Result<(), Refusal<'a, K, P, D>>
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
        D: IntoOpaque,
    {
        let lane = topic.lane(partition, &self.identity, self.transactional);
        let turn = lane.turn();
        let Some(value) = turn.stamp() else {
            return count(enqueue(record), &self.unstamped.unstampable);
        };
        let asked = record.partition;
        let (headers, before) = carrier::stamp(record.headers.take(), value);
        record.headers = Some(headers);
        record.partition = partition.or(asked);
        let (mut error, mut record) = match enqueue(record) {
            Ok(()) => {
                lane.taken(turn);
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        drop(turn);
        if error == KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge) {
            record.headers = carrier::unstamp(record.headers, &before);
            match count(enqueue(record), &self.unstamped.too_large) {
                Ok(()) => return Ok(()),
                Err(refusal) => (error, record) = refusal,
            }
        }
        record.headers = carrier::restore(record.headers, before);
        record.partition = asked;
        Err((error, record))
    }

    /// Has the background ask for a topic's partitions, once at a time.
    pub(crate) fn ask(&self, topic: &Topic) {
        if !topic.asked.swap(true, Ordering::AcqRel) {
            self.questions.ask(topic.name());
        }
    }
}

/// Counts a message that went out unstamped.
fn count<E>(result: Result<(), E>, counter: &AtomicU64) -> Result<(), E> {
    if result.is_ok() {
        counter.fetch_add(1, Ordering::Relaxed);
    }
    result
}

/// What a report says of the message (contracts §2). "Refused" must be certain.
fn outcome(message: &BorrowedMessage<'_>, error: Option<&KafkaError>) -> Outcome {
    use RDKafkaErrorCode::{MessageTimedOut, PurgeInflight, Unknown};
    let code = error.and_then(KafkaError::rdkafka_error_code);
    // A broker that says "unknown" does not say what it did before.
    let without_answer = matches!(code, Some(MessageTimedOut | PurgeInflight | Unknown));
    match (error, native::persistence(message)) {
        (_, Persistence::Possibly) | (None, Persistence::No) => Outcome::Unanswered,
        (_, Persistence::Yes) => Outcome::Acknowledged,
        (Some(_), Persistence::No) if without_answer => Outcome::Unanswered,
        (Some(_), Persistence::No) => Outcome::Refused,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use rdkafka::producer::NoCustomPartitioner;

    use super::*;

    /// A record that was refused because its topic had shrunk goes where librdkafka places it, with
    /// a number of lane `*`; the partition's lane keeps its own.
    #[test]
    fn a_partition_that_is_gone_is_left_to_librdkafka() {
        let mut config = ClientConfig::new();
        config.set("partitioner", "murmur2");
        let stamper = Stamper::new(&config, &Options::default(), false).unwrap();
        stamper.topics.entry("orders").learn(vec![true; 5]);
        let tries = RefCell::new(Vec::new());
        let send = |record| {
            stamper.send(
                record,
                None::<&NoCustomPartitioner>,
                |record: BaseRecord<'_, str, str>| {
                    tries.borrow_mut().push(record.partition);
                    match record.partition {
                        Some(_) => {
                            let gone = RDKafkaErrorCode::UnknownPartition;
                            Err((KafkaError::MessageProduction(gone), record))
                        }
                        None => Ok(()),
                    }
                },
            )
        };
        assert!(send(BaseRecord::to("orders").key("k").payload("x")).is_ok());
        assert!(matches!(tries.take()[..], [Some(0..5), None]));
        let explicit = send(BaseRecord::to("orders").partition(7).payload("x"));
        assert!(explicit.is_err_and(|(_, record)| record.partition == Some(7)));
        assert_eq!(tries.take(), [Some(7)]);
        let counts = stamper.counts();
        assert_eq!((counts.stamped, counts.unknown_partition), (1, 1));
    }
}
