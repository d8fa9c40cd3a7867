use std::collections::HashMap;
use std::sync::Arc;

use lacuna_core::{Limits, Settings, Share, StreamSettings};

use super::switch::Switch;
use crate::members::{Hearing, Outside};
use crate::state::Resumed;

/// What the engine is started with.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Worker threads, at least one. A partition belongs to one of them, and so do a stream's
    /// lanes `*`.
    pub workers: usize,
    /// For every checker; its limits are for all workers together.
    pub checker: Settings,
    /// Streams with settings of their own, by name.
    pub streams: HashMap<String, StreamSettings>,
    /// What is checked from the start.
    pub switch: Switch,
    /// Where the taps of sources go on, by source.
    pub resumed: Arc<HashMap<String, Resumed>>,
    /// What sources know of groups and logs that members of groups are judged by.
    pub outside: Arc<Outside>,
    /// Whether members of groups have been heard.
    pub hearing: Arc<Hearing>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            workers: 1,
            checker: Settings::default(),
            streams: HashMap::new(),
            switch: Switch::default(),
            resumed: Arc::default(),
            outside: Arc::default(),
            hearing: Arc::default(),
        }
    }
}

impl EngineSettings {
    /// The settings of one worker's checker: its share of every limit.
    pub(super) fn share(&self, index: usize) -> Settings {
        let limits = &self.checker.limits;
        let share = |limit: usize| limit.div_ceil(self.workers.max(1));
        // Written out in full, so that a new limit cannot be forgotten.
        let limits = Limits {
            lanes: share(limits.lanes),
            // Whoever has a stream's lanes `*` knows of all its partitions.
            partitions: limits.partitions,
            views: limits.views,
            ranges: share(limits.ranges),
            evidence: share(limits.evidence),
            duplicates: share(limits.duplicates),
            changes: share(limits.changes),
            cut_memory_bytes: share(limits.cut_memory_bytes),
            read_times_bytes: share(limits.read_times_bytes),
            retired: share(limits.retired),
            retire_closed_ms: limits.retire_closed_ms,
            retire_idle_ms: limits.retire_idle_ms,
        };
        let share = Share::new(index, self.workers);
        Settings { limits, share, ..self.checker.clone() }
    }
}
