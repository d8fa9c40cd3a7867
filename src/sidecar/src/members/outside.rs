use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Looks that are remembered of one group.
const KEPT: usize = 64;
/// What retention took that waits to be looked up; nobody does where no member tells anything.
const MOST_TAKEN: usize = 10_000;

/// What is known of groups and logs from outside, by asking the broker. Who asks writes it here; who
/// hears what members tell looks it up.
#[derive(Debug, Default)]
pub struct Outside(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// When groups were seen without any member: between these two, by [`lacuna_ring::order`].
    deserted: HashMap<String, VecDeque<(u64, u64)>>,
    /// By stream and partition: where the log ended, and when it was asked, ms since the Unix epoch.
    ends: HashMap<(String, String), (u64, u64)>,
    /// By stream and partition: the positions behind the last record up to where the log was read,
    /// the upper one exclusive. They hold the marks of transactions, or nothing.
    tails: HashMap<(String, String), (u64, u64)>,
    taken: Vec<Taken>,
}

/// Positions that retention took from a group before it committed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The group.
    pub group: String,
    /// The stream.
    pub stream: String,
    /// The partition.
    pub partition: String,
    /// The first position.
    pub first: u64,
    /// The last one, inclusive.
    pub last: u64,
    /// When this was found, ms since the Unix epoch.
    pub at: u64,
}

impl Outside {
    /// The group had no member when it was asked after `asked` and before `answered`, by
    /// [`lacuna_ring::order`].
    pub fn deserted(&self, group: &str, asked: u64, answered: u64) {
        let mut known = self.known();
        let looks = known.deserted.entry(group.to_owned()).or_default();
        looks.push_back((asked, answered));
        if looks.len() > KEPT {
            looks.pop_front();
        }
    }

    /// Whether it was seen so at any time after `from` and before `to`.
    #[must_use]
    pub fn was_deserted(&self, group: &str, from: u64, to: u64) -> bool {
        let inside = |&(asked, answered): &(u64, u64)| from < asked && answered < to;
        self.known().deserted.get(group).is_some_and(|looks| looks.iter().any(inside))
    }

    /// The log ended at `end` when it was asked `at`, in ms since the Unix epoch.
    pub fn ended(&self, stream: &str, partition: &str, end: u64, at: u64) {
        let place = (stream.to_owned(), partition.to_owned());
        self.known().ends.insert(place, (end, at));
    }

    /// Where the logs ended that were asked since the last time.
    #[must_use]
    pub fn new_ends(&self) -> HashMap<(String, String), (u64, u64)> {
        std::mem::take(&mut self.known().ends)
    }

    /// The log was read up to `end`, and holds no record at `first` or behind it.
    pub fn passed(&self, stream: &str, partition: &str, first: u64, end: u64) {
        let place = (stream.to_owned(), partition.to_owned());
        self.known().tails.insert(place, (first, end));
    }

    /// The log was cut back, or is another one: what was passed may hold records.
    pub fn cut(&self, stream: &str, partition: &str) {
        self.known().tails.remove(&(stream.to_owned(), partition.to_owned()));
    }

    /// Whether nothing is left between these positions for who was handed all below `next`.
    #[must_use]
    pub fn is_at_end(&self, stream: &str, partition: &str, next: u64, end: u64) -> bool {
        next >= end || {
            let known = self.known();
            let tail = known.tails.get(&(stream.to_owned(), partition.to_owned()));
            tail.is_some_and(|&(first, read)| first <= next && end <= read)
        }
    }

    /// Retention took these.
    pub fn taken(&self, taken: Taken) {
        let mut known = self.known();
        if known.taken.len() < MOST_TAKEN {
            known.taken.push(taken);
        }
    }

    /// What it took since the last time.
    #[must_use]
    pub fn new_taken(&self) -> Vec<Taken> {
        std::mem::take(&mut self.known().taken)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
