//! What a consumer is handed, told to a sidecar.

use std::collections::HashMap;

use lacuna_interceptor::{CheckOptions, Switch, Teller, Telling};
use lacuna_ring::{Reading, Record};
use rdkafka::config::NativeClientConfig;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::native;
use crate::partition::property;

/// What one consumer was handed.
#[derive(Debug)]
pub(crate) struct Observer(Telling<Slots>);

/// The slots of the partitions that the consumer has, or had.
#[derive(Debug, Default)]
struct Slots {
    by_name: HashMap<String, Vec<Option<u32>>>,
    /// The one that was found last: messages come in runs.
    last: Option<(String, i32, u32)>,
}

impl Observer {
    pub(crate) fn new(config: &NativeClientConfig, options: &CheckOptions) -> Self {
        let isolation = property(config, "isolation.level");
        let committed = isolation.is_none_or(|level| level == "read_committed");
        let reading = if committed { Reading::Committed } else { Reading::Ordered };
        let view = ["group.id", "client.id"].iter().find_map(|name| property(config, name));
        let view = view.unwrap_or_else(|| "consumer".to_owned());
        Self(Telling::start(&view, reading, options))
    }

    pub(crate) fn switch(&self) -> &Switch {
        self.0.switch()
    }

    /// Whether there is a way to a sidecar.
    pub(crate) fn is_telling(&self) -> bool {
        self.0.is_telling()
    }

    /// Messages that were handed over and could not be told.
    pub(crate) fn untold(&self) -> u64 {
        self.0.untold()
    }

    /// The application is about to be handed this message.
    #[inline]
    pub(crate) fn observe(&self, message: &BorrowedMessage<'_>) {
        self.0.observe(|teller, slots| {
            let slot = slots.slot(teller, message.topic(), message.partition());
            teller.hold(slot);
            teller.tell(&Record::Handed {
                slot,
                position: u64::try_from(message.offset()).ok(),
                time: message.timestamp().to_millis().and_then(|time| u64::try_from(time).ok()),
                redelivered: None,
                stamp: native::stamp(message),
            })
        });
    }

    /// The group has given the consumer these partitions in this generation; `None`: the
    /// application has done so itself.
    pub(crate) fn assigned(&self, partitions: &TopicPartitionList, generation: Option<u64>) {
        self.0.tell(|teller, slots| {
            if let Some(generation) = generation {
                teller.generation(generation);
            }
            for element in partitions.elements() {
                let slot = slots.slot(teller, element.topic(), element.partition());
                teller.assign(slot, generation, position(element.offset()));
            }
        });
    }

    /// The consumer has these partitions no more.
    pub(crate) fn released(&self, partitions: &TopicPartitionList) {
        self.0.tell(|teller, slots| {
            for element in partitions.elements() {
                let slot = slots.slot(teller, element.topic(), element.partition());
                teller.release(slot);
            }
        });
    }

    /// The application goes on elsewhere.
    pub(crate) fn moved(&self, topic: &str, partition: i32, offset: Offset) {
        self.0.tell(|teller, slots| {
            let slot = slots.slot(teller, topic, partition);
            teller.tell(&Record::Moved { slot, position: position(offset) });
        });
    }
}

impl Slots {
    #[inline]
    fn slot(&mut self, teller: &mut Teller, topic: &str, partition: i32) -> u32 {
        match &self.last {
            Some((name, number, slot)) if *number == partition && name == topic => *slot,
            _ => self.find(teller, topic, partition),
        }
    }

    fn find(&mut self, teller: &mut Teller, topic: &str, partition: i32) -> u32 {
        let index = usize::try_from(partition).unwrap_or(0);
        let known = self.by_name.get(topic).and_then(|slots| *slots.get(index)?);
        let slot = known.unwrap_or_else(|| {
            let slot = teller.slot(topic, &partition.to_string());
            let slots = self.by_name.entry(topic.to_owned()).or_default();
            if slots.len() <= index {
                slots.resize(index + 1, None);
            }
            slots[index] = Some(slot);
            slot
        });
        let mut name = self.last.take().map_or_else(String::new, |(name, ..)| name);
        name.clear();
        name.push_str(topic);
        self.last = Some((name, partition, slot));
        slot
    }
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
