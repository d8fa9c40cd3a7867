//! A consumer of a group that errs on purpose, and says what it was handed as its group's view.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::Duration;

use lacuna_core::Watch;
use lacuna_core::stamp::{self, Stamp};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::topic_partition_list::Offset;
use tokio::runtime::Handle;

use super::plan::{Dice, Junk, Stream};
use super::producer::mark;
use super::run::DemoError;
use super::truth::{GROUP, Lane, Truth};
use crate::clock;
use crate::engine::Engine;
use crate::record::{Event, Line, Message, Place};

/// Longest wait for a message.
const WAIT: Duration = Duration::from_millis(50);
/// Longest wait for a seek.
const SEEK: Duration = Duration::from_secs(5);
/// Messages told to the sidecar at once.
const TOLD: usize = 500;
/// Of so many messages handed, one has the consumer go back.
const BACK_EVERY: u64 = 2_000;
/// Of so many messages that may be skipped, one is.
const SKIP_EVERY: u64 = 1_000;
/// It is handed at most so many again at once.
const BACK: u64 = 8;
/// Nothing new for so long, and it gives up, ms.
const PATIENCE_MS: u64 = 20_000;

/// What the consumer is given.
pub(super) struct Task {
    pub(super) brokers: String,
    pub(super) partitions: i32,
    pub(super) dice: Dice,
    pub(super) engine: Engine,
    pub(super) runtime: Handle,
    /// Every lane's producers and epochs are read from stamps; names are these.
    pub(super) producers: &'static [&'static str],
    /// Where each partition's log ends, once the producers are done.
    pub(super) ends: std::sync::Arc<OnceLock<Vec<u64>>>,
}

/// Consumes the orders to the end that the producers leave.
pub(super) fn consume(task: Task) -> Result<Truth, DemoError> {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &task.brokers)
        .set("group.id", GROUP)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()?;
    client.subscribe(&[Stream::Orders.topic()])?;
    let partitions = usize::try_from(task.partitions).unwrap_or(0);
    let mut consuming = Consuming {
        lines: (0..task.partitions).map(watch).collect(),
        high: vec![0; partitions],
        floor: vec![0; partitions],
        fresh: 0,
        plain: 0,
        truth: Truth::default(),
        task,
    };
    let mut moved_at = clock::now_ms();
    while !consuming.is_done() {
        let now = clock::now_ms();
        match client.poll(WAIT) {
            Some(message) => {
                consuming.take(&client, &message?)?;
                moved_at = now;
            }
            None if now > moved_at + PATIENCE_MS => return Err(DemoError::Stuck),
            None => consuming.tell()?,
        }
        if consuming.lines.len() >= TOLD {
            consuming.tell()?;
        }
    }
    consuming.tell()?;
    Ok(consuming.truth)
}

/// Says that the group has read all that there is.
pub(super) fn ends(ends: &[u64]) -> Vec<Line<'static>> {
    let at = clock::now_ms();
    (0..)
        .zip(ends)
        .map(|(p, &end)| Line::At(place(p), Event::End { position: Some(end), at }))
        .collect()
}

struct Consuming {
    task: Task,
    truth: Truth,
    lines: Vec<Line<'static>>,
    /// Of each partition: the position above all that were handed.
    high: Vec<u64>,
    /// Of each partition: below it the consumer does not go back, as there it has skipped one.
    floor: Vec<u64>,
    /// Messages handed for the first time, and those of them that may be skipped. Faults are counted
    /// out and not drawn, so that a short run has them too: in which order partitions are read is
    /// not the dice's to say.
    fresh: u64,
    plain: u64,
}

impl Consuming {
    fn is_done(&self) -> bool {
        let ends = self.task.ends.get();
        ends.is_some_and(|ends| self.high.iter().zip(ends).all(|(high, end)| high >= end))
    }

    fn take(&mut self, client: &BaseConsumer, message: &BorrowedMessage<'_>) -> KafkaResult<()> {
        let partition = message.partition();
        let (Ok(index), Ok(position)) =
            (usize::try_from(partition), u64::try_from(message.offset()))
        else {
            return Ok(());
        };
        let again = position < self.high[index];
        let payload = message.payload().unwrap_or_default();
        let stamp = stamp_of(message);
        if again {
            self.truth.group.redelivered += u64::from(payload != mark::JUNK);
        } else {
            self.high[index] = position + 1;
            self.fresh += 1;
            self.plain += u64::from(payload == mark::PLAIN);
            if payload == mark::PLAIN && self.plain % SKIP_EVERY == SKIP_EVERY / 2 {
                self.truth.skipped.extend(stamp.and_then(|stamp| self.number(partition, stamp)));
                self.floor[index] = position + 1;
                return Ok(());
            }
            self.truth.group.resent += u64::from(payload == mark::COPY);
            self.truth.group.reordered += u64::from(payload == mark::OVERTAKEN);
        }
        if payload == mark::JUNK {
            self.truth.group.junk(junk(stamp));
        } else {
            self.truth.group.valid += 1;
        }
        let time = message.timestamp().to_millis().and_then(|time| u64::try_from(time).ok());
        self.lines.push(Line::At(
            place(partition),
            Event::Message(Message {
                position: Some(position),
                at: clock::now_ms(),
                time,
                stamp: stamp.map(|stamp| Cow::Owned(stamp.to_owned())),
                redelivered: None,
            }),
        ));
        if !again && self.fresh % BACK_EVERY == BACK_EVERY / 2 {
            let back = (position + 1).saturating_sub(1 + self.task.dice.roll(BACK));
            let back = i64::try_from(back.max(self.floor[index])).unwrap_or(0);
            client.seek(Stream::Orders.topic(), partition, Offset::Offset(back), SEEK)?;
        }
        Ok(())
    }

    fn number(&self, partition: i32, stamp: &str) -> Option<(Lane, u64)> {
        let stamp = Stamp::parse(stamp.as_bytes()).ok()?;
        let producer = *self.task.producers.iter().find(|&&name| name == stamp.producer)?;
        let lane = Lane { stream: Stream::Orders, producer, epoch: stamp.epoch, partition };
        Some((lane, stamp.seq))
    }

    fn tell(&mut self) -> Result<(), DemoError> {
        let lines = std::mem::take(&mut self.lines);
        Ok(self.task.runtime.block_on(self.task.engine.observations(lines))?)
    }
}

fn watch(partition: i32) -> Line<'static> {
    let watch =
        Watch { from_start: true, position: Some(0), at: clock::now_ms(), ..Watch::default() };
    Line::At(place(partition), Event::Watch(watch))
}

fn place(partition: i32) -> Place<'static> {
    Place {
        view: Cow::Borrowed(GROUP),
        stream: Cow::Borrowed(Stream::Orders.topic()),
        partition: Cow::Owned(partition.to_string()),
    }
}

fn stamp_of<'a>(message: &'a BorrowedMessage<'_>) -> Option<&'a str> {
    let headers = message.headers()?;
    let header = headers.iter().find(|header| header.key == stamp::HEADER)?;
    std::str::from_utf8(header.value?).ok()
}

/// Which junk it is, by what the producer put there.
fn junk(stamp: Option<&str>) -> Junk {
    match stamp {
        None => Junk::Unstamped,
        Some(stamp) if stamp.starts_with("2;") => Junk::Unsupported,
        Some(stamp) if stamp.ends_with("not a stamp") => Junk::Malformed,
        Some(_) => Junk::Foreign,
    }
}
