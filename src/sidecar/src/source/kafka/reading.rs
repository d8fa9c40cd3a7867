use std::collections::HashMap;

use lacuna_core::{Checker, Observation};
use rdkafka::error::RDKafkaErrorCode;

use super::batch::{Key, Message};
use super::lineage::Step;
use super::slot::Slot;

/// One batch on its way into the checker.
pub(super) struct Reading<'a> {
    pub(super) slots: &'a mut [Slot],
    pub(super) by_key: &'a HashMap<Key, usize, foldhash::fast::RandomState>,
    /// Messages come in runs of one partition.
    pub(super) last: Option<(Key, usize)>,
    pub(super) failed: Vec<(Key, RDKafkaErrorCode, String)>,
    /// Slots that are to be read from elsewhere.
    pub(super) elsewhere: Vec<(usize, Step)>,
    pub(super) checker: &'a mut Checker,
    pub(super) at: u64,
}

impl Reading<'_> {
    #[inline]
    pub(super) fn take(&mut self, message: &Message) {
        let key = message.key();
        let slot = match self.last {
            Some((last, slot)) if last == key => slot,
            _ => match self.turn_to(key) {
                Some(slot) => slot,
                None => return,
            },
        };
        let index = slot;
        let slot = &mut self.slots[index];
        if slot.held {
            return;
        }
        if let Some(error) = message.error() {
            match (error, message.offset()) {
                (RDKafkaErrorCode::PartitionEOF, Some(offset)) => match slot.lineage.end(offset) {
                    Step::Take => slot.pass_to_end(offset),
                    step @ (Step::Skip | Step::Cut(_) | Step::Look(_) | Step::Ask) => {
                        self.hold(index, step);
                    }
                },
                _ => self.failed.push((key, error, message.error_text())),
            }
            return;
        }
        let Some(position) = message.offset() else { return };
        match slot.lineage.record(position, message.leader_epoch(), slot.policy.may_compact()) {
            Step::Take => {}
            Step::Cut(cut) => slot.cut(self.checker, cut, self.at),
            Step::Skip => return,
            step @ (Step::Look(_) | Step::Ask) => return self.hold(index, step),
        }
        if slot.away {
            slot.watch_on(self.checker, self.at);
        }
        slot.pass_to(self.checker, position, self.at);
        slot.next = position + 1;
        if slot.on {
            let observation = Observation {
                position: Some(position),
                at: self.at,
                time: message.time(),
                stamp: message.stamp(),
                redelivered: None,
            };
            self.checker.observe(slot.id, &observation);
        }
    }

    #[cold]
    fn hold(&mut self, slot: usize, step: Step) {
        self.slots[slot].held = true;
        self.elsewhere.push((slot, step));
    }

    fn turn_to(&mut self, key: Key) -> Option<usize> {
        let slot = *self.by_key.get(&key)?;
        self.last = Some((key, slot));
        self.slots[slot].prove(self.at);
        Some(slot)
    }
}
