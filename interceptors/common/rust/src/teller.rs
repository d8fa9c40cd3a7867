//! What a consumer has, and what of it was told.

use lacuna_ring::{Record, order};

use crate::way::Way;

/// Tells what consumers are handed, and knows what was not told.
#[derive(Debug)]
pub struct Teller {
    way: Way,
    /// Readers that know all that was said so far.
    readers: u64,
    /// Records that were not told since the last one. While there are any, the sidecar does not know
    /// what this consumer has either.
    untold: u64,
    generation: Option<u64>,
    slots: Vec<Slot>,
    busy: usize,
}

/// A partition that the consumer has, or had.
#[derive(Debug)]
struct Slot {
    stream: String,
    partition: String,
    held: bool,
}

impl Teller {
    pub(crate) fn new(way: Way) -> Self {
        let readers = way.readers();
        Self { way, readers, untold: 0, generation: None, slots: Vec::new(), busy: 0 }
    }

    /// Messages that were told and that the sidecar refused.
    pub(crate) fn refused(&self) -> u64 {
        self.way.refused()
    }

    /// Its end keeps nobody waiting.
    pub(crate) fn give_up(&mut self) {
        self.way.give_up();
    }

    /// A number for this partition of a stream, which the consumer does not have yet.
    pub fn slot(&mut self, stream: &str, partition: &str) -> u32 {
        let (stream, partition) = (stream.to_owned(), partition.to_owned());
        self.slots.push(Slot { stream, partition, held: false });
        number(self.slots.len() - 1)
    }

    /// A message came from this slot: the consumer has it, whoever assigned it.
    #[inline]
    pub fn hold(&mut self, slot: u32) {
        if !self.slots[slot as usize].held {
            self.slots[slot as usize].held = true;
            self.fall_behind();
        }
    }

    /// The consumer has this slot from now on.
    pub fn assign(&mut self, slot: u32, generation: Option<u64>, position: Option<u64>) {
        let Self { slots, way, untold, .. } = self;
        let Slot { stream, partition, held } = &mut slots[slot as usize];
        *held = true;
        let (resumed, order) = (false, order());
        let record =
            Record::Assigned { slot, stream, partition, generation, position, resumed, order };
        // What is behind is caught up with by the next message.
        if *untold > 0 || !way.add(&record) {
            way.set_behind(true);
            *untold += 1;
        }
    }

    /// The consumer has this slot no more: all that it was handed was told before.
    pub fn release(&mut self, slot: u32) {
        self.slots[slot as usize].held = false;
        self.tell(&Record::Released { slot, order: order() });
    }

    /// The group has come to this generation, and the consumer is in it.
    pub fn generation(&mut self, generation: u64) {
        self.generation = Some(generation);
        self.tell(&Record::Generation { generation, order: order() });
    }

    /// Tells it, unless there is no room for it and for what was not told before.
    #[inline]
    pub fn tell(&mut self, record: &Record<'_>) -> bool {
        let behind = self.untold > 0 || self.readers != self.way.readers();
        if (behind && !self.catch_up()) || !self.way.add(record) {
            self.fall_behind();
            return false;
        }
        true
    }

    /// Something is not told: the sidecar does not know all any more, even if nothing follows.
    #[cold]
    pub fn fall_behind(&mut self) {
        self.way.set_behind(true);
        self.untold += 1;
    }

    /// One more of the consumers, or one less, may have been sent what it has not handed over yet.
    pub fn busy(&mut self, more: bool) {
        self.busy = if more { self.busy + 1 } else { self.busy.saturating_sub(1) };
        self.way.set_busy(self.busy > 0);
    }

    /// Tells how much was not told, and what the consumer has.
    #[cold]
    fn catch_up(&mut self) -> bool {
        let readers = self.way.readers();
        let order = order();
        let generation = self.generation;
        let mut records = Vec::new();
        records.extend((self.untold > 0).then_some(Record::Lost { records: self.untold }));
        records.extend(generation.map(|generation| Record::Generation { generation, order }));
        let held = self.slots.iter().enumerate().filter(|(_, slot)| slot.held);
        records.extend(held.map(|(slot, Slot { stream, partition, .. })| Record::Assigned {
            slot: number(slot),
            stream,
            partition,
            generation,
            position: None,
            resumed: true,
            order,
        }));
        let told = self.way.add_all(&records);
        if told {
            (self.untold, self.readers) = (0, readers);
            self.way.set_behind(false);
        }
        told
    }
}

fn number(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(u32::MAX)
}
