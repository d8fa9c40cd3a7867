//! Topics and their lanes, one a partition.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use foldhash::fast::RandomState;
use lacuna_core::stamp;
use lacuna_interceptor::{Identity, Lane, Outcome, Table, lock};

use crate::partition::Spread;

/// Every topic that a producer has sent to.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    hasher: RandomState,
    topics: Table<Topic>,
}

impl Topics {
    /// A topic's entry, made at its first message.
    #[inline]
    pub(crate) fn entry(&self, name: &str) -> &Topic {
        let hash = self.hash(name);
        let is = |topic: &Topic| *topic.name == *name;
        self.topics
            .find(hash, is)
            .unwrap_or_else(|| self.topics.find_or_add(hash, is, || Topic::new(name)))
    }

    /// A topic's entry, if it has one.
    pub(crate) fn find(&self, name: &str) -> Option<&Topic> {
        self.topics.find(self.hash(name), |topic| *topic.name == *name)
    }

    /// Every lane of every topic.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.topics.iter().flat_map(|topic| topic.lanes.iter().map(|numbered| &numbered.lane))
    }

    fn hash(&self, name: &str) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "a hash")]
        let hash = self.hasher.hash_one(name) as usize;
        hash
    }
}

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    name: Arc<str>,
    lanes: Table<Numbered>,
    /// Partitions, as last heard of; 0: not known yet.
    count: AtomicUsize,
    /// Whether its partitions have been asked for and not been told yet.
    pub(crate) asked: AtomicBool,
    spread: Mutex<Spread>,
}

impl Topic {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            lanes: Table::default(),
            count: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            spread: Mutex::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Partitions, as last heard of; 0: not known yet.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// For each partition, whether it has a leader.
    pub(crate) fn learn(&self, led: Vec<bool>) {
        let count = led.len();
        self.spread().learn(led);
        self.count.store(count, Ordering::Release);
    }

    pub(crate) fn spread(&self) -> MutexGuard<'_, Spread> {
        lock(&self.spread)
    }

    /// The lane of this partition, or `*`, made at its first message.
    #[inline]
    pub(crate) fn lane(
        &self,
        partition: Option<i32>,
        identity: &Identity,
        transactional: bool,
    ) -> &Lane {
        let hash = slot(partition);
        let is = |numbered: &Numbered| numbered.partition == partition;
        let found = self.lanes.find(hash, is).unwrap_or_else(|| {
            let make = || Numbered::new(partition, &self.name, identity, transactional);
            self.lanes.find_or_add(hash, is, make)
        });
        &found.lane
    }

    /// A delivery report of a message that was written to, or meant for, this partition.
    pub(crate) fn settle(&self, partition: i32, prefix: &[u8], seq: u64, outcome: Outcome) {
        let lane = [Some(partition), None].into_iter().find_map(|partition| {
            let is = |numbered: &Numbered| {
                numbered.partition == partition && numbered.lane.prefix() == prefix
            };
            self.lanes.find(slot(partition), is)
        });
        // None: a stamp that the application forwarded while stamping was off.
        if let Some(Numbered { lane, .. }) = lane {
            lane.settle(seq, outcome);
        }
    }
}

/// Partitions side by side, so that up to 255 of them never share a slot.
fn slot(partition: Option<i32>) -> usize {
    partition.map_or(0, |partition| usize::try_from(partition).unwrap_or(0) + 1)
}

/// The lane of one partition.
#[derive(Debug)]
struct Numbered {
    /// `None`: lane `*`.
    partition: Option<i32>,
    lane: Lane,
}

impl Numbered {
    fn new(
        partition: Option<i32>,
        topic: &Arc<str>,
        identity: &Identity,
        transactional: bool,
    ) -> Self {
        let label = partition.map_or_else(|| stamp::SPAN.to_owned(), |number| number.to_string());
        Self { partition, lane: Lane::new(topic, &label, identity, transactional) }
    }
}

#[cfg(test)]
mod tests {
    use lacuna_interceptor::Answers;

    use super::*;

    #[test]
    fn a_report_goes_to_the_lane_that_its_stamp_names() {
        let identity = Identity { producer: "p@h".to_owned(), epoch: 7 };
        let topic = Topic::new("orders");
        let pending = |partition| {
            topic.lane(partition, &identity, false).record(&identity, Answers::All, 0).pending
        };
        for partition in [Some(3), None] {
            let lane = topic.lane(partition, &identity, false);
            lane.taken(lane.turn());
        }
        let origin = stamp::origin("orders");
        let settle = |prefix: String| topic.settle(3, prefix.as_bytes(), 0, Outcome::Acknowledged);
        assert_eq!([pending(Some(3)), pending(None)], [[(0, 0)], [(0, 0)]]);
        settle(format!("1;forwarded@h;7;{origin:08x};3"));
        assert_eq!([pending(Some(3)), pending(None)], [[(0, 0)], [(0, 0)]]);
        settle(format!("1;p@h;7;{origin:08x};*"));
        assert_eq!([pending(Some(3)), pending(None)], [vec![(0, 0)], vec![]]);
        settle(format!("1;p@h;7;{origin:08x};3"));
        assert_eq!([pending(Some(3)), pending(None)], [[], []]);
    }
}
