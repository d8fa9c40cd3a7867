//! What a consumer is handed, told to the sidecar beside it through a ring in shared memory.
//!
//! A fault in here ends the telling, never the application.

use std::collections::HashMap;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lacuna_interceptor::{CHECK_ENV, Switch, lock};
use lacuna_ring::{RING_DIR_ENV, Record, Writer, order};
use rdkafka::config::NativeClientConfig;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::native;
use crate::partition::property;

/// Room for some ten thousand messages: the sidecar reads every few milliseconds.
const RING_BYTES: usize = 4 << 20;

/// How a consumer is checked.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    pub(crate) switch: Switch,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) bytes: usize,
}

impl Default for CheckOptions {
    /// On unless [`CHECK_ENV`] says off, in the directory that [`RING_DIR_ENV`] names; where it
    /// names none, nobody is told anything.
    fn default() -> Self {
        let dir = env::var_os(RING_DIR_ENV).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        Self { switch: Switch::from_env(CHECK_ENV), dir, bytes: RING_BYTES }
    }
}

impl CheckOptions {
    /// The switch that governs this consumer's checking.
    #[must_use]
    pub fn switch(mut self, switch: Switch) -> Self {
        self.switch = switch;
        self
    }

    /// The directory that a sidecar reads: its `members.ring_dir`.
    #[must_use]
    pub fn ring_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Room for what the sidecar has not read yet, in bytes. What finds none is unknown to it.
    #[must_use]
    pub fn ring_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }
}

/// What one consumer was handed.
#[derive(Debug)]
pub(crate) struct Observer {
    switch: Switch,
    /// Something may have passed while the switch was off.
    missed: AtomicBool,
    lost: AtomicU64,
    /// `None`: nobody is told, or a fault has ended it.
    teller: Mutex<Option<Teller>>,
}

#[derive(Debug)]
struct Teller {
    ring: Writer,
    /// Readers that know all that was said so far.
    readers: u64,
    /// Messages that were not told since the last record. While there are any, the sidecar does not
    /// know what this consumer has either.
    untold: u64,
    generation: Option<u64>,
    slots: Vec<Slot>,
    by_name: HashMap<String, Vec<Option<u32>>>,
    /// The slot that was found last: messages come in runs.
    last: usize,
}

/// A partition that the consumer has, or had.
#[derive(Debug)]
struct Slot {
    topic: String,
    partition: i32,
    label: String,
    held: bool,
}

impl Observer {
    pub(crate) fn new(config: &NativeClientConfig, options: &CheckOptions) -> Self {
        let isolation = property(config, "isolation.level");
        let committed = isolation.is_none_or(|level| level == "read_committed");
        let view = ["group.id", "client.id"].iter().find_map(|name| property(config, name));
        let view = view.unwrap_or_else(|| "consumer".to_owned());
        // Without a ring the application runs on, and its sidecar does not hear of it.
        let ring = options
            .dir
            .as_ref()
            .and_then(|dir| Writer::create(dir, &view, committed, options.bytes).ok());
        Self {
            switch: options.switch.clone(),
            missed: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            teller: Mutex::new(ring.map(Teller::new)),
        }
    }

    pub(crate) fn switch(&self) -> &Switch {
        &self.switch
    }

    /// Whether there is a ring that what is handed over is written to.
    pub(crate) fn is_telling(&self) -> bool {
        lock(&self.teller).is_some()
    }

    /// Messages that were handed over and could not be told, for want of room.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The application is about to be handed this message.
    #[inline]
    pub(crate) fn observe(&self, message: &BorrowedMessage<'_>) {
        if !self.switch.is_on() {
            if !self.missed.swap(true, Ordering::Relaxed) {
                self.guarded(|teller| teller.fall_behind());
            }
            return;
        }
        self.missed.store(false, Ordering::Relaxed);
        let told = self.guarded(|teller| {
            let slot = teller.source(message);
            teller.tell(&Record::Handed {
                slot,
                position: u64::try_from(message.offset()).ok(),
                time: message.timestamp().to_millis().and_then(|time| u64::try_from(time).ok()),
                redelivered: None,
                stamp: native::stamp(message),
            })
        });
        if told == Some(false) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The group has given the consumer these partitions in this generation; `None`: the
    /// application has done so itself.
    pub(crate) fn assigned(&self, partitions: &TopicPartitionList, generation: Option<u64>) {
        self.guarded(|teller| {
            if let Some(generation) = generation {
                teller.generation = Some(generation);
                teller.tell(&Record::Generation { generation, order: order() });
            }
            for element in partitions.elements() {
                let slot = teller.slot(element.topic(), element.partition());
                teller.hold(slot, true);
                let position = position(element.offset());
                teller.say(slot, |slot, stream, partition| Record::Assigned {
                    slot,
                    stream,
                    partition,
                    generation,
                    position,
                    resumed: false,
                    order: order(),
                });
            }
        });
    }

    /// The consumer has these partitions no more.
    pub(crate) fn released(&self, partitions: &TopicPartitionList) {
        self.guarded(|teller| {
            for element in partitions.elements() {
                let slot = teller.slot(element.topic(), element.partition());
                teller.hold(slot, false);
                teller.tell(&Record::Released { slot, order: order() });
            }
        });
    }

    /// The application goes on elsewhere.
    pub(crate) fn moved(&self, topic: &str, partition: i32, offset: Offset) {
        self.guarded(|teller| {
            let slot = teller.slot(topic, partition);
            teller.tell(&Record::Moved { slot, position: position(offset) });
        });
    }

    fn guarded<T>(&self, work: impl FnOnce(&mut Teller) -> T) -> Option<T> {
        let mut slot = lock(&self.teller);
        let teller = slot.as_mut()?;
        let result = catch_unwind(AssertUnwindSafe(|| work(teller)));
        if result.is_err() {
            // What a panic leaves behind is not to be trusted, and nothing more will be told.
            teller.fall_behind();
            *slot = None;
        }
        result.ok()
    }
}

impl Teller {
    fn new(ring: Writer) -> Self {
        Self {
            readers: ring.readers(),
            ring,
            untold: 0,
            generation: None,
            slots: Vec::new(),
            by_name: HashMap::new(),
            last: 0,
        }
    }

    /// The partition that a message came from, which the consumer has, whoever assigned it.
    #[inline]
    fn source(&mut self, message: &BorrowedMessage<'_>) -> u32 {
        let slot = self.slot(message.topic(), message.partition());
        if !self.slots[slot as usize].held {
            self.hold(slot, true);
            self.fall_behind();
        }
        slot
    }

    #[inline]
    fn slot(&mut self, topic: &str, partition: i32) -> u32 {
        let last = self.slots.get(self.last);
        if last.is_none_or(|slot| slot.partition != partition || slot.topic != topic) {
            self.last = self.find(topic, partition);
        }
        number(self.last)
    }

    fn find(&mut self, topic: &str, partition: i32) -> usize {
        let index = usize::try_from(partition).unwrap_or(0);
        if let Some(slot) = self.by_name.get(topic).and_then(|slots| *slots.get(index)?) {
            return slot as usize;
        }
        let slot = self.slots.len();
        let (topic, label) = (topic.to_owned(), partition.to_string());
        let slots = self.by_name.entry(topic.clone()).or_default();
        if slots.len() <= index {
            slots.resize(index + 1, None);
        }
        slots[index] = Some(number(slot));
        self.slots.push(Slot { topic, partition, label, held: false });
        slot
    }

    fn hold(&mut self, slot: u32, held: bool) {
        self.slots[slot as usize].held = held;
    }

    fn say<'a>(&'a mut self, slot: u32, record: impl FnOnce(u32, &'a str, &'a str) -> Record<'a>) {
        let Self { slots, ring, untold, .. } = self;
        let Slot { topic, label, .. } = &slots[slot as usize];
        // What is behind is caught up with by the next message.
        if *untold > 0 || !ring.add(&record(slot, topic, label)) {
            ring.set_behind(true);
            *untold += 1;
        }
    }

    /// Tells it, unless there is no room for it and for what was not told before.
    #[inline]
    fn tell(&mut self, record: &Record<'_>) -> bool {
        let behind = self.untold > 0 || self.readers != self.ring.readers();
        if (behind && !self.catch_up()) || !self.ring.add(record) {
            self.fall_behind();
            return false;
        }
        true
    }

    /// Something is not told: the sidecar does not know all any more, even if nothing follows.
    #[cold]
    fn fall_behind(&mut self) {
        self.ring.set_behind(true);
        self.untold += 1;
    }

    /// Tells how much was not told, and what the consumer has.
    #[cold]
    fn catch_up(&mut self) -> bool {
        let readers = self.ring.readers();
        let order = order();
        let generation = self.generation;
        let mut records = Vec::new();
        records.extend((self.untold > 0).then_some(Record::Lost { records: self.untold }));
        records.extend(generation.map(|generation| Record::Generation { generation, order }));
        let held = self.slots.iter().enumerate().filter(|(_, slot)| slot.held);
        records.extend(held.map(|(slot, Slot { topic, label, .. })| Record::Assigned {
            slot: number(slot),
            stream: topic,
            partition: label,
            generation,
            position: None,
            resumed: true,
            order,
        }));
        let told = self.ring.add_all(&records);
        if told {
            (self.untold, self.readers) = (0, readers);
            self.ring.set_behind(false);
        }
        told
    }
}

fn number(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(u32::MAX)
}

fn position(offset: Offset) -> Option<u64> {
    match offset {
        Offset::Offset(offset) => u64::try_from(offset).ok(),
        Offset::Beginning
        | Offset::End
        | Offset::Stored
        | Offset::Invalid
        | Offset::OffsetTail(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;

    use super::*;

    #[test]
    fn a_fault_ends_the_telling_and_nothing_else() {
        let dir = env::temp_dir().join(format!("lacuna-fault-{}", std::process::id()));
        let config = ClientConfig::new().create_native_config().unwrap();
        let observer = Observer::new(&config, &CheckOptions::default().ring_dir(&dir));
        assert!(observer.is_telling());
        let fault = observer.guarded(|_| std::panic::panic_any("a fault"));
        assert_eq!(fault, None::<()>);
        assert!(!observer.is_telling());
        observer.assigned(&TopicPartitionList::new(), None);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn without_a_directory_or_a_usable_one_nobody_is_told() {
        let config = ClientConfig::new().create_native_config().unwrap();
        let options = CheckOptions { dir: None, ..CheckOptions::default() };
        assert!(!Observer::new(&config, &options).is_telling());
        assert!(!Observer::new(&config, &options.ring_dir("/dev/null/x")).is_telling());
    }
}
