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
