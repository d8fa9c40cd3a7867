//! What the reporter's thread does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::book::Answers;
use crate::carrier::Carrier;
use crate::clock;
use crate::identity::Identity;
use crate::lane::Lane;
use crate::line;
use crate::reporter::{Lanes, Reporter};

/// Failures come in crowds: the first is reported so long after the last report.
const PAUSE: Duration = Duration::from_millis(200);
/// How often it is asked what became of messages that are on their way.
const ANSWER_WAIT: Duration = Duration::from_millis(100);
/// A message holds no more than this and one record; below the default limits of brokers.
pub(crate) const MESSAGE_BYTES: usize = 256 << 10;
/// A report holds no more than this and one message; the lanes that are left come next.
pub(crate) const REPORT_BYTES: usize = 8 << 20;
/// How long a reporter waits for answers at its end: enough to connect again after an outage.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What the thread owns.
#[derive(Debug)]
pub(crate) struct Work {
    reporter: Arc<Reporter>,
    interval: Duration,
    identity: Identity,
    answers: Answers,
    lanes: Arc<dyn Lanes>,
    carriers: Vec<Box<dyn Carrier>>,
    on_the_way: HashMap<u64, OnTheWay>,
    /// The last message's number.
    batch: u64,
    /// The lane with which the next report begins, where the last one became too long.
    first: usize,
}

/// A message that not every carrier has told of.
#[derive(Debug)]
struct OnTheWay {
    records: u64,
    awaited: usize,
    arrived: bool,
}

/// A message to be.
#[derive(Debug, Default)]
struct Message {
    batch: u64,
    records: u64,
    lines: Vec<u8>,
}

impl Work {
    pub(crate) fn new(
        reporter: Arc<Reporter>,
        interval: Duration,
        identity: Identity,
        answers: Answers,
        lanes: Arc<dyn Lanes>,
        carriers: Vec<Box<dyn Carrier>>,
    ) -> Self {
        let on_the_way = HashMap::new();
        Self {
            reporter,
            interval,
            identity,
            answers,
            lanes,
            carriers,
            on_the_way,
            batch: 0,
            first: 0,
        }
    }

    /// Until the producer ends.
    pub(crate) fn run(mut self) {
        let mut last = clock::monotonic();
        loop {
            let (due, at_once) = (last + self.interval, last + PAUSE);
            // One report at a time: while a cluster is away nothing piles up.
            let look_at = if self.on_the_way.is_empty() {
                (due, at_once)
            } else {
                let soon = clock::monotonic() + ANSWER_WAIT;
                (soon, soon)
            };
            if self.reporter.wait(look_at.0, look_at.1) {
                break;
            }
            self.hear(Duration::ZERO);
            let now = clock::monotonic();
            let is_due = now >= due || (now >= at_once && self.reporter.is_rung());
            if is_due && self.on_the_way.is_empty() {
                self.reporter.hush();
                self.report();
                last = clock::monotonic();
                self.hear(Duration::ZERO);
            }
        }
        self.last_words();
    }

    /// Closes all lanes and says so.
    fn last_words(&mut self) {
        let until = clock::monotonic() + LAST_WORDS;
        self.lanes.each(&mut Lane::close);
        // What is on its way says less than what comes now, so nobody waits for it.
        self.report();
        while !self.on_the_way.is_empty() && clock::monotonic() < until {
            self.hear(ANSWER_WAIT);
        }
        let dropped = self.on_the_way.values().map(|message| message.records).sum();
        self.reporter.count_dropped(dropped);
    }

    fn report(&mut self) {
        for Message { batch, records, lines } in self.messages() {
            let awaited = self.carriers.len();
            self.on_the_way.insert(batch, OnTheWay { records, awaited, arrived: true });
            for carrier in &mut self.carriers {
                carrier.send(batch, &lines);
            }
        }
    }

    /// All that the lanes have to say now. Nothing is sent meanwhile: a visit may hold locks.
    fn messages(&mut self) -> Vec<Message> {
        let now = clock::unix_ms();
        let Self { lanes, identity, answers, batch, first, .. } = self;
        let mut messages: Vec<Message> = Vec::new();
        let (mut index, mut bytes, mut left_at) = (0, 0, None);
        lanes.each(&mut |lane| {
            index += 1;
            if index <= *first || left_at.is_some() {
                return;
            }
            if bytes >= REPORT_BYTES {
                left_at = Some(index - 1);
                return;
            }
            let open = messages.last().filter(|message| message.lines.len() < MESSAGE_BYTES);
            let next = open.map_or(*batch + 1, |message| message.batch);
            let Some(record) = lane.report(identity, *answers, now, next) else { return };
            if next > *batch {
                *batch = next;
                messages.push(Message { batch: next, ..Message::default() });
            }
            if let Some(message) = messages.last_mut() {
                let before = message.lines.len();
                line::write(&record, &mut message.lines);
                message.records += 1;
                bytes += message.lines.len() - before;
            }
        });
        self.first = left_at.unwrap_or(0);
        messages
    }

    /// Takes what the carriers know of messages, and lets the lanes know.
    fn hear(&mut self, wait: Duration) {
        let mut told = HashMap::new();
        for carrier in &mut self.carriers {
            let wait = if self.on_the_way.is_empty() { Duration::ZERO } else { wait };
            carrier.answers(wait, &mut |batch, arrived| {
                let Some(message) = self.on_the_way.get_mut(&batch) else { return };
                message.awaited -= 1;
                message.arrived &= arrived;
                if message.awaited == 0 {
                    self.reporter.count(message.arrived, message.records);
                    told.insert(batch, message.arrived);
                }
            });
        }
        if told.is_empty() {
            return;
        }
        self.on_the_way.retain(|batch, _| !told.contains_key(batch));
        self.lanes.each(&mut |lane| lane.hear(|batch| told.get(&batch).copied()));
    }
}
