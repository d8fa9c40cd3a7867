//! A producer that stamps, and errs on purpose.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use lacuna_core::stamp::{self, Encoder};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::plan::{Dice, Fate, Junk, Stream};
use super::truth::{Lane, Truth};
use crate::clock;

/// Messages between the pauses that keep the pace.
const STEP: u64 = 50;
/// Longest wait for the last answers.
const FLUSH: Duration = Duration::from_secs(10);

/// A message's payload, by which the consumer knows what was done to it.
pub(super) mod mark {
    /// Nothing.
    pub(in crate::demo) const PLAIN: &[u8] = b"plain: an order of the demonstration";
    /// Nothing, and the consumer must not skip it: something hangs on its lane's going on.
    pub(in crate::demo) const KEPT: &[u8] = b"kept: an order of the demonstration";
    /// The second copy.
    pub(in crate::demo) const COPY: &[u8] = b"copy: an order of the demonstration";
    /// It was overtaken.
    pub(in crate::demo) const OVERTAKEN: &[u8] = b"overtaken: an order of the demonstration";
    /// Not of a lane.
    pub(in crate::demo) const JUNK: &[u8] = b"junk: not an order";
}

/// How much is sent, and where to.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) brokers: String,
    pub(super) name: &'static str,
    pub(super) dice: Dice,
    pub(super) messages: u64,
    /// How long that takes, ms.
    pub(super) within_ms: u64,
    /// Partitions of [`Stream::ALL`].
    pub(super) partitions: [i32; 2],
    /// Starts anew at half time, as after a crash.
    pub(super) restarts: bool,
    /// Loses the very first message of a lane.
    pub(super) loses_first: bool,
    /// All that was sent by anybody, to show.
    pub(super) sent: Arc<AtomicU64>,
}

/// A message that was stamped and not sent yet.
#[derive(Clone, Debug)]
pub(super) struct Held {
    lane: Lane,
    stamp: Vec<u8>,
}

/// What a producer leaves.
pub(super) struct Outcome {
    pub(super) truth: Truth,
    /// To be sent once they are judged lost.
    pub(super) late: Vec<Held>,
}

/// Sends all of it, and waits for the broker's answers.
pub(super) fn produce(mut task: Task) -> KafkaResult<Outcome> {
    let mut lanes = Lanes { epoch: clock::now_ms(), lanes: HashMap::new() };
    let mut sending = Sending {
        client: Client::connect(&task.brokers)?,
        truth: Truth::default(),
        late: Vec::new(),
        soon: VecDeque::new(),
        sent: task.sent.clone(),
    };
    if task.loses_first {
        let lost = lanes.take(&task, Stream::Orders, 0);
        sending.swallow(&lost);
    }
    let began_at = clock::now_ms();
    for index in 0..task.messages {
        let stream = if index % 4 == 3 { Stream::Payments } else { Stream::Orders };
        let count = task.partitions[stream as usize];
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number of partitions, and one below it"
        )]
        let partition = task.dice.roll(count as u64) as i32;
        sending.send_next(&mut task, &mut lanes, stream, partition)?;
        sending.send_due()?;
        if task.restarts && index == task.messages / 2 {
            sending.close(&task, &mut lanes)?;
            // A later run of the same producer has a greater epoch.
            lanes = Lanes { epoch: clock::now_ms().max(lanes.epoch + 1), lanes: HashMap::new() };
            sending.truth.restarts += 1;
        }
        if index % STEP == 0 {
            // Nothing that was overtaken waits for the pace: it must come within the grace.
            sending.send_soon()?;
            let due = began_at + task.within_ms * index / task.messages;
            thread::sleep(Duration::from_millis(due.saturating_sub(clock::now_ms())));
        }
    }
    sending.close(&task, &mut lanes)?;
    sending.client.finish()?;
    Ok(Outcome { truth: sending.truth, late: sending.late })
}

/// Sends what was held until it was judged lost.
pub(super) fn send_late(brokers: &str, late: Vec<Held>) -> KafkaResult<Truth> {
    let client = Client::connect(brokers)?;
    let mut truth = Truth::default();
    for held in late {
        client.send(held.lane.stream, held.lane.partition, Some(&held.stamp), mark::KEPT)?;
        truth.count_write(held.lane.stream, held.lane.partition);
        truth.log.valid += 1;
        truth.late += 1;
    }
    client.finish()?;
    Ok(truth)
}

impl Truth {
    fn count_write(&mut self, stream: Stream, partition: i32) {
        *self.written.entry((stream, partition)).or_default() += 1;
    }
}

/// One run's lanes.
struct Lanes {
    epoch: u64,
    lanes: HashMap<(Stream, i32), (Encoder, u64)>,
}

/// A number, taken.
struct Taken {
    lane: Lane,
    number: u64,
    stamp: Vec<u8>,
}

impl Lanes {
    fn take(&mut self, task: &Task, stream: Stream, partition: i32) -> Taken {
        let epoch = self.epoch;
        let (encoder, next) = self.lanes.entry((stream, partition)).or_insert_with(|| {
            let label = partition.to_string();
            let encoder = Encoder::new(task.name, epoch, stream.topic(), &label);
            #[expect(clippy::expect_used, reason = "the demo's own names are of the form")]
            (encoder.expect("a name of the demo"), 0)
        });
        let number = *next;
        *next += 1;
        let lane = Lane { stream, producer: task.name, epoch, partition };
        Taken { lane, number, stamp: encoder.encode(number).to_vec() }
    }
}

struct Sending {
    client: Client,
    truth: Truth,
    late: Vec<Held>,
    /// Copies and overtaken messages, each with the number of sends until it is due.
    soon: VecDeque<(u64, Held, &'static [u8])>,
    sent: Arc<AtomicU64>,
}

impl Sending {
    fn send_next(
        &mut self,
        task: &mut Task,
        lanes: &mut Lanes,
        stream: Stream,
        partition: i32,
    ) -> KafkaResult<()> {
        match task.dice.fate(stream) {
            Fate::Plain => {
                let taken = lanes.take(task, stream, partition);
                self.send(&taken, mark::PLAIN)
            }
            Fate::Swallowed(count) => {
                for _ in 0..count {
                    let taken = lanes.take(task, stream, partition);
                    self.swallow(&taken);
                }
                Ok(())
            }
            Fate::Resent => {
                let taken = lanes.take(task, stream, partition);
                self.send(&taken, mark::KEPT)?;
                self.hold(task, taken, mark::COPY);
                Ok(())
            }
            Fate::Overtaken => {
                let taken = lanes.take(task, stream, partition);
                let next = lanes.take(task, stream, partition);
                self.count(&taken);
                self.hold(task, taken, mark::OVERTAKEN);
                self.send(&next, mark::KEPT)
            }
            Fate::Late => {
                let taken = lanes.take(task, stream, partition);
                let next = lanes.take(task, stream, partition);
                self.count(&taken);
                self.late.push(Held { lane: taken.lane, stamp: taken.stamp });
                self.send(&next, mark::KEPT)
            }
            Fate::Joined(junk) => {
                self.send_junk(task, junk, stream, partition)?;
                let taken = lanes.take(task, stream, partition);
                self.send(&taken, mark::PLAIN)
            }
        }
    }

    /// Ends a run: what is held goes out, and every lane ends with a message, as nothing but a
    /// producer's ledger could tell that a lane's last one was lost.
    fn close(&mut self, task: &Task, lanes: &mut Lanes) -> KafkaResult<()> {
        self.send_soon()?;
        for stream in Stream::ALL {
            for partition in 0..task.partitions[stream as usize] {
                let taken = lanes.take(task, stream, partition);
                self.send(&taken, mark::KEPT)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, taken: &Taken) {
        self.truth.taken.insert(taken.lane, taken.number + 1);
    }

    fn swallow(&mut self, taken: &Taken) {
        self.count(taken);
        self.truth.swallowed.insert((taken.lane, taken.number));
    }

    fn send(&mut self, taken: &Taken, mark: &[u8]) -> KafkaResult<()> {
        self.count(taken);
        self.write(taken.lane.stream, taken.lane.partition, Some(&taken.stamp), mark)?;
        self.truth.log.valid += 1;
        Ok(())
    }

    fn hold(&mut self, task: &mut Task, taken: Taken, mark: &'static [u8]) {
        let held = Held { lane: taken.lane, stamp: taken.stamp };
        self.soon.push_back((1 + task.dice.roll(20), held, mark));
    }

    fn send_due(&mut self) -> KafkaResult<()> {
        let mut due = Vec::new();
        self.soon.retain_mut(|(after, held, mark)| {
            *after -= 1;
            if *after == 0 {
                due.push((held.clone(), *mark));
            }
            *after > 0
        });
        due.into_iter().try_for_each(|(held, mark)| self.send_held(&held, mark))
    }

    /// Sends all that is held, due or not.
    fn send_soon(&mut self) -> KafkaResult<()> {
        while let Some((_, held, mark)) = self.soon.pop_front() {
            self.send_held(&held, mark)?;
        }
        Ok(())
    }

    fn send_held(&mut self, held: &Held, mark: &[u8]) -> KafkaResult<()> {
        self.write(held.lane.stream, held.lane.partition, Some(&held.stamp), mark)?;
        self.truth.log.valid += 1;
        if mark == mark::COPY {
            self.truth.log.resent += 1;
        } else {
            self.truth.log.reordered += 1;
        }
        Ok(())
    }

    fn send_junk(
        &mut self,
        task: &Task,
        junk: Junk,
        stream: Stream,
        partition: i32,
    ) -> KafkaResult<()> {
        let foreign = format!("1;{};0;{:08x};{partition};0", task.name, stamp::origin("elsewhere"));
        let value: Option<&[u8]> = match junk {
            Junk::Foreign => Some(foreign.as_bytes()),
            Junk::Unstamped => None,
            Junk::Malformed => Some(b"1;demo;not a stamp"),
            Junk::Unsupported => Some(b"2;of the future"),
        };
        self.write(stream, partition, value, mark::JUNK)?;
        self.truth.log.junk(junk);
        Ok(())
    }

    fn write(
        &mut self,
        stream: Stream,
        partition: i32,
        stamp: Option<&[u8]>,
        payload: &[u8],
    ) -> KafkaResult<()> {
        self.client.send(stream, partition, stamp, payload)?;
        self.truth.count_write(stream, partition);
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// A Kafka producer all of whose messages must be stored.
struct Client(ThreadedProducer<Answers>);

#[derive(Clone, Default)]
struct Answers {
    failed: Arc<AtomicU64>,
}

impl ClientContext for Answers {}

impl ProducerContext for Answers {
    type DeliveryOpaque = ();

    fn delivery(&self, answer: &DeliveryResult<'_>, (): ()) {
        if answer.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Client {
    fn connect(brokers: &str) -> KafkaResult<Self> {
        ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("linger.ms", "5")
            .create_with_context(Answers::default())
            .map(Self)
    }

    fn send(
        &self,
        stream: Stream,
        partition: i32,
        stamp: Option<&[u8]>,
        payload: &[u8],
    ) -> KafkaResult<()> {
        let mut record =
            BaseRecord::<(), [u8]>::to(stream.topic()).partition(partition).payload(payload);
        if let Some(stamp) = stamp {
            let header = Header { key: stamp::HEADER, value: Some(stamp) };
            record = record.headers(OwnedHeaders::new().insert(header));
        }
        loop {
            match self.0.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    thread::yield_now();
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    fn finish(&self) -> KafkaResult<()> {
        self.0.flush(FLUSH)?;
        match self.0.context().failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err(KafkaError::MessageProduction(RDKafkaErrorCode::Fail)),
        }
    }
}
