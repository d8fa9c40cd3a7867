//! The ledger's topic (contracts §2), read beside the streams and never as one of them.
//!
//! A thread with a consumer of its own reads what producers say and hands it to every worker, of
//! which each takes what is said of its partitions. It also tells up
//! to when the topic is read to its end, for a lane that has been silent since then has nothing more
//! to say: the broker is asked anew for the end, and once all below is read, the time of asking is
//! told. A topic that is not there has been read to its end; it is looked for again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use lacuna_core::Checker;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::asker::Asker;
use super::batch::{Key, Message, Queue};
use super::client::{Client, OpenError, connect, offsets};
use super::resume::{self, Resume};
use super::settings::{From, KafkaSettings};
use super::tap::Tap;
use crate::clock;
use crate::engine::{self, Switch};
use crate::record::{Ledger, Lines};

/// Longest wait for the broker's answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for records.
const WAIT: Duration = Duration::from_millis(100);
/// How often the broker is asked for the topic's ends, ms.
const ASK_EVERY_MS: u64 = 1_000;
/// An end that is not reached within this time, ms, could not be read up to.
const STALL_MS: u64 = 3_000;
/// How often malformed lines are told of, ms.
const COMPLAIN_EVERY_MS: u64 = 60_000;
/// How far reading begins before the streams' own beginning, ms: records repeat ten minutes, and
/// clocks of producers differ.
const LOOK_BACK_MS: u64 = 60 * 60 * 1_000;
/// After the topic could not be read, producers could perhaps not write either. Their silence counts
/// only once they had this long to connect again (librdkafka: up to 10 s) and to speak.
const PATIENCE_MS: u64 = 20_000;
/// Messages of the topic that wait for a worker.
const WAITING: usize = 64;

/// What the thread tells a worker.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// Producers said this, in the topic's partitions below these offsets.
    Records(Arc<Vec<Ledger>>, Arc<Vec<(usize, u64)>>),
    /// All that was there at this time, ms since the Unix epoch, has been told.
    ReadTo(u64),
}

/// A tap whose worker hears of the ledger, too.
#[derive(Debug)]
pub(super) struct Listening {
    tap: Tap,
    said: Receiver<Said>,
    /// Stands before the name of a topic to make the stream's.
    prefix: String,
    read_to: u64,
    /// The next offset in each partition of the topic.
    next: HashMap<usize, u64>,
}

impl Listening {
    pub(super) fn new(
        tap: Tap,
        said: Receiver<Said>,
        prefix: String,
        next: HashMap<usize, u64>,
    ) -> Self {
        Self { tap, said, prefix, read_to: 0, next }
    }
}

impl engine::Tap for Listening {
    fn read(&mut self, checker: &mut Checker, wait: Duration) -> bool {
        let said = self.said.try_recv();
        let more = said.is_ok();
        match said {
            Ok(Said::Records(records, next)) => {
                self.next.extend(next.iter().copied());
                let now = clock::now_ms();
                for record in &*records {
                    let record = record.record();
                    let stream = format!("{}{}", self.prefix, record.stream);
                    if !checker.owns(&stream, record.lane) {
                        continue;
                    }
                    // Parsing has validated it.
                    let taken = checker.ledger_in(&stream, &record, now);
                    debug_assert!(taken.is_ok(), "a ledger that was parsed is of good form");
                }
            }
            Ok(Said::ReadTo(at)) => self.read_to = at,
            Err(_) => {}
        }
        let wait = if more { Duration::ZERO } else { wait };
        self.tap.read(checker, wait) || more
    }

    fn switch(&mut self, checker: &mut Checker, switch: &Switch) {
        self.tap.switch(checker, switch);
    }

    fn ledger_read(&self) -> Option<u64> {
        Some(self.read_to)
    }

    fn save(&self, write: &mut dyn FnMut(&str, Vec<u8>)) {
        for (&partition, next) in &self.next {
            write(&resume::ledger(partition), next.to_string().into_bytes());
        }
        self.tap.save(write);
    }
}

/// Starts the thread, and gives what each worker hears of it; none where the ledger is not read.
pub(super) fn listen(
    settings: &KafkaSettings,
    asker: &Arc<Asker>,
    workers: usize,
    resume: &Resume,
) -> Result<Vec<Receiver<Said>>, OpenError> {
    let Some(topic) = settings.ledger.clone() else { return Ok(Vec::new()) };
    let (told, heard) = (0..workers).map(|_| sync_channel(WAITING)).unzip();
    let begin = match settings.from {
        // An earlier run has read what was there; what it has not found has appeared since.
        _ if resume.looked => Offset::Beginning,
        From::Beginning => Offset::Beginning,
        From::End => since(clock::now_ms()),
        From::Time(time) => since(time),
    };
    let client = connect(settings)?;
    let interval = settings.metadata_interval.as_millis();
    let reader = Reader {
        source: settings.name.clone(),
        topic,
        asker: asker.clone(),
        queue: Queue::new(client.clone()),
        client,
        told,
        begin,
        look_every: u64::try_from(interval).unwrap_or(u64::MAX),
        logs: Vec::new(),
        malformed: Malformed::default(),
        // While nobody was here, producers could perhaps not write.
        trusted_from: if resume.looked { clock::now_ms() + PATIENCE_MS } else { 0 },
        resume: resume.ledger.clone(),
    };
    thread::Builder::new()
        .name("lacuna-ledger".to_owned())
        .spawn(move || reader.run())
        .map_err(|error| OpenError::Thread { name: settings.name.clone(), error })?;
    Ok(heard)
}

fn since(time: u64) -> Offset {
    Offset::Offset(i64::try_from(time.saturating_sub(LOOK_BACK_MS)).unwrap_or(i64::MAX))
}

/// The workers are gone.
struct Gone;

struct Reader {
    source: String,
    topic: String,
    client: Arc<Client>,
    asker: Arc<Asker>,
    queue: Queue,
    told: Vec<SyncSender<Said>>,
    /// Where reading begins in what is there at the first look.
    begin: Offset,
    look_every: u64,
    /// By partition; `None`: not started yet.
    logs: Vec<Option<Log>>,
    malformed: Malformed,
    /// The time before which silence says nothing.
    trusted_from: u64,
    /// Where an earlier run was, by partition.
    resume: HashMap<usize, u64>,
}

/// A partition of the topic.
#[derive(Clone, Copy)]
struct Log {
    key: Key,
    /// The offset that is read next.
    next: u64,
}

impl Reader {
    fn run(mut self) {
        let (mut look_at, mut ask_at) = (0, 0);
        let mut asked: Option<(u64, Vec<u64>)> = None;
        loop {
            let now = clock::now_ms();
            if now >= look_at {
                let looked = self.look();
                self.note(&looked);
                look_at = now + if looked.is_ok() { self.look_every } else { ASK_EVERY_MS };
            }
            if asked.is_none() && now >= ask_at {
                let ends = self.ends();
                self.note(&ends);
                asked = ends.ok().map(|ends| (now, ends));
                ask_at = now + ASK_EVERY_MS;
            }
            if self.read().is_err() {
                return;
            }
            // What concerns no partition; the other connections tell of it.
            while self.client.poll(Duration::ZERO).is_some() {}
            if asked.as_ref().is_some_and(|&(at, _)| at + STALL_MS < now) {
                self.trusted_from = now + PATIENCE_MS;
            }
            if let Some((at, _)) = asked.take_if(|(_, ends)| self.is_past(ends))
                && at >= self.trusted_from
                && self.tell(&Said::ReadTo(at)).is_err()
            {
                return;
            }
        }
    }

    /// Looks for the topic and its partitions, and starts those that are new.
    fn look(&mut self) -> KafkaResult<()> {
        let metadata = self.asker.client().fetch_metadata(Some(&self.topic), TIMEOUT)?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == self.topic);
        let count = match topic.map(|topic| (topic.error(), topic.partitions().len())) {
            None => 0,
            Some((None, count)) => count,
            Some((Some(error), _)) => {
                use RDKafkaErrorCode::{UnknownTopic, UnknownTopicOrPartition};
                let code = error.into();
                if !matches!(code, UnknownTopicOrPartition | UnknownTopic) {
                    return Err(KafkaError::MetadataFetch(code));
                }
                0
            }
        };
        if count > self.logs.len() {
            self.logs.resize(count, None);
        }
        let new: Vec<_> = (0..self.logs.len()).filter(|&log| self.logs[log].is_none()).collect();
        for (partition, offset) in self.offsets(&new, self.begin)? {
            let offset = self.resume.get(&partition).copied().unwrap_or(offset);
            let started = self.queue.start(&self.topic, number(partition), offset);
            let key = started.map_err(KafkaError::MetadataFetch)?;
            self.logs[partition] = Some(Log { key, next: offset });
        }
        // What appears later is read from its start.
        self.begin = Offset::Beginning;
        Ok(())
    }

    /// The logs' ends, asked for anew.
    fn ends(&self) -> KafkaResult<Vec<u64>> {
        let all: Vec<_> = (0..self.logs.len()).collect();
        let ends = self.offsets(&all, Offset::End)?;
        if ends.len() < all.len() {
            return Err(KafkaError::OffsetFetch(RDKafkaErrorCode::LeaderNotAvailable));
        }
        Ok(ends.into_iter().map(|(_, end)| end).collect())
    }

    /// Offsets of these partitions, where their leaders tell them; where a time is asked for and
    /// nothing is as new, the end.
    fn offsets(&self, partitions: &[usize], of: Offset) -> KafkaResult<Vec<(usize, u64)>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<_> =
            partitions.iter().map(|&partition| (&*self.topic, number(partition))).collect();
        let answers = offsets(&self.asker.client(), &places, of, TIMEOUT)?;
        let mut found = Vec::with_capacity(partitions.len());
        for (&partition, place) in partitions.iter().zip(&places) {
            match answers.get(place) {
                Some(&Some(offset)) => found.push((partition, offset)),
                Some(None) => found.extend(self.offsets(&[partition], Offset::End)?),
                None => {}
            }
        }
        Ok(found)
    }

    fn is_past(&self, ends: &[u64]) -> bool {
        let mut logs = self.logs.iter().zip(ends);
        logs.all(|(log, &end)| log.is_some_and(|log| log.next >= end))
    }

    /// Reads what has come, and tells of it.
    fn read(&mut self) -> Result<(), Gone> {
        let (mut records, mut overtaken) = (Vec::new(), Vec::new());
        let before: Vec<_> = self.logs.iter().map(|log| log.map(|log| log.next)).collect();
        let Self { queue, logs, malformed, .. } = self;
        queue.read(WAIT).for_each(|message| {
            let mut logs = logs.iter_mut().enumerate();
            let of_log = |(_, log): &(usize, &mut Option<Log>)| {
                log.is_some_and(|log| log.key == message.key())
            };
            let Some((partition, Some(log))) = logs.find(of_log) else { return };
            match (message.error(), message.offset()) {
                (None, Some(offset)) => {
                    log.next = offset + 1;
                    parse(message, &mut records, malformed);
                }
                (Some(RDKafkaErrorCode::PartitionEOF), Some(end)) => log.next = log.next.max(end),
                (Some(RDKafkaErrorCode::AutoOffsetReset), _) => overtaken.push(partition),
                _ => {}
            }
        });
        self.malformed.complain(&self.source, &self.topic);
        if !overtaken.is_empty() {
            let gone_on = self.go_on(&overtaken);
            self.note(&gone_on);
        }
        let logs = self.logs.iter().enumerate();
        let next = logs.filter_map(|(index, log)| Some((index, (*log)?.next)));
        let moved = |&(index, next): &(usize, u64)| before.get(index) != Some(&Some(next));
        let next: Vec<_> = next.filter(moved).collect();
        if next.is_empty() && records.is_empty() {
            return Ok(());
        }
        self.tell(&Said::Records(Arc::new(records), Arc::new(next)))
    }

    /// What was to be read next has been deleted: goes on at the beginning of what is there.
    fn go_on(&mut self, partitions: &[usize]) -> KafkaResult<()> {
        for (partition, offset) in self.offsets(partitions, Offset::Beginning)? {
            let Some(log) = &mut self.logs[partition] else { continue };
            log.next = offset;
            self.queue.restart(log.key, offset).map_err(KafkaError::MetadataFetch)?;
        }
        Ok(())
    }

    /// While the topic cannot be read, and for a while after, silence says nothing.
    fn note<T>(&mut self, result: &KafkaResult<T>) {
        let Err(error) = result else { return };
        let now = clock::now_ms();
        if self.trusted_from <= now {
            tracing::warn!(source = self.source, topic = self.topic, %error, "no ledger");
        }
        self.trusted_from = now + PATIENCE_MS;
    }

    fn tell(&self, said: &Said) -> Result<(), Gone> {
        self.told.iter().try_for_each(|told| told.send(said.clone()).map_err(|_| Gone))
    }
}

/// Takes a message's records; a line that is none is counted, and the others are good all the same.
fn parse(message: &Message, records: &mut Vec<Ledger>, malformed: &mut Malformed) {
    let mut lines = Lines::new(message.payload());
    loop {
        let line = match lines.next_line() {
            Ok(None) => return,
            Ok(Some(line)) => Ledger::parse(line).map_err(|error| error.to_string()),
            Err(error) => return malformed.add(error.to_string()),
        };
        match line {
            Ok(record) => records.push(record),
            Err(error) => malformed.add(error),
        }
    }
}

/// Lines that are no ledger records, since they were told of.
#[derive(Debug, Default)]
struct Malformed {
    count: u64,
    first: String,
    told_at: u64,
}

impl Malformed {
    fn add(&mut self, error: String) {
        if self.count == 0 {
            self.first = error;
        }
        self.count += 1;
    }

    fn complain(&mut self, source: &str, topic: &str) {
        let now = clock::now_ms();
        if self.count == 0 || now < self.told_at + COMPLAIN_EVERY_MS {
            return;
        }
        let Self { count, first, .. } = std::mem::take(self);
        tracing::warn!(source, topic, count, first, "lines that are no ledger records are skipped");
        self.told_at = now;
    }
}

fn number(partition: usize) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
