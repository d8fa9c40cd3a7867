//! What a checker is told, and every bound of its memory: name, unit, reason.

use alloc::string::String;
use alloc::vec::Vec;

use crate::share::Share;

/// How one stream is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// How long a number may stay missing before it is judged, in ms.
    pub grace_ms: u64,
    /// How far a producer's clock may be off, in ms: an epoch is read as a time with this much
    /// doubt.
    pub clock_skew_ms: u64,
    /// Streams whose stamps are judged here too: this one is their mirror.
    pub aliases: Vec<String>,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self { grace_ms: 10_000, clock_skew_ms: 5_000, aliases: Vec::new() }
    }
}

/// Every bound of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lanes. Each takes about 150 bytes; above it the longest idle ones are evicted.
    pub lanes: usize,
    /// Partitions, counted once for each view.
    pub partitions: usize,
    /// Views of one stream: its log, and groups. Each takes about 500 bytes in every partition of it.
    pub views: usize,
    /// Ranges of numbers that lanes hold, gaps and what ledgers say, 16 to 50 bytes each; above it
    /// the lanes that hold the most are evicted.
    pub ranges: usize,
    /// Findings whose neighbours are kept, about 200 bytes each; the ranges of all others stay
    /// exact. Where positions were named that may explain one of those, it is unknown (evicted).
    /// Above it the lanes and partitions that hold more than an equal share forget their oldest.
    pub evidence: usize,
    /// Repeats that are kept as rows, about 100 bytes each; all are counted.
    pub duplicates: usize,
    /// Changes of state that are kept until they are drained; 0: none.
    pub changes: usize,
    /// Bytes for the newest positions of all logs, by which a cut names what it took away.
    pub cut_memory_bytes: usize,
    /// Bytes for when all logs' positions were read, by which groups are judged: a step each time
    /// the time moves on, 16 bytes; older ones are thinned out, and then a group's record counts
    /// as early as it may have been.
    pub read_times_bytes: usize,
    /// Retired lanes that are remembered, 16 bytes each, so that a late message of one makes
    /// neither loss nor repeat; the ones forgotten count as evicted.
    pub retired: usize,
    /// How long a lane that is closed and complete stays before it is retired, in ms: longer
    /// than repeats of its last messages are likely to come.
    pub retire_closed_ms: u64,
    /// How long a lane with nothing open may be idle before it is retired, in ms.
    pub retire_idle_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lanes: 2_000_000,
            partitions: 100_000,
            views: 256,
            ranges: 4_000_000,
            evidence: 10_000,
            duplicates: 10_000,
            changes: 0,
            cut_memory_bytes: 4 << 20,
            read_times_bytes: 4 << 20,
            retired: 1_000_000,
            retire_closed_ms: 60 * 60 * 1_000,
            retire_idle_ms: 7 * 24 * 60 * 60 * 1_000,
        }
    }
}

/// How often each limit was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Lanes that were evicted to make room for others.
    pub lanes: u64,
    /// Partitions or streams that found no room: what is in them is not judged.
    pub partitions: u64,
    /// Views that found no room in their stream: what they saw is not judged.
    pub views: u64,
    /// Lanes that were evicted for the ranges that they held.
    pub ranges: u64,
    /// Ledger records that listed more ranges than one may: the lowest were left out.
    pub record_ranges: u64,
    /// Changes that nobody drained in time.
    pub changes: u64,
    /// Retired lanes that were forgotten.
    pub retired: u64,
    /// Rows of repeats that were forgotten; all repeats are counted.
    pub duplicates: u64,
    /// Neighbours of gaps, and rows of what came late, that were forgotten. Of neighbours only those
    /// since the process began.
    pub evidence: u64,
}

/// What a checker is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// For streams that were not configured on their own.
    pub default_stream: StreamSettings,
    /// The bounds of memory.
    pub limits: Limits,
    /// Seeds the lanes' hash, against names that were made to collide.
    pub hash_seed: u64,
    /// Which of several checkers this one is.
    pub share: Share,
}
