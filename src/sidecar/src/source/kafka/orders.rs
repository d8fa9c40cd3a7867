use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::client::Client;
use super::describe::TopicId;
use super::lineage::Lineage;
use super::policy::Policy;
use crate::engine::{Source, SourceStatus};
use crate::members::Outside;
use crate::source::health::Health;

/// What the control thread tells a tap. A partition's number is the order of its start.
pub(super) enum Order {
    /// Watch a partition.
    Start(Start),
    /// Whether records of a topic may be compacted away; told before it is started.
    Policy { topic: Arc<str>, policy: Policy },
    /// Read all with this client from now on.
    Reopen(Arc<Client>),
    /// The topic was deleted and made again; these partitions begin at these offsets.
    Anew { topic: Arc<str>, id: Option<TopicId>, partitions: Vec<(usize, u64)> },
    /// Where the logs of these partitions ended when they were asked for, ms since the Unix epoch;
    /// `None`: no answer.
    Ends { asked: u64, ends: Vec<(usize, Option<u64>)> },
    /// The log holds `start` to `end` (exclusive) only; go on there.
    GoOn { number: usize, start: u64, end: u64 },
}

/// A partition that is to be watched from this offset on.
pub(super) struct Start {
    pub(super) topic: Arc<str>,
    /// Which topic it is that has the name now.
    pub(super) id: Option<TopicId>,
    pub(super) partition: i32,
    pub(super) offset: u64,
    pub(super) from: Started,
}

/// Where that is.
pub(super) enum Started {
    /// At its very first message.
    Beginning,
    /// Somewhere.
    Here,
    /// Where an earlier run was.
    Again(Lineage),
    /// At the first message of another topic than the one of this name that an earlier run read.
    Anew,
}

/// What a tap tells the control thread.
#[derive(Debug)]
pub(super) enum Note {
    /// Something waits to be judged at the ends of these partitions.
    Ask(Vec<usize>),
    /// The offset that comes next may not be in the log.
    Gone(usize),
    /// Something that a person must know.
    Trouble(String),
}

/// What both sides and those who ask see.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) health: Health,
    /// Of each tap: lag in messages, and partitions.
    pub(super) reading: Vec<(AtomicU64, AtomicUsize)>,
    /// What members' seats want to know of the logs.
    pub(super) outside: Arc<Outside>,
}

impl Shared {
    pub(super) fn new(name: &str, taps: usize, outside: Arc<Outside>) -> Self {
        let reading = (0..taps).map(|_| Default::default()).collect();
        Self { health: Health::new(name, "kafka"), reading, outside }
    }
}

impl Source for Arc<Shared> {
    fn status(&self) -> SourceStatus {
        let lag = self.reading.iter().map(|(lag, _)| lag.load(Ordering::Relaxed)).sum();
        let partitions = self.reading.iter().map(|(_, n)| n.load(Ordering::Relaxed)).sum();
        self.health.status(lag, partitions)
    }
}
