use std::collections::HashMap;
use std::fmt::Debug;
use std::time::Duration;

use lacuna_core::{Checker, Share, StreamSettings};

use super::settings::EngineSettings;
use super::switch::Switch;
use crate::groups::GroupRow;
use crate::source::kafka::Topics;

/// One configured connection, as those see it who ask how it is.
pub trait Source: Debug + Send + Sync {
    /// How it is now.
    fn status(&self) -> SourceStatus;

    /// The consumer groups that it watches.
    fn groups(&self) -> Vec<GroupRow> {
        Vec::new()
    }

    /// Takes up what has changed, if it goes by any of that.
    fn take_up(&self, _changed: &Changed) {}
}

/// What was configured anew while the engine runs.
#[derive(Clone, Debug)]
pub struct Changed {
    /// How those streams are judged that have no settings of their own.
    pub default_stream: StreamSettings,
    /// Those that have.
    pub streams: HashMap<String, StreamSettings>,
    /// The topics of each Kafka source, by its name.
    pub topics: HashMap<String, Topics>,
}

/// How a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// Its configured name.
    pub name: String,
    /// What it reads from, as `kafka`.
    pub kind: &'static str,
    /// Whether it can read now.
    pub up: bool,
    /// Whether it has begun to watch what it found first; stays true.
    pub ready: bool,
    /// Messages that the broker holds and the source has not read, as far as it knows.
    pub lag: u64,
    /// Partitions that it watches.
    pub partitions: usize,
    /// Messages of streams for which there was no room: they are not judged.
    pub unplaced: u64,
    /// What went wrong last, while it is not up, or why something cannot be judged though it is.
    pub error: Option<String>,
}

/// A source's end inside one worker: it turns what the broker gives into what contracts §3
/// describes and hands that to the worker's checker, on the worker's thread.
pub trait Tap: Debug + Send {
    /// Takes a bounded piece of what has come, and waits at most `wait` for the first of it.
    /// True: there was something, ask again soon.
    fn read(&mut self, checker: &mut Checker, wait: Duration) -> bool;

    /// Up to when it has read all that the producers said on the ledger's channel, ms since the Unix
    /// epoch, 0: nothing yet; `None`: it has no such channel.
    fn ledger_read(&self) -> Option<u64> {
        None
    }

    /// Writes from where it goes on, under names of its own: all of it, each time. Whoever opens the
    /// source again finds it in [`EngineSettings::resumed`].
    fn save(&self, write: &mut dyn FnMut(&str, Vec<u8>)) {
        _ = write;
    }

    /// The switch has moved: pauses what is off now, watches again what is on again.
    fn switch(&mut self, checker: &mut Checker, switch: &Switch);
}

/// A source that is connected: its face, and one tap for each worker.
#[derive(Debug)]
pub struct Opened {
    /// For those who ask.
    pub source: Box<dyn Source>,
    /// One for each worker, in order; tap *i* reads only partitions that worker *i* owns.
    pub taps: Vec<Box<dyn Tap>>,
}

impl EngineSettings {
    /// The worker that owns this partition.
    #[must_use]
    pub fn owner(&self, stream: &str, partition: &str) -> usize {
        Share::owner(stream, partition, self.workers)
    }
}
