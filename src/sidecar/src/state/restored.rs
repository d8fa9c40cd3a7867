//! What a start finds: the state of the run before, taken apart.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use lacuna_core::Checker;
use lacuna_core::state::{Key, Loader};

use super::history::Bounds;
use super::keys::{self, Whose};
use super::store::{Store, StoreError};
use crate::members;

/// Where a source's taps go on: what they wrote, by their own names for it.
pub type Resumed = BTreeMap<String, Vec<u8>>;

/// An open state, and what it holds.
#[derive(Debug)]
pub struct Restored {
    pub(crate) store: Store,
    /// Seeds the lanes' hash: what is remembered of retired lanes goes by it.
    pub hash_seed: u64,
    checkers: BTreeMap<u16, Vec<(Key, Vec<u8>)>>,
    taps: HashMap<String, Resumed>,
    engine: HashMap<String, Vec<u8>>,
}

impl Restored {
    /// Opens the state in this directory for an engine of so many workers.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open(dir: &Path, bounds: Bounds, workers: usize) -> Result<Self, StoreError> {
        let (store, records) = Store::open(dir, bounds)?;
        let damaged = |what: &str| StoreError::Damaged(dir.to_owned(), what.to_owned());
        let mut restored = Self {
            store,
            hash_seed: RandomState::new().hash_one(()),
            checkers: BTreeMap::new(),
            taps: HashMap::new(),
            engine: HashMap::new(),
        };
        for (key, value) in records {
            match keys::read(&key).ok_or_else(|| damaged("a record is of no known kind"))? {
                Whose::Engine(name) => drop(restored.engine.insert(name.to_owned(), value)),
                Whose::Checker(worker, rest) => {
                    let parsed = Key::parse(rest).map_err(|error| damaged(&error.to_string()))?;
                    restored.checkers.entry(worker).or_default().push((parsed, value));
                }
                Whose::Tap(_, source, name) => {
                    let taps = restored.taps.entry(source.to_owned()).or_default();
                    taps.insert(name.to_owned(), value);
                }
            }
        }
        let before = restored.number("workers");
        if let Some(seed) = restored.number("hash seed") {
            restored.hash_seed = seed;
        }
        if let Some(before) = before.filter(|&before| before != workers as u64) {
            return Err(StoreError::Workers(dir.to_owned(), before));
        }
        Ok(restored)
    }

    /// Where a source's taps go on.
    #[must_use]
    pub fn taps(&self) -> HashMap<String, Resumed> {
        self.taps.clone()
    }

    /// What the engine as a whole wrote under this name.
    #[must_use]
    pub fn engine(&self, name: &str) -> Option<&[u8]> {
        self.engine.get(name).map(Vec::as_slice)
    }

    /// Where the rings of members are read on.
    ///
    /// # Errors
    /// The records are not what was written.
    pub fn rings(&self) -> Result<members::Kept, StoreError> {
        let damaged = || "what was kept of members' rings is of no known form".to_owned();
        members::Kept::read(self.engine_all(members::PREFIX))
            .ok_or_else(|| StoreError::Damaged(self.store.dir().to_owned(), damaged()))
    }

    /// The engine's records whose names begin so.
    pub(crate) fn engine_all(&self, prefix: &str) -> impl Iterator<Item = (&str, &[u8])> {
        self.engine
            .iter()
            .filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_slice())))
    }

    /// Loads a worker's checker.
    ///
    /// # Errors
    /// The records are not what was written.
    pub fn load(&self, worker: usize, checker: &mut Checker) -> Result<(), StoreError> {
        let records = u16::try_from(worker).ok().and_then(|worker| self.checkers.get(&worker));
        let Some(records) = records else { return Ok(()) };
        let damaged = |what| StoreError::Damaged(self.store.dir().to_owned(), what);
        let mut loader = Loader::new(checker);
        for (key, bytes) in records {
            let read = loader.record(*key, bytes);
            read.map_err(|error| damaged(format!("{key:?}: {error}")))?;
        }
        loader.finish().map_err(|error| damaged(error.to_string()))
    }

    /// The open state alone.
    #[must_use]
    pub fn into_store(self) -> Store {
        self.store
    }

    fn number(&self, name: &str) -> Option<u64> {
        let bytes = self.engine.get(name)?;
        bytes.as_slice().try_into().ok().map(u64::from_le_bytes)
    }
}
