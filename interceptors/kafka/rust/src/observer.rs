//! A consumer group's view of its own member: what was handed to it, judged by the core.
//!
//! A fault in here ends the checking, never the application.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use lacuna_core::{Checker, Limits, Observation, PartitionId, Settings, Watch};
use lacuna_interceptor::{CHECK_ENV, Switch, clock, lock};
use rdkafka::config::NativeClientConfig;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::native;
use crate::partition::property;

/// Lanes that one process keeps: a member sees some of a topic's partitions, not a whole cluster.
const LANES: usize = 100_000;
/// What it remembers of recent positions, for a log that is cut back, in bytes.
const CUT_MEMORY_BYTES: usize = 1 << 20;
/// Background work comes in slices of this many steps…
const SWEEP_STEPS: usize = 256;
/// …at most once in so many messages.
const SWEEP_EVERY: u32 = 256;

/// How a consumer is checked.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    pub(crate) switch: Switch,
    pub(crate) settings: Settings,
}

impl Default for CheckOptions {
    /// On unless [`CHECK_ENV`] says off; the core's settings with limits for one process.
    fn default() -> Self {
        let limits =
            Limits { lanes: LANES, cut_memory_bytes: CUT_MEMORY_BYTES, ..Limits::default() };
        let hash_seed = RandomState::new().hash_one(0);
        let settings = Settings { limits, hash_seed, ..Settings::default() };
        Self { switch: Switch::from_env(CHECK_ENV), settings }
    }
}

impl CheckOptions {
    /// The switch that governs this consumer's checking.
    #[must_use]
    pub fn switch(mut self, switch: Switch) -> Self {
        self.switch = switch;
        self
    }

    /// Grace, clock skew and limits.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }
}

/// What one consumer was handed.
#[derive(Debug)]
pub(crate) struct Observer {
    switch: Switch,
    /// Something may have passed while the switch was off.
    missed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` after a fault.
    checker: Option<Checker>,
    member: Member,
}

/// Where this member stands: its view's name, and the partitions that it has watched.
#[derive(Debug)]
struct Member {
    view: String,
    committed: bool,
    partitions: HashMap<String, Vec<Option<PartitionId>>>,
    until_sweep: u32,
}

impl Observer {
    pub(crate) fn new(config: &NativeClientConfig, options: CheckOptions) -> Self {
        let isolation = property(config, "isolation.level");
        let view = ["group.id", "client.id"].iter().find_map(|name| property(config, name));
        Self {
            switch: options.switch,
            missed: AtomicBool::new(false),
            state: Mutex::new(State {
                checker: Some(Checker::new(options.settings)),
                member: Member {
                    view: view.unwrap_or_else(|| "consumer".to_owned()),
                    committed: isolation.is_none_or(|level| level == "read_committed"),
                    partitions: HashMap::new(),
                    until_sweep: SWEEP_EVERY,
                },
            }),
        }
    }

    pub(crate) fn switch(&self) -> &Switch {
        &self.switch
    }

    /// The application is about to be handed this message.
    pub(crate) fn observe(&self, message: &BorrowedMessage<'_>) {
        if !self.switch.is_on() {
            self.missed.store(true, Ordering::Relaxed);
            return;
        }
        let observation = Observation {
            position: u64::try_from(message.offset()).ok(),
            at: clock::unix_ms(),
            time: message.timestamp().to_millis().and_then(|time| u64::try_from(time).ok()),
            stamp: native::stamp(message),
            redelivered: None,
        };
        self.guarded(|member, checker| {
            let (topic, partition) = (message.topic(), message.partition());
            let known = member.known(topic, partition);
            let id = known.or_else(|| member.begin(checker, topic, partition, observation.at));
            if let Some(id) = id {
                checker.observe(id, &observation);
            }
            member.until_sweep -= 1;
            if member.until_sweep == 0 {
                member.until_sweep = SWEEP_EVERY;
                checker.sweep(observation.at, SWEEP_STEPS);
            }
        });
    }

    /// The consumer was assigned these partitions, or goes on at another position.
    pub(crate) fn watch(&self, partitions: &TopicPartitionList) {
        let at = clock::unix_ms();
        self.guarded(|member, checker| {
            for element in partitions.elements() {
                let (topic, partition) = (element.topic(), element.partition());
                let Some(id) = member.known(topic, partition) else {
                    member.begin(checker, topic, partition, at);
                    continue;
                };
                // Without a position the first message decides whether this goes on where it was;
                // a hand-over to another member in between is a pause.
                let position = match element.offset() {
                    Offset::Offset(offset) => u64::try_from(offset).ok(),
                    Offset::Beginning
                    | Offset::End
                    | Offset::Stored
                    | Offset::Invalid
                    | Offset::OffsetTail(_) => None,
                };
                member.watch(checker, id, Watch { position, at, ..Watch::default() });
            }
        });
    }

    /// Hands the checker over, for a report; `None` after a fault.
    pub(crate) fn checker<T>(&self, read: impl FnOnce(&mut Checker) -> T) -> Option<T> {
        self.guarded(|_, checker| read(checker))
    }

    fn guarded<T>(&self, work: impl FnOnce(&mut Member, &mut Checker) -> T) -> Option<T> {
        let mut state = lock(&self.state);
        let State { checker: slot, member } = &mut *state;
        let checker = slot.as_mut()?;
        let work = AssertUnwindSafe(|| {
            if self.missed.load(Ordering::Relaxed) && self.missed.swap(false, Ordering::Relaxed) {
                member.resume(checker, clock::unix_ms());
            }
            work(member, checker)
        });
        let result = catch_unwind(work);
        if result.is_err() {
            // What a panic leaves behind is not to be trusted.
            *slot = None;
        }
        result.ok()
    }
}

impl Member {
    fn known(&self, topic: &str, partition: i32) -> Option<PartitionId> {
        let index = usize::try_from(partition).ok()?;
        self.partitions.get(topic)?.get(index).copied()?
    }

    /// Watches a partition for the first time. Whether its start is seen shows in the position of
    /// the first message: only 0 is a start, wherever the application meant to begin.
    fn begin(
        &mut self,
        checker: &mut Checker,
        topic: &str,
        partition: i32,
        at: u64,
    ) -> Option<PartitionId> {
        let index = usize::try_from(partition).ok()?;
        let id = checker.partition(&self.view, topic, &partition.to_string())?;
        self.watch(checker, id, Watch { from_start: true, at, ..Watch::default() });
        let slots = self.partitions.entry(topic.to_owned()).or_default();
        if slots.len() <= index {
            slots.resize(index + 1, None);
        }
        slots[index] = Some(id);
        Some(id)
    }

    /// What passed while the switch was off is unknown.
    fn resume(&self, checker: &mut Checker, at: u64) {
        for &id in self.partitions.values().flatten().flatten() {
            checker.pause(id, at);
            self.watch(checker, id, Watch { at, ..Watch::default() });
        }
    }

    fn watch(&self, checker: &mut Checker, id: PartitionId, watch: Watch) {
        checker.watch(id, &Watch { committed: self.committed, ..watch });
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;

    use super::*;

    #[test]
    fn a_fault_ends_the_checking_and_nothing_else() {
        let config = ClientConfig::new().create_native_config().unwrap();
        let observer = Observer::new(&config, CheckOptions::default());
        assert_eq!(observer.checker(|checker| checker.lane_count()), Some(0));
        let fault = observer.checker(|_| std::panic::panic_any("a fault"));
        assert_eq!(fault, None::<()>);
        assert_eq!(observer.checker(|checker| checker.lane_count()), None);
        observer.watch(&TopicPartitionList::new());
    }
}
