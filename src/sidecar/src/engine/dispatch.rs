use serde::{Deserialize, Serialize};

use super::batches::Batches;
use super::switch::Switch;
use crate::members::Hearing;
use crate::state::{Restored, Writes, keys};

/// The records' names.
const SWITCH: &str = "switch";
const BATCH: &str = "batch/";
const WORKERS: &str = "workers";
const SEED: &str = "hash seed";
const MEMBERS: &str = "members";

/// What all workers see together. Whoever hands something to several of them holds it meanwhile, and
/// so does who fixes an instant: what was handed out is in it for all of them, or for none.
#[derive(Debug, Default)]
pub(super) struct Dispatch {
    pub(super) switch: Switch,
    /// As it was when the process before ended.
    pub(super) before: Switch,
    pub(super) batches: Batches,
    /// The number of the next instant: what is handed out now is in it.
    pub(super) next: u64,
    /// What the engine itself writes with it; nothing where nothing is kept.
    changed: Option<Writes>,
    configured: Switch,
    /// The members that report, as they were written last.
    members: Vec<u8>,
}

/// The switch as it is kept: one that was configured otherwise since goes before it.
#[derive(Deserialize, Serialize)]
struct Kept {
    switch: Switch,
    configured: Switch,
}

impl Dispatch {
    pub(super) fn new(switch: Switch) -> Self {
        let (configured, before) = (switch.clone(), switch.clone());
        Self { configured, before, switch, next: 1, ..Self::default() }
    }

    /// Goes on with what was kept, and keeps what changes from now on.
    pub(super) fn restore(&mut self, restored: &Restored, workers: usize, hearing: &Hearing) {
        let kept = restored.engine(SWITCH).and_then(|kept| serde_json::from_slice(kept).ok());
        if let Some(Kept { switch, configured }) = kept {
            self.before = switch.clone();
            if configured == self.configured {
                self.switch = switch;
            }
        }
        for (source, kept) in restored.engine_all(BATCH) {
            if !self.batches.restore(source, kept) {
                tracing::warn!(source, "what was kept of a source's batches says nothing");
            }
        }
        if let Some(kept) = restored.engine(MEMBERS) {
            hearing.restore(kept);
        }
        self.changed = Some(Writes::default());
        self.write(WORKERS, Some((workers as u64).to_le_bytes().to_vec()));
        self.write(SEED, Some(restored.hash_seed.to_le_bytes().to_vec()));
        self.write_switch();
    }

    pub(super) fn set(&mut self, stream: Option<String>, on: bool) {
        self.switch.set(stream, on);
        self.write_switch();
    }

    pub(super) fn note(&mut self, batch: super::Batch) {
        let Self { batches, changed, .. } = self;
        batches.note(batch, |source, value| {
            if let Some(changed) = changed {
                changed.records.insert(keys::engine(&format!("{BATCH}{source}")), value);
            }
        });
    }

    /// Keeps something under a name of the engine's.
    pub(super) fn write(&mut self, name: &str, value: Option<Vec<u8>>) {
        if let Some(changed) = &mut self.changed {
            changed.records.insert(keys::engine(name), value);
        }
    }

    /// An instant: its number, and what is written with it.
    pub(super) fn fix(&mut self, hearing: &Hearing) -> (u64, Writes) {
        let members = hearing.kept();
        if members != self.members {
            self.write(MEMBERS, Some(members.clone()));
            self.members = members;
        }
        let number = self.next;
        self.next += 1;
        (number, self.changed.as_mut().map(std::mem::take).unwrap_or_default())
    }

    fn write_switch(&mut self) {
        let kept = Kept { switch: self.switch.clone(), configured: self.configured.clone() };
        self.write(SWITCH, serde_json::to_vec(&kept).ok());
    }
}
