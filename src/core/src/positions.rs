//! The positions of a partition that a view has read, and why others hold nothing.

use crate::memory::CutMemory;
use crate::mutants::{Mutant, broken};
use crate::ranges::KeptRanges;
use crate::read_times::ReadTimes;
use crate::verdict::Cause;

/// The positions that a view has read in a partition.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    /// Positions of records that were read.
    pub(crate) observed: KeptRanges,
    /// Read, passed over in one forward run, or below an end.
    pub(crate) covered: KeptRanges,
    /// Positions that hold nothing, by cause.
    pub(crate) named: [KeptRanges; 4],
    /// Where the forward run goes on.
    pub(crate) run: Option<u64>,
    /// Where the watch began.
    pub(crate) begin: Option<u64>,
    /// Log only.
    pub(crate) memory: CutMemory,
    /// Log only: groups are judged by these times.
    pub(crate) times: ReadTimes,
}

impl Positions {
    #[inline]
    pub(crate) fn read(&mut self, position: u64) {
        if let Some(run) = self.run
            && run < position
        {
            self.covered.insert(run, position);
        } else {
            self.covered.push(position);
        }
        self.observed.push(position);
        self.run = Some(position.saturating_add(1));
        self.begin.get_or_insert(position);
    }

    /// All below `end` counts as read.
    pub(crate) fn end(&mut self, end: u64) {
        let from = self.run.unwrap_or(end);
        if from < end {
            self.covered.insert(from, end - 1);
        }
        self.run = Some(from.max(end));
        self.begin.get_or_insert(end);
    }

    pub(crate) fn name(&mut self, first: u64, last: u64, cause: Cause) {
        self.named[cause as usize].insert(first, last);
    }

    #[inline]
    pub(crate) fn names_any(&self) -> bool {
        self.named.iter().any(|set| !set.is_empty())
    }

    /// Whether so many positions have one cause, wherever they are.
    pub(crate) fn names(&self, missing: u64) -> bool {
        self.named.iter().any(|set| {
            let mut left = missing;
            !set.is_empty()
                && (left == 0
                    || set.iter().rev().any(|(first, last)| {
                        left = left.saturating_sub(last - first + 1);
                        left == 0
                    }))
        })
    }

    /// The cause that explains `missing` numbers between two positions, both exclusive.
    pub(crate) fn cause(&self, low: Option<u64>, high: u64, missing: u64) -> Option<Cause> {
        if !self.names_any() {
            return None;
        }
        let first = low.map_or(0, |low| low.saturating_add(1));
        let last = high.checked_sub(1)?;
        if first > last {
            return None;
        }
        let cause = [Cause::Aborted, Cause::Compacted, Cause::Expired, Cause::Retention]
            .into_iter()
            .find(|&cause| {
                let named = self.named[cause as usize].count_in(first, last);
                named > 0 && (named >= missing || broken(Mutant::AbsentUncounted))
            })?;
        let mut at = first;
        loop {
            let mut reach = None;
            for set in self.named.iter().chain([&self.covered]) {
                let (inside, end) = set.run(at);
                if inside {
                    reach = reach.max(Some(end));
                }
            }
            let end = if broken(Mutant::AbsentUncovered) { last } else { reach? };
            if end >= last {
                return Some(cause);
            }
            at = end + 1;
        }
    }

    /// The position below the first one; `None`: that is position 0.
    pub(crate) fn below(&self) -> Option<u64> {
        self.begin.and_then(|begin| begin.checked_sub(1))
    }

    /// The highest position read, and not cut.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.covered.max()
    }

    /// The highest position of a record that was read, and not cut.
    #[inline]
    pub(crate) fn highest_read(&self) -> Option<u64> {
        self.observed.max()
    }

    /// Forgets all at or above `position`.
    pub(crate) fn cut(&mut self, position: u64) {
        self.observed.truncate(position);
        self.covered.truncate(position);
        for set in &mut self.named {
            set.truncate(position);
        }
        self.times.truncate(position);
        self.run = self.run.map(|run| run.min(position));
        self.begin = self.begin.map(|begin| begin.min(position));
    }

    /// The topic was made anew.
    pub(crate) fn anew(&mut self) {
        let Self { observed, covered, named, run, begin, memory, times } = self;
        for set in named.iter_mut().chain([observed, covered]) {
            set.clear();
        }
        (*run, *begin) = (None, None);
        memory.clear();
        times.clear();
    }

    /// Tells so many ranges apart, the highest ones; transaction markers leave one a transaction.
    /// Below, holes between records read count as read, and what is named there was judged long ago.
    #[inline]
    pub(crate) fn bound(&mut self, most: usize) {
        self.observed.coalesce(most);
        self.covered.coalesce(most);
        if self.names_any() {
            for set in &mut self.named {
                set.forget_lowest(most);
            }
        }
    }
}
