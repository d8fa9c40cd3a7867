//! A range of a topic, read once into a checker by the records' own times.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lacuna_core::verdict::Cause;
use lacuna_core::{Checker, Observation, PartitionId, Watch};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::batch::{Key, Message, Queue};
use super::client::{Client, OpenError, connect, offsets};
use super::describe::Describe;
use super::policy::Policy;
use super::settings::KafkaSettings;
use crate::clock;

/// Longest wait for the broker's answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for messages before progress is told.
const WAIT: Duration = Duration::from_millis(100);
/// A broker that gives nothing for so long is not going to, ms.
const GIVE_UP_MS: u64 = 30_000;

/// One side of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// An offset, in every partition.
    Offset(u64),
    /// The first record that is not older than this, ms since the Unix epoch.
    Time(u64),
}

/// Where to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First; `None`: the topic's beginning.
    pub from: Option<Bound>,
    /// Where to stop, exclusive; `None`: the topic's end as it is when it is asked for.
    pub to: Option<Bound>,
}

/// How far it is, over all partitions, in offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Read.
    pub done: u64,
    /// To read in all.
    pub all: u64,
}

/// Why a range cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    /// The connection cannot be set up.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The broker does not answer, or refuses.
    #[error("broker: {0}")]
    Broker(#[from] KafkaError),
    /// There is none of that name.
    #[error("topic {0:?}: not known to the broker")]
    NoTopic(String),
    /// A partition has no leader that answers.
    #[error("partition {0}: its leader does not say where it begins and ends")]
    NoAnswer(i32),
    /// A partition cannot be read.
    #[error("partition {partition}: {error}")]
    Partition {
        /// Which.
        partition: i32,
        /// What librdkafka says.
        error: String,
    },
    /// Nothing came for long.
    #[error("partition {partition}: the broker has given nothing for {}s", GIVE_UP_MS / 1000)]
    Silent {
        /// Which.
        partition: i32,
    },
    /// The checker's limit.
    #[error("more partitions than the checker keeps")]
    Partitions,
}

/// Reads that range of `topic`, and tells how far it is about ten times a second. It returns when
/// it has read all of it.
pub fn read(
    settings: &KafkaSettings,
    topic: &str,
    range: Range,
    checker: &mut Checker,
    mut progress: impl FnMut(Progress),
) -> Result<(), RangeError> {
    let client = connect(settings)?;
    let metadata = client.fetch_metadata(Some(topic), TIMEOUT)?;
    let count = metadata.topics().first().filter(|topic| topic.error().is_none());
    let count = count.map_or(0, |topic| topic.partitions().len());
    if count == 0 {
        return Err(RangeError::NoTopic(topic.to_owned()));
    }
    let broker = metadata.brokers().first().map_or(-1, |broker| broker.id());
    let describe = Describe { client: client.clone(), broker, timeout: TIMEOUT };
    let policies = describe.policies(&[Arc::from(topic)])?;
    let policy = policies.get(topic).copied().unwrap_or(Policy::Untold);
    let partitions: Vec<i32> = (0..).take(count).collect();
    let asked = clock::now_ms();
    let log = Log { client: &client, topic, partitions: &partitions };
    let (starts, ends) = (log.offsets(Offset::Beginning)?, log.offsets(Offset::End)?);
    let from = log.bound(range.from, &ends)?;
    let to = log.bound(range.to, &ends)?;

    let mut reading = Reading {
        queue: Queue::new(client.clone()),
        checker,
        asked,
        parts: Vec::with_capacity(count),
        by_key: HashMap::default(),
        open: 0,
    };
    let stream = settings.stream(topic);
    for (index, &partition) in partitions.iter().enumerate() {
        let (start, end) = (starts[index], ends[index]);
        let first = from.as_ref().map_or(start, |from| from[index]).clamp(start, end);
        let stop = to.as_ref().map_or(end, |to| to[index]).clamp(first, end);
        let id = reading.checker.partition("log", &stream, &partition.to_string());
        let id = id.ok_or(RangeError::Partitions)?;
        let (next, watched) = (first, false);
        let mut part = Part { partition, id, first, next, stop, end, watched, policy };
        if range.from.is_none() {
            let watch =
                Watch { from_start: true, position: Some(first), at: asked, ..Watch::default() };
            reading.checker.watch(id, &watch);
            part.watched = true;
            if let Some(last) = first.checked_sub(1) {
                reading.checker.absent(id, 0, last, Cause::Retention, asked);
            }
        }
        if first < stop {
            let key = reading.queue.start(topic, partition, first);
            let key = key.map_err(KafkaError::MessageConsumption)?;
            reading.by_key.insert(key, index);
            reading.open += 1;
        }
        reading.parts.push(part);
    }
    reading.run(&log, &mut progress)
}

/// The topic's log, as the broker is asked for it.
struct Log<'a> {
    client: &'a Client,
    topic: &'a str,
    partitions: &'a [i32],
}

impl Log<'_> {
    fn ask(&self, of: Offset) -> Result<Vec<Option<u64>>, RangeError> {
        let places: Vec<_> = self.partitions.iter().map(|&p| (self.topic, p)).collect();
        let answers = offsets(self.client, &places, of, TIMEOUT)?;
        let answer =
            |place: &(&str, i32)| answers.get(place).copied().ok_or(RangeError::NoAnswer(place.1));
        places.iter().map(answer).collect()
    }

    fn offsets(&self, of: Offset) -> Result<Vec<u64>, RangeError> {
        let answers = self.ask(of)?.into_iter().zip(self.partitions);
        answers.map(|(offset, &partition)| offset.ok_or(RangeError::NoAnswer(partition))).collect()
    }

    /// A bound as one offset a partition.
    fn bound(&self, bound: Option<Bound>, ends: &[u64]) -> Result<Option<Vec<u64>>, RangeError> {
        Ok(match bound {
            None => None,
            Some(Bound::Offset(offset)) => Some(vec![offset; ends.len()]),
            Some(Bound::Time(time)) => {
                let time = Offset::Offset(i64::try_from(time).unwrap_or(i64::MAX));
                let answers = self.ask(time)?.into_iter().zip(ends);
                // Where nothing is as new as that, it is the end.
                Some(answers.map(|(offset, &end)| offset.unwrap_or(end)).collect())
            }
        })
    }
}

/// A partition of the range.
struct Part {
    partition: i32,
    id: PartitionId,
    first: u64,
    next: u64,
    stop: u64,
    /// The log's end when it was asked for.
    end: u64,
    watched: bool,
    /// The broker may take single records out.
    policy: Policy,
}

struct Reading<'a> {
    queue: Queue,
    checker: &'a mut Checker,
    /// When the ends were asked for; no time is later.
    asked: u64,
    parts: Vec<Part>,
    by_key: HashMap<Key, usize, foldhash::fast::RandomState>,
    /// Partitions with something left to read.
    open: usize,
}

impl Reading<'_> {
    fn run(mut self, log: &Log<'_>, progress: &mut impl FnMut(Progress)) -> Result<(), RangeError> {
        let all = self.parts.iter().map(|part| part.stop - part.first).sum();
        let mut told_at = 0;
        let mut moved_at = clock::now_ms();
        while self.open > 0 {
            let came = self.read_batch(log)?;
            while log.client.poll(Duration::ZERO).is_some() {}
            let now = clock::now_ms();
            if came {
                moved_at = now;
            } else if now > moved_at + GIVE_UP_MS {
                let silent = self.parts.iter().find(|part| part.next < part.stop);
                let partition = silent.map_or(0, |part| part.partition);
                return Err(RangeError::Silent { partition });
            }
            if now >= told_at + 100 {
                told_at = now;
                let done = self.parts.iter().map(|part| part.next - part.first).sum();
                progress(Progress { done, all });
            }
        }
        for part in &self.parts {
            if !part.watched {
                // It was joined, and holds nothing.
                let position = Some(part.first);
                let watch = Watch { position, at: self.asked, ..Watch::default() };
                self.checker.watch(part.id, &watch);
            }
            if part.stop == part.end {
                self.checker.end(part.id, Some(part.end), self.asked);
            }
        }
        Ok(())
    }

    fn read_batch(&mut self, log: &Log<'_>) -> Result<bool, RangeError> {
        let Self { queue, checker, parts, by_key, asked, .. } = self;
        let mut done = Vec::new();
        let mut failed = Vec::new();
        let batch = queue.read(WAIT);
        let came = batch.len() > 0;
        batch.for_each(|message| {
            let key = message.key();
            let Some(&index) = by_key.get(&key) else { return };
            let part = &mut parts[index];
            if part.next >= part.stop {
                return;
            }
            match message.error() {
                None => part.take(checker, *asked, message),
                Some(RDKafkaErrorCode::PartitionEOF) => {
                    part.next = part.next.max(message.offset().unwrap_or(0)).min(part.stop);
                }
                Some(error) => failed.push((key, index, error, message.error_text())),
            }
            if part.next >= part.stop {
                done.push(key);
            }
        });
        for key in done {
            self.queue.stop(key);
            self.open -= 1;
        }
        for (key, index, error, text) in failed {
            self.go_on(log, key, index, error, text)?;
        }
        Ok(came)
    }

    /// Retention may overtake an audit; every other error of a partition ends it.
    fn go_on(
        &mut self,
        log: &Log<'_>,
        key: Key,
        index: usize,
        code: RDKafkaErrorCode,
        error: String,
    ) -> Result<(), RangeError> {
        let part = &mut self.parts[index];
        let partition = part.partition;
        let start = if code == RDKafkaErrorCode::AutoOffsetReset {
            log.offsets(Offset::Beginning)?[index]
        } else {
            part.next
        };
        if start <= part.next {
            return Err(RangeError::Partition { partition, error });
        }
        let last = start.min(part.stop) - 1;
        self.checker.absent(part.id, part.next, last, Cause::Retention, self.asked);
        part.next = last + 1;
        if part.next < part.stop {
            let restarted = self.queue.restart(key, start);
            restarted.map_err(|code| KafkaError::MessageConsumption(code).into())
        } else {
            self.queue.stop(key);
            self.open -= 1;
            Ok(())
        }
    }
}

impl Part {
    fn take(&mut self, checker: &mut Checker, asked: u64, message: &Message) {
        let Some(position) = message.offset() else { return };
        if position >= self.stop {
            self.next = self.stop;
            return;
        }
        let time = message.time();
        let at = time.unwrap_or(asked).min(asked);
        if !self.watched {
            // Joined at the record's own time, not at that of the audit.
            let position = Some(self.first);
            checker.watch(self.id, &Watch { position, at, ..Watch::default() });
            self.watched = true;
        }
        self.policy.pass_over(checker, self.id, (self.next, position), at);
        self.next = position + 1;
        let position = Some(position);
        let stamp = message.stamp();
        checker.observe(self.id, &Observation { position, at, time, stamp, redelivered: None });
    }
}
