use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use lacuna_core::verdict::Cause;
use lacuna_core::{Checker, StreamSettings, Watch};
use rdkafka::error::RDKafkaErrorCode;

use super::batch::{Key, Queue};
use super::client::Client;
use super::describe::TopicId;
use super::lineage::{Lineage, Step};
use super::orders::{Note, Order, Shared, Start, Started};
use super::policy::Policy;
use super::reading::Reading;
use super::resume::{self, Kept};
use super::slot::{STALL_MS, Slot};
use crate::clock;
use crate::engine::{self, Switch};

/// The log, as a view.
const VIEW: &str = "log";
/// How often the broker is asked for ends, where something waits for them.
const ASK_EVERY_MS: u64 = 500;

/// A worker's part of the source: reads its partitions and hands them to the checker.
#[derive(Debug)]
pub(super) struct Tap {
    /// Which of the source's taps it is.
    index: usize,
    queue: Queue,
    orders: Receiver<Order>,
    notes: Sender<(usize, Note)>,
    shared: Arc<Shared>,
    streams: Streams,
    switch: Switch,
    slots: Vec<Slot>,
    by_key: HashMap<Key, usize, foldhash::fast::RandomState>,
    /// By the control thread's number; `None`: could not be started.
    by_number: Vec<Option<usize>>,
    /// Topics of which records may be compacted away, or not.
    policies: HashMap<Arc<str>, Policy>,
    /// Slots with an end that is not reached yet.
    awaiting: Vec<usize>,
    /// The control thread has not answered yet.
    asking: bool,
    asked_at: u64,
    read_at: u64,
}

/// How a topic becomes a stream.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    pub(super) prefix: String,
    pub(super) default: StreamSettings,
    pub(super) own: HashMap<String, StreamSettings>,
}

impl engine::Tap for Tap {
    fn read(&mut self, checker: &mut Checker, wait: Duration) -> bool {
        self.obey(checker);
        let batch = self.queue.read(wait);
        let count = batch.len();
        let at = clock::now_ms();
        let stalled = at.saturating_sub(self.read_at) > STALL_MS;
        self.read_at = at;
        let mut reading = Reading {
            slots: &mut self.slots,
            by_key: &self.by_key,
            last: None,
            failed: Vec::new(),
            elsewhere: Vec::new(),
            checker,
            at,
        };
        if stalled {
            for slot in reading.slots.iter_mut() {
                slot.watch_on(reading.checker, at);
                slot.readable_at = at;
            }
        }
        batch.for_each(|message| reading.take(message));
        let Reading { failed, elsewhere, .. } = reading;
        for (key, error, text) in failed {
            self.fail(key, error, &text);
        }
        for (index, step) in elsewhere {
            self.follow(checker, index, step);
        }
        self.reach_ends(checker);
        if at >= self.asked_at + ASK_EVERY_MS {
            self.asked_at = at;
            self.ask(checker, at);
        }
        Queue::is_full(count)
    }

    fn save(&self, write: &mut dyn FnMut(&str, Vec<u8>)) {
        for slot in &self.slots {
            let kept = Kept { next: slot.next, id: slot.topic_id, lineage: slot.lineage.clone() };
            let name = resume::partition(&slot.topic, slot.partition);
            write(&name, serde_json::to_vec(&kept).unwrap_or_default());
        }
        if self.shared.health.is_ready() {
            write(resume::LOOKED, Vec::new());
        }
    }

    fn switch(&mut self, checker: &mut Checker, switch: &Switch) {
        let at = clock::now_ms();
        for slot in &mut self.slots {
            let on = switch.is_on(Some(&slot.stream));
            if on && !slot.on {
                slot.on = true;
                slot.watch_on(checker, at);
            } else if !on && slot.on {
                slot.on = false;
                slot.end = None;
                checker.pause(slot.id, at);
            }
        }
        self.switch = switch.clone();
    }
}

impl Tap {
    pub(super) fn new(
        index: usize,
        queue: Queue,
        orders: Receiver<Order>,
        notes: Sender<(usize, Note)>,
        shared: Arc<Shared>,
        streams: Streams,
    ) -> Self {
        Self {
            index,
            queue,
            orders,
            notes,
            shared,
            streams,
            switch: Switch::default(),
            slots: Vec::new(),
            by_key: HashMap::default(),
            by_number: Vec::new(),
            policies: HashMap::new(),
            awaiting: Vec::new(),
            asking: false,
            asked_at: 0,
            read_at: clock::now_ms(),
        }
    }

    fn obey(&mut self, checker: &mut Checker) {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Start(start) => {
                    let slot = self.start(checker, start);
                    self.by_number.push(slot);
                }
                Order::Policy { topic, policy } => {
                    self.policies.insert(topic.clone(), policy);
                    let slots = self.slots.iter_mut().filter(|slot| slot.topic == topic);
                    slots.for_each(|slot| slot.policy = policy);
                }
                Order::Reopen(client) => self.reopen(client),
                Order::Anew { topic, id, partitions } => {
                    self.begin_anew(checker, &topic, id, &partitions);
                }
                Order::Ends { asked, ends } => {
                    self.asking = false;
                    self.take_ends(checker, asked, &ends);
                }
                Order::GoOn { number, start, end } => self.go_on(checker, number, start, end),
            }
        }
    }

    fn start(&mut self, checker: &mut Checker, start: Start) -> Option<usize> {
        let Start { topic, id: topic_id, partition, offset, from } = start;
        let stream: Arc<str> = format!("{}{topic}", self.streams.prefix).into();
        if !self.streams.prefix.is_empty() && !self.slots.iter().any(|slot| slot.topic == topic) {
            // Its messages are stamped for the topic.
            let settings = self.streams.own.get(&*stream).unwrap_or(&self.streams.default);
            let mut settings = settings.clone();
            settings.aliases.push(topic.to_string());
            checker.configure(&stream, settings);
        }
        let Some(id) = checker.partition(VIEW, &stream, &partition.to_string()) else {
            self.note(Note::Trouble(format!(
                "{topic} [{partition}] is not watched: limits.partitions is reached"
            )));
            return None;
        };
        let key = match self.queue.start(&topic, partition, offset) {
            Ok(key) => key,
            Err(error) => {
                self.note(Note::Trouble(format!("{topic} [{partition}] cannot be read: {error}")));
                return None;
            }
        };
        let on = self.switch.is_on(Some(&stream));
        let at = clock::now_ms();
        let from_start = matches!(from, Started::Beginning | Started::Anew);
        if on {
            // What an earlier run read of another topic is not what comes now.
            let position = Some(if matches!(from, Started::Anew) { 0 } else { offset });
            checker.watch(id, &Watch { from_start, position, at, ..Watch::default() });
        }
        let lineage = match from {
            Started::Again(lineage) => lineage,
            Started::Beginning | Started::Here | Started::Anew => Lineage::default(),
        };
        let policy = self.policies.get(&topic).copied().unwrap_or(Policy::Untold);
        let index = self.slots.len();
        self.by_key.insert(key, index);
        self.slots.push(Slot {
            number: self.by_number.len(),
            topic,
            partition,
            stream,
            topic_id,
            key,
            id,
            next: offset,
            asked_next: offset,
            readable_at: at,
            wanting: false,
            away: false,
            on,
            end: None,
            lineage,
            held: false,
            policy,
            outside: Arc::clone(&self.shared.outside),
        });
        self.slots[index].goes_on();
        if on && from_start {
            self.slots[index].begins(checker, offset, at);
        }
        Some(index)
    }

    /// Reads all on with another client.
    fn reopen(&mut self, client: Arc<Client>) {
        self.queue = Queue::new(client);
        self.by_key.clear();
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            slot.held = false;
            let from = slot.lineage.again().unwrap_or(slot.next);
            self.read_from(index, from);
        }
    }

    /// Reads a partition that is not read from this offset on.
    fn read_from(&mut self, index: usize, offset: u64) {
        let slot = &mut self.slots[index];
        match self.queue.start(&slot.topic, slot.partition, offset) {
            Ok(key) => {
                slot.key = key;
                self.by_key.insert(key, index);
            }
            Err(error) => {
                let what = format!("{} [{}] cannot be read: {error}", slot.topic, slot.partition);
                self.note(Note::Trouble(what));
            }
        }
    }

    /// The topic was deleted and made again.
    fn begin_anew(
        &mut self,
        checker: &mut Checker,
        topic: &str,
        id: Option<TopicId>,
        partitions: &[(usize, u64)],
    ) {
        let Self { slots, queue, by_key, .. } = self;
        for slot in slots.iter().filter(|slot| &*slot.topic == topic) {
            queue.stop(slot.key);
            by_key.remove(&slot.key);
        }
        for &(number, offset) in partitions {
            let Some(index) = self.by_number[number] else { continue };
            let slot = &mut self.slots[index];
            slot.lineage = Lineage::default();
            slot.topic_id = id;
            slot.go_back_to(offset);
            slot.asked_next = offset;
            (slot.away, slot.held) = (false, false);
            if slot.on {
                let at = clock::now_ms();
                let watch = Watch { from_start: true, position: Some(0), at, ..Watch::default() };
                checker.watch(slot.id, &watch);
                slot.begins(checker, offset, at);
            }
            self.read_from(index, offset);
        }
    }

    /// Ends are kept until what lies below them has been read.
    fn take_ends(&mut self, checker: &mut Checker, asked: u64, ends: &[(usize, Option<u64>)]) {
        let at = clock::now_ms();
        for &(number, end) in ends {
            let Some(index) = self.by_number[number] else { continue };
            let slot = &mut self.slots[index];
            let Some(end) = end else {
                slot.away = true;
                continue;
            };
            slot.prove(at);
            if end < slot.asked_next && !slot.held {
                // It ends below what had been read when it was asked.
                let step = slot.lineage.suspect();
                self.follow(checker, index, step);
            } else if slot.on && slot.end.replace((end, asked)).is_none() {
                self.awaiting.push(index);
            }
        }
    }

    fn reach_ends(&mut self, checker: &mut Checker) {
        let slots = &mut self.slots;
        self.awaiting.retain(|&index| {
            let slot = &mut slots[index];
            let Some((end, asked)) = slot.end else { return false };
            if slot.next < end || slot.lineage.looks() {
                return true;
            }
            slot.end = None;
            if slot.away {
                // Readable again; this end is from before that was known, so the next one judges.
                slot.watch_on(checker, clock::now_ms());
            } else {
                checker.end(slot.id, Some(end), asked);
            }
            false
        });
    }

    fn ask(&mut self, checker: &Checker, at: u64) {
        let mut lag = 0;
        let mut wanting = Vec::new();
        for slot in &mut self.slots {
            let high = self.queue.high_watermark(&slot.topic, slot.partition);
            lag += high.map_or(0, |high| high.saturating_sub(slot.next));
            let wants = slot.on && checker.wants_end(slot.id);
            let asks = wants && slot.end.is_none() && !self.asking;
            if asks || (wants && !slot.wanting) {
                // Until now nothing was asked of it: it is the answer that must not take long.
                slot.readable_at = at;
            }
            slot.wanting = wants;
            if asks {
                slot.asked_next = slot.next;
                wanting.push(slot.number);
            }
        }
        let (lags, partitions) = &self.shared.reading[self.index];
        lags.store(lag, Ordering::Relaxed);
        partitions.store(self.slots.len(), Ordering::Relaxed);
        if !wanting.is_empty() {
            self.asking = true;
            self.note(Note::Ask(wanting));
        }
    }

    fn fail(&mut self, key: Key, error: RDKafkaErrorCode, text: &str) {
        let Some(&index) = self.by_key.get(&key) else { return };
        self.slots[index].away = true;
        let Slot { number, topic, partition, .. } = &self.slots[index];
        self.note(if error == RDKafkaErrorCode::AutoOffsetReset {
            Note::Gone(*number)
        } else {
            Note::Trouble(format!("{topic} [{partition}]: {text}"))
        });
    }

    /// Reads a partition from elsewhere, or asks where that is.
    fn follow(&mut self, checker: &mut Checker, index: usize, step: Step) {
        let slot = &mut self.slots[index];
        let from = match step {
            Step::Look(from) => from,
            Step::Cut(position) => {
                slot.cut(checker, position, clock::now_ms());
                position
            }
            Step::Ask => {
                slot.held = true;
                let number = slot.number;
                return self.note(Note::Gone(number));
            }
            Step::Take | Step::Skip => return,
        };
        slot.held = false;
        if let Err(error) = self.queue.restart(slot.key, from) {
            self.note(Note::Trouble(format!("cannot read on: {error}")));
        }
    }

    /// The offset to be read next is not in the log, which holds `start` to `end`.
    fn go_on(&mut self, checker: &mut Checker, number: usize, start: u64, end: u64) {
        let Some(index) = self.by_number[number] else { return };
        let slot = &mut self.slots[index];
        slot.away = false;
        let step = slot.lineage.holds(start, end).unwrap_or_else(|| {
            // Nothing of what was read is there to be compared.
            let missed = slot.next;
            if missed < start {
                let (topic, partition) = (&slot.topic, slot.partition);
                tracing::warn!(%topic, partition, missed, start, "deleted before it was read");
                if slot.on {
                    let at = clock::now_ms();
                    checker.absent(slot.id, missed, start - 1, Cause::Retention, at);
                }
                slot.next = start;
            }
            if slot.next > end { Step::Cut(end) } else { Step::Look(slot.next) }
        });
        self.follow(checker, index, step);
    }

    fn note(&self, note: Note) {
        // The control thread lives as long as a tap does.
        drop(self.notes.send((self.index, note)));
    }
}
