use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use lacuna_core::report::Filter;
use lacuna_core::{Checker, Observation, PartitionId, StreamSettings, Watch};
use tokio::sync::mpsc::UnboundedSender;

use super::message::Seen;
use super::orders::{Entry, Note, Order};
use super::places::Place;
use super::resume::{self, Kept, Reached, Resume};
use super::settings::{RabbitSettings, TapKind};
use crate::clock;
use crate::engine::{self, EngineSettings, Switch};

/// The log, as a view.
const VIEW: &str = "log";
/// RabbitMQ has no partitions: every stream is one.
pub(super) const PARTITION: &str = "0";
/// Who could not read for longer than this says so, and what was missing gets its whole grace anew.
const STALL_MS: u64 = 1000;
/// How often an end is asked for, where something waits for it.
const ASK_EVERY_MS: u64 = 500;
/// Orders that are obeyed between two looks at what else the worker has to do.
const ORDERS: usize = 16;

/// A worker's part of the source: hands what the control thread read to the checker.
#[derive(Debug)]
pub(super) struct Tap {
    queue: Option<String>,
    prefix: String,
    default: StreamSettings,
    own: HashMap<String, StreamSettings>,
    orders: Receiver<Order>,
    notes: UnboundedSender<Note>,
    switch: Switch,
    slots: Vec<Slot>,
    index: usize,
    kind: TapKind,
    /// Where this run goes on.
    resume: Resume,
    /// Of a stream: how far it was read.
    reached: Option<Reached>,
    asked_at: u64,
    /// An end was asked for.
    wanting: bool,
    /// When it last proved that it can read, or had nothing to prove.
    readable_at: u64,
    /// When this thread last looked.
    looked_at: u64,
    /// Up to when the ledger's queue was read; `None`: it is not.
    ledger_read: Option<u64>,
}

/// A stream in a view.
#[derive(Debug)]
struct Slot {
    place: Place,
    /// `None`: one more than `limits.partitions`.
    id: Option<PartitionId>,
    /// One above its last message's position.
    next: u64,
    on: bool,
}

impl Slot {
    /// It reads on; nothing was passed over.
    fn watch_on(&self, checker: &mut Checker, at: u64) {
        if let Some(id) = self.id.filter(|_| self.on) {
            let watch = match self.place.seen {
                Seen::Log => Watch { position: Some(self.next), ..Watch::default() },
                // Consumers compete, and have no positions.
                Seen::Group => Watch { ordered: false, handover: true, ..Watch::default() },
            };
            checker.watch(id, &Watch { at, ..watch });
        }
    }

    /// Something was passed over.
    fn miss(&self, checker: &mut Checker, at: u64) {
        if let Some(id) = self.id.filter(|_| self.on) {
            checker.pause(id, at);
            self.watch_on(checker, at);
        }
    }
}

impl engine::Tap for Tap {
    fn read(&mut self, checker: &mut Checker, wait: Duration) -> bool {
        let first = self.orders.recv_timeout(wait).ok();
        let at = clock::now_ms();
        if at.saturating_sub(self.looked_at) > STALL_MS {
            self.go_on(checker, at);
        }
        self.looked_at = at;
        let busy = first.is_some();
        let mut next = first;
        for _ in 0..ORDERS {
            let Some(order) = next else { break };
            self.obey(checker, order, at);
            next = self.orders.try_recv().ok();
        }
        if let Some(order) = next {
            self.obey(checker, order, at);
        }
        if at >= self.asked_at + ASK_EVERY_MS {
            self.asked_at = at;
            self.ask(checker, at);
        }
        busy
    }

    fn ledger_read(&self) -> Option<u64> {
        self.ledger_read
    }

    fn save(&self, write: &mut dyn FnMut(&str, Vec<u8>)) {
        if self.kind != TapKind::Stream {
            let nexts = self.slots.iter().map(|slot| slot.next);
            let next = nexts.chain(self.resume.first).max().unwrap_or(0);
            write(&resume::queue(self.index), next.to_string().into_bytes());
        } else if let Some(reached) = &self.reached {
            // Numbers and flags: there is nothing that JSON has no words for.
            write(&resume::stream(self.index), serde_json::to_vec(reached).unwrap_or_default());
            for Slot { place, next, .. } in &self.slots {
                let kept = Kept { next: *next, partial: place.partial };
                let kept = serde_json::to_vec(&kept).unwrap_or_default();
                write(&resume::place(&place.stream), kept);
            }
        }
    }

    fn switch(&mut self, checker: &mut Checker, switch: &Switch) {
        let at = clock::now_ms();
        for slot in &mut self.slots {
            let on = switch.is_on(Some(&slot.place.stream));
            if on && !slot.on {
                slot.on = true;
                slot.watch_on(checker, at);
            } else if !on && slot.on {
                slot.on = false;
                if let Some(id) = slot.id {
                    checker.pause(id, at);
                }
            }
        }
        self.switch = switch.clone();
    }
}

impl Tap {
    pub(super) fn new(
        index: usize,
        settings: &RabbitSettings,
        engine: &EngineSettings,
        orders: Receiver<Order>,
        notes: UnboundedSender<Note>,
        resume: &Resume,
    ) -> Self {
        let at = clock::now_ms();
        let hears = settings.ledger.is_some() && settings.stream_prefix.is_empty();
        Self {
            queue: settings.queue.clone(),
            prefix: settings.stream_prefix.clone(),
            default: engine.checker.default_stream.clone(),
            own: engine.streams.clone(),
            orders,
            notes,
            switch: Switch::default(),
            slots: Vec::new(),
            index,
            kind: settings.tap,
            resume: resume.clone(),
            reached: resume.reached,
            asked_at: 0,
            wanting: false,
            readable_at: at,
            looked_at: at,
            ledger_read: hears.then_some(0),
        }
    }

    fn obey(&mut self, checker: &mut Checker, order: Order, at: u64) {
        match order {
            Order::Place(place) => self.place(checker, place),
            Order::Messages(entries) => {
                self.prove(checker, at);
                for entry in &entries {
                    self.observe(checker, entry, at);
                }
            }
            Order::End { asked, read } => {
                self.prove(checker, at);
                self.wanting = false;
                self.end(checker, asked, read);
            }
            Order::GroupEnd { asked } => {
                for id in self.group(checker) {
                    checker.end(id, None, asked);
                }
            }
            Order::Missed => self.slots.iter().for_each(|slot| slot.miss(checker, at)),
            Order::Back => self.go_on(checker, at),
            Order::Reached(reached) => self.reached = Some(reached),
            Order::Ledger(records) => {
                for record in &*records {
                    let record = record.record();
                    if !checker.owns(record.stream, record.lane) {
                        continue;
                    }
                    // Parsing has validated it.
                    let taken = checker.ledger(&record, Some(at));
                    debug_assert!(taken.is_ok(), "a ledger that was parsed is of good form");
                }
            }
            Order::LedgerRead(at) => self.ledger_read = Some(at),
        }
    }

    fn place(&mut self, checker: &mut Checker, place: Place) {
        let Place { seen, stream, since, .. } = &place;
        let name = format!("{}{stream}", self.prefix);
        if !self.prefix.is_empty() {
            // Its messages are stamped for the exchange.
            let mut settings = self.own.get(&name).unwrap_or(&self.default).clone();
            settings.aliases.push(stream.clone());
            checker.configure(&name, settings);
        }
        let view = match seen {
            Seen::Log => VIEW,
            Seen::Group => self.queue.as_deref().unwrap_or_default(),
        };
        let id = checker.partition(view, &name, PARTITION);
        if id.is_none() {
            tracing::warn!(stream = name, "not watched: limits.partitions is reached");
        }
        let at = *since;
        let on = self.switch.is_on(Some(stream));
        let kept = self.resume.places.get(&place.stream).map(|kept| kept.next);
        let slot = Slot { next: kept.or(self.resume.first).unwrap_or(0), place, id, on };
        match slot.place.seen {
            // It has no positions that would tell that something was passed over.
            Seen::Group if self.resume.first.is_some() => slot.miss(checker, at),
            Seen::Group | Seen::Log => slot.watch_on(checker, at),
        }
        self.slots.push(slot);
    }

    fn observe(&mut self, checker: &mut Checker, entry: &Entry, at: u64) {
        let Some(slot) = self.slots.get_mut(entry.number as usize) else { return };
        if entry.position < slot.next {
            // Kept before the restart; another tap was not as far.
            return;
        }
        if slot.place.partial {
            slot.miss(checker, at);
        }
        slot.next = entry.position + 1;
        let Some(id) = slot.id.filter(|_| slot.on) else { return };
        let observation = Observation {
            position: (slot.place.seen == Seen::Log).then_some(entry.position),
            at,
            time: entry.time,
            stamp: entry.stamp.as_ref().map(|stamp| stamp.as_bytes()),
            redelivered: entry.redelivered,
        };
        checker.observe(id, &observation);
    }

    fn end(&self, checker: &mut Checker, asked: u64, read: u64) {
        for slot in self.slots.iter().filter(|slot| slot.on && slot.place.seen == Seen::Log) {
            let Some(id) = slot.id else { continue };
            if checker.wants_end(id) {
                checker.end(id, Some(read), asked);
            }
        }
    }

    /// It can read now. Could it not for longer than a stall, while something waited, then what is
    /// missing may have been late for that reason.
    fn prove(&mut self, checker: &mut Checker, at: u64) {
        if self.wanting && at.saturating_sub(self.readable_at) > STALL_MS {
            self.go_on(checker, at);
        }
        self.readable_at = at;
    }

    fn go_on(&mut self, checker: &mut Checker, at: u64) {
        self.readable_at = at;
        self.slots.iter().for_each(|slot| slot.watch_on(checker, at));
    }

    fn ask(&mut self, checker: &mut Checker, at: u64) {
        let wants = |slot: &Slot| slot.on && slot.id.is_some_and(|id| checker.wants_end(id));
        if self.slots.iter().any(wants) {
            if !self.wanting {
                self.readable_at = at;
            }
            self.wanting = true;
            self.note(Note::Ask);
        }
        if !self.group(checker).is_empty() {
            self.note(Note::AskGroup);
        }
        let unwatched = checker.unwatched_streams();
        if !unwatched.is_empty() {
            self.note(Note::Unwatched(unwatched));
        }
    }

    /// The business queue's name as a view, in each stream where somebody reports of it.
    fn group(&self, checker: &mut Checker) -> Vec<PartitionId> {
        let Some(queue) = &self.queue else { return Vec::new() };
        let filter = Filter { view: Some(queue.clone()), ..Filter::default() };
        let rows = checker.report(&filter, false);
        let watched = |row: &lacuna_core::report::StreamRow| {
            row.partitions.iter().any(|partition| partition.watched.is_some())
        };
        let streams = rows.into_iter().filter(watched).map(|row| row.stream);
        streams.filter_map(|stream| checker.partition(queue, &stream, PARTITION)).collect()
    }

    fn note(&self, note: Note) {
        // The control thread lives as long as a tap does.
        drop(self.notes.send(note));
    }
}
