//! The way that errs on purpose: what the applications' broker has acknowledged goes from there to
//! the broker that the sidecar reads, and some of it is swallowed, repeated, overtaken or held.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lacuna_core::stamp::{self, Stamp};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::Client;
use super::plan::{Dice, Fate, Junk, Stream};
use super::producer::{Runs, mark};
use super::truth::{Lane, Truth};
use crate::clock;

/// Longest wait for a message.
const WAIT: Duration = Duration::from_millis(10);
/// What is held a little is held no longer than this, ms: it must come well within the grace.
const HELD_MS: u64 = 300;

/// What the way is given.
pub(super) struct Task {
    /// Where it reads.
    pub(super) from: String,
    /// Where it writes.
    pub(super) to: String,
    pub(super) seed: u64,
    /// Partitions of [`Stream::ALL`].
    pub(super) partitions: [i32; 2],
    pub(super) runs: Runs,
    /// All that was sent.
    pub(super) sent: Arc<AtomicU64>,
    /// Nothing more is sent.
    pub(super) done: Arc<AtomicBool>,
}

/// A message that was taken from the way.
#[derive(Clone, Debug)]
pub(super) struct Held {
    lane: Lane,
    number: u64,
    stamp: Vec<u8>,
}

/// What the way leaves.
pub(super) struct Outcome {
    pub(super) truth: Truth,
    /// To be sent once they are judged lost.
    pub(super) late: Vec<Held>,
}

/// Carries all that is sent, until nothing more is.
pub(super) fn carry(task: &Task) -> KafkaResult<Outcome> {
    let source = connect(task)?;
    let mut pipe = Pipe {
        client: Client::connect(&task.to)?,
        truth: Truth::default(),
        late: Vec::new(),
        soon: VecDeque::new(),
        lanes: HashMap::new(),
    };
    let mut carried = 0;
    loop {
        // Looked at before the count: what is sent by then is in it.
        let done = task.done.load(Ordering::Acquire);
        if let Some(message) = source.poll(WAIT) {
            let message = message?;
            if let Some((held, run)) = read(task, &message) {
                let kept = message.payload() == Some(mark::KEPT);
                pipe.take(task.seed, held, run, kept)?;
            }
            carried += 1;
        }
        pipe.send_due()?;
        if done && carried == task.sent.load(Ordering::Acquire) {
            break;
        }
    }
    pipe.send_all()?;
    pipe.client.finish()?;
    Ok(Outcome { truth: pipe.truth, late: pipe.late })
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

fn connect(task: &Task) -> KafkaResult<BaseConsumer> {
    let source: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &task.from)
        .set("group.id", "demo-way")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10")
        .create()?;
    let mut from_start = TopicPartitionList::new();
    for stream in Stream::ALL {
        for partition in 0..task.partitions[stream as usize] {
            from_start.add_partition_offset(stream.topic(), partition, Offset::Beginning)?;
        }
    }
    source.assign(&from_start)?;
    Ok(source)
}

/// The message, and which run of its producer sent it.
fn read(task: &Task, message: &impl Message) -> Option<(Held, u64)> {
    let stream = Stream::ALL.into_iter().find(|stream| stream.topic() == message.topic())?;
    let headers = message.headers()?;
    let value = headers.iter().find(|header| header.key == stamp::HEADER)?.value?;
    let Stamp { producer, epoch, seq, .. } = Stamp::parse(value).ok()?;
    let (producer, run) = task.runs.find(producer, epoch)?;
    let lane = Lane { stream, producer, epoch, partition: message.partition() };
    Some((Held { lane, number: seq, stamp: value.to_vec() }, run))
}

struct Pipe {
    client: Client,
    truth: Truth,
    late: Vec<Held>,
    /// Copies and overtaken messages, and when each is due.
    soon: VecDeque<(u64, Held, &'static [u8])>,
    lanes: HashMap<Lane, Way>,
}

/// What awaits a lane's next message.
#[derive(Debug, Default)]
struct Way {
    /// So many more are swallowed.
    swallow: u64,
    /// It is to overtake this one, or to show that one is missing.
    keep: bool,
    overtaken: Option<(u64, Held)>,
}

impl Pipe {
    fn take(&mut self, seed: u64, held: Held, run: u64, kept: bool) -> KafkaResult<()> {
        self.truth.taken.insert(held.lane, held.number + 1);
        let mut dice = dice(seed, &held, run);
        let way = self.lanes.entry(held.lane).or_default();
        if kept || way.keep {
            way.keep = false;
            way.swallow = 0;
            let overtaken = way.overtaken.take();
            self.send(&held, mark::KEPT)?;
            if let Some((_, held)) = overtaken {
                self.hold(&mut dice, held, mark::OVERTAKEN);
            }
            return Ok(());
        }
        if way.swallow > 0 {
            way.swallow -= 1;
            self.truth.swallowed.insert((held.lane, held.number));
            return Ok(());
        }
        // One lane loses its very first message.
        let head = (held.lane.stream, held.lane.partition, held.number, run);
        if head == (Stream::Orders, 0, 0, 0) && held.lane.producer == super::run::PRODUCERS[0] {
            self.truth.swallowed.insert((held.lane, held.number));
            return Ok(());
        }
        match dice.fate(held.lane.stream) {
            Fate::Plain => self.send(&held, mark::PLAIN),
            Fate::Swallowed(count) => {
                way.swallow = count - 1;
                self.truth.swallowed.insert((held.lane, held.number));
                Ok(())
            }
            Fate::Resent => {
                self.send(&held, mark::KEPT)?;
                self.hold(&mut dice, held, mark::COPY);
                Ok(())
            }
            Fate::Overtaken => {
                way.keep = true;
                way.overtaken = Some((clock::now_ms(), held));
                Ok(())
            }
            Fate::Late => {
                way.keep = true;
                self.late.push(held);
                Ok(())
            }
            Fate::Joined(junk) => {
                self.send_junk(&held, junk)?;
                self.send(&held, mark::PLAIN)
            }
        }
    }

    fn send(&mut self, held: &Held, mark: &[u8]) -> KafkaResult<()> {
        self.write(held.lane, Some(&held.stamp), mark)?;
        self.truth.log.valid += 1;
        Ok(())
    }

    fn hold(&mut self, dice: &mut Dice, held: Held, mark: &'static [u8]) {
        self.soon.push_back((clock::now_ms() + dice.roll(HELD_MS), held, mark));
    }

    /// Sends what has been held for long enough. A message that nothing has overtaken by then goes
    /// its way as any other.
    fn send_due(&mut self) -> KafkaResult<()> {
        let now = clock::now_ms();
        let mut waited = Vec::new();
        for way in self.lanes.values_mut() {
            if let Some((_, held)) = way.overtaken.take_if(|(at, _)| *at + HELD_MS < now) {
                way.keep = false;
                waited.push(held);
            }
        }
        for held in waited {
            self.send(&held, mark::PLAIN)?;
        }
        let (due, later) = std::mem::take(&mut self.soon).into_iter().partition(|due| due.0 <= now);
        self.soon = later;
        self.send_held(due)
    }

    fn send_all(&mut self) -> KafkaResult<()> {
        let all = std::mem::take(&mut self.soon);
        self.send_held(all)
    }

    fn send_held(&mut self, due: VecDeque<(u64, Held, &'static [u8])>) -> KafkaResult<()> {
        for (_, held, mark) in due {
            self.send(&held, mark)?;
            if mark == mark::COPY {
                self.truth.log.resent += 1;
            } else {
                self.truth.log.reordered += 1;
            }
        }
        Ok(())
    }

    fn send_junk(&mut self, held: &Held, junk: Junk) -> KafkaResult<()> {
        let Lane { producer, partition, .. } = held.lane;
        let foreign = format!("1;{producer};0;{:08x};{partition};0", stamp::origin("elsewhere"));
        let value: Option<&[u8]> = match junk {
            Junk::Foreign => Some(foreign.as_bytes()),
            Junk::Unstamped => None,
            Junk::Malformed => Some(b"1;demo;not a stamp"),
            Junk::Unsupported => Some(b"2;of the future"),
        };
        self.write(held.lane, value, mark::JUNK)?;
        self.truth.log.junk(junk);
        Ok(())
    }

    fn write(&mut self, lane: Lane, stamp: Option<&[u8]>, payload: &[u8]) -> KafkaResult<()> {
        self.client.send(lane.stream, lane.partition, stamp, payload)?;
        self.truth.count_write(lane.stream, lane.partition);
        Ok(())
    }
}

/// The same for the same message of the same seed, in whatever order lanes are read.
fn dice(seed: u64, held: &Held, run: u64) -> Dice {
    let Lane { stream, producer, partition, .. } = held.lane;
    let name = format!("{producer}/{run}/{}/{partition}/{}", stream.topic(), held.number);
    Dice::new(seed, stamp::origin(&name).into())
}
