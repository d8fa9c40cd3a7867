use std::collections::HashMap;
use std::sync::mpsc::Sender;

use lacuna_core::Checker;

use super::source::Tap;
use crate::state::{Finding, Part, Writes, keys};

/// Blocks of lanes that are written between two reads: less than a millisecond.
const BLOCKS: usize = 256;

/// A worker's part of the instant that is being kept.
#[derive(Debug)]
pub(super) struct Saving {
    worker: u16,
    writes: Writes,
    to: Sender<Part>,
}

/// What taps wrote last: only what has changed is written again.
pub(super) type Written = HashMap<Vec<u8>, Vec<u8>>;

impl Saving {
    /// Fixes an instant of this worker.
    pub(super) fn begin(
        worker: usize,
        checker: &mut Checker,
        findings: Vec<Finding>,
        to: Sender<Part>,
    ) -> Self {
        let worker = number(worker);
        let mut saving = Self { worker, writes: Writes { findings, ..Writes::default() }, to };
        checker.save(&mut |key, bytes| saving.put(key, bytes));
        saving
    }

    /// Adds what is to be written with it.
    pub(super) fn add(&mut self, writes: Writes) {
        self.writes.add(writes);
    }

    /// Goes on, for a moment; gives itself back if there is more.
    pub(super) fn go_on(mut self, checker: &mut Checker) -> Option<Self> {
        if checker.save_more(BLOCKS, &mut |key, bytes| self.put(key, bytes)) {
            return Some(self);
        }
        // Nobody takes it any more once the engine has ended.
        drop(self.to.send(Part(self.writes)));
        None
    }

    fn put(&mut self, key: lacuna_core::state::Key, bytes: Option<&[u8]>) {
        let key = keys::checker(self.worker, key);
        self.writes.records.insert(key, bytes.map(<[u8]>::to_vec));
    }
}

/// What has changed of where a source's tap goes on.
pub(super) fn taps(worker: usize, source: &str, tap: &dyn Tap, written: &mut Written) -> Writes {
    let mut writes = Writes::default();
    tap.save(&mut |name, value| {
        let key = keys::tap(number(worker), source, name);
        if written.get(&key) != Some(&value) {
            written.insert(key.clone(), value.clone());
            writes.records.insert(key, Some(value));
        }
    });
    writes
}

/// There are at most 256 workers.
fn number(worker: usize) -> u16 {
    u16::try_from(worker).unwrap_or(u16::MAX)
}
