use std::collections::HashMap;
use std::sync::Arc;

use lacuna_core::{Limits, Settings, StreamSettings, stamp};

use super::switch::Switch;
use crate::members::Outside;

/// What the engine is started with.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Worker threads, at least one. A stream belongs to one of them.
    pub workers: usize,
    /// For every checker; its limits are for all workers together.
    pub checker: Settings,
    /// Streams with settings of their own, by name.
    pub streams: HashMap<String, StreamSettings>,
    /// What is checked from the start.
    pub switch: Switch,
    /// What sources know of groups and logs that members of groups are judged by.
    pub outside: Arc<Outside>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            workers: 1,
            checker: Settings::default(),
            streams: HashMap::new(),
            switch: Switch::default(),
            outside: Arc::default(),
        }
    }
}

impl EngineSettings {
    /// The settings of one worker's checker: its share of every limit.
    pub(super) fn share(&self) -> Settings {
        let workers = self.workers.max(1);
        let mut settings = self.checker.clone();
        // Taken apart in full, so that a new limit cannot be forgotten.
        let Limits {
            lanes,
            partitions,
            evidence,
            duplicates,
            changes,
            cut_memory_bytes,
            read_times_bytes,
            retired,
            retire_closed_ms: _,
            retire_idle_ms: _,
        } = &mut settings.limits;
        for limit in [
            lanes,
            partitions,
            evidence,
            duplicates,
            changes,
            cut_memory_bytes,
            read_times_bytes,
            retired,
        ] {
            *limit = limit.div_ceil(workers);
        }
        settings
    }
}

/// The worker that owns this stream. The stream's origin spreads as well as any hash.
pub(super) fn owner(stream: &str, workers: usize) -> usize {
    stamp::origin(stream) as usize % workers.max(1)
}
