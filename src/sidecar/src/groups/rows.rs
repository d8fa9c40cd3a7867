use std::hash::BuildHasher;

use foldhash::fast::FixedState;

/// A watched group, as it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// The group's name.
    pub group: String,
    /// The source that watches it.
    pub source: String,
    /// When it was last looked at, ms since the Unix epoch; `None`: not yet.
    pub at: Option<u64>,
    /// Why the last look failed; what is shown is from the one before.
    pub error: Option<String>,
    /// Every partition of the source's topics.
    pub partitions: Vec<PartitionRow>,
}

/// A partition, as a watched group stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRow {
    /// The stream.
    pub stream: String,
    /// The partition.
    pub partition: String,
    /// It is not there any more: its topic was deleted. What was found stays.
    pub gone: bool,
    /// The next position that the group would read; `None`: it has committed nothing here, or what
    /// it had has expired.
    pub committed: Option<u64>,
    /// The log's first position.
    pub log_start: u64,
    /// One above the log's last position.
    pub log_end: u64,
    /// Positions that retention took before the group committed them, counted since the start.
    pub lost: u64,
    /// Newest last.
    pub findings: Vec<Finding>,
}

impl PartitionRow {
    /// Positions that the group has not committed; `None` where it has committed nothing, or where
    /// the log has become shorter than that.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        self.committed.and_then(|committed| self.log_end.checked_sub(committed))
    }

    /// What a finding in this partition is called by, as long as this process and longer.
    #[must_use]
    pub fn id(&self, group: &str, finding: &Finding) -> String {
        let name = (group, &*self.stream, &*self.partition, finding.first, finding.since);
        format!("{:016x}", FixedState::with_seed(0).hash_one(name))
    }
}

/// Positions that retention took before a group committed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The first one.
    pub first: u64,
    /// The last one, inclusive.
    pub last: u64,
    /// They can never be read by the group any more. Else that is not known: a member may have read
    /// them and not committed yet.
    pub lost: bool,
    /// When it was first noticed, ms since the Unix epoch.
    pub since: u64,
}
