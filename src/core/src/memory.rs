//! What stood where: the newest positions of a log, so that a cut can name what it took away.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::lane::LaneRef;
use crate::mutants::{Mutant, broken};
use crate::state::List;

/// Consecutive numbers of one lane at consecutive positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) position: u64,
    pub(crate) seq: u64,
    pub(crate) lane: LaneRef,
    pub(crate) count: u32,
    /// The number had been seen before: this is a further copy.
    pub(crate) copy: bool,
}

impl Run {
    pub(crate) fn end(&self) -> u64 {
        self.position + u64::from(self.count)
    }
}

/// What a cut took away, and how far its memory reached.
#[derive(Debug, Default)]
pub(crate) struct CutAway {
    /// Numbers whose only copies are gone, as ranges, in order of position.
    pub(crate) gone: Vec<(LaneRef, u64, u64)>,
    /// The lowest number of each lane that is remembered, and how many positions below the memory
    /// the cut reaches: any number of the lane that near below may be gone as well.
    pub(crate) doubtful: Option<u64>,
    /// Numbers that stand at another position too, below the cut.
    pub(crate) moved: Vec<(LaneRef, u64, u64)>,
}

/// The newest stored positions of one partition's log, oldest dropped first.
#[derive(Debug, Default)]
pub(crate) struct CutMemory {
    pub(crate) runs: VecDeque<Run>,
    /// Everything read at or above this position is remembered.
    pub(crate) floor: u64,
    /// The number of runs at which room is looked at again.
    checked: usize,
    pub(crate) list: List,
}

impl CutMemory {
    /// Runs that are held before room for all is made.
    const FEW: usize = 1_024;
    /// Bytes that one remembered run takes.
    pub(crate) const RUN_BYTES: usize = size_of::<Run>();

    /// Notes that this number stands at this position.
    #[inline(always)]
    pub(crate) fn note(&mut self, position: u64, lane: LaneRef, seq: u64, copy: bool) {
        if let Some(last) = self.runs.back_mut() {
            let end = last.position.wrapping_add(u64::from(last.count));
            if end > position {
                return self.note_between(position, lane, seq, copy);
            }
            if last.lane == lane
                && end == position
                && last.seq.wrapping_add(u64::from(last.count)) == seq
                && last.copy == copy
                && last.count < u32::MAX
            {
                last.count = last.count.wrapping_add(1);
                return;
            }
        }
        self.runs.push_back(Run { position, seq, lane, count: 1, copy });
    }

    /// What is remembered to stand at this position; `None`: nothing with a valid stamp. Only
    /// meaningful at or above [`Self::floor`].
    pub(crate) fn at(&self, position: u64) -> Option<(LaneRef, u64)> {
        let index = self.runs.partition_point(|run| run.end() <= position);
        self.runs
            .get(index)
            .filter(|run| run.position <= position)
            .map(|run| (run.lane, run.seq + (position - run.position)))
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    pub(crate) fn clear(&mut self) {
        self.list.changed(0);
        self.runs.clear();
        (self.floor, self.checked) = (0, 0);
    }

    /// The lowest remembered position of this number.
    pub(crate) fn find(&self, lane: LaneRef, seq: u64) -> Option<u64> {
        self.runs
            .iter()
            .find(|run| {
                run.lane == lane && (run.seq..run.seq + u64::from(run.count)).contains(&seq)
            })
            .map(|run| run.position + (seq - run.seq))
    }

    /// Keeps about this many runs: what is above it by an eighth is dropped together, the oldest
    /// first.
    #[inline(always)]
    pub(crate) fn bound(&mut self, most: usize) {
        if self.runs.len() >= self.checked {
            self.make_room(most);
        }
    }

    fn make_room(&mut self, most: usize) {
        let slack = (most / 8).max(1);
        if self.checked == 0 {
            self.checked = Self::FEW.min(most);
        } else if self.checked < most + slack {
            // Room for all at once: pages that are not used are not resident, and doubling would
            // leave the smaller blocks behind.
            self.checked = most + slack;
            self.runs.reserve_exact(self.checked.saturating_sub(self.runs.len()));
        } else {
            self.checked = most + slack;
            let above = self.runs.len().saturating_sub(most);
            self.list.dropped(above);
            if let Some(run) = self.runs.drain(..above).next_back() {
                self.floor = self.floor.max(run.end());
            }
        }
    }

    /// Forgets lanes that are gone, and with them that all up to their last position is known.
    pub(crate) fn forget(&mut self, dead: impl Fn(LaneRef) -> bool) {
        let mut floor = self.floor;
        if let Some(first) = self.runs.iter().position(|run| dead(run.lane)) {
            self.list.changed(first);
        }
        self.runs.retain(|run| {
            let gone = dead(run.lane);
            if gone {
                floor = floor.max(run.end());
            }
            !gone
        });
        self.floor = floor;
    }

    /// Takes away all at or above `position`.
    pub(crate) fn cut(&mut self, position: u64) -> CutAway {
        let mut removed = Vec::new();
        while let Some(run) = self.runs.pop_back() {
            if run.end() <= position {
                self.runs.push_back(run);
                break;
            }
            let kept = position.saturating_sub(run.position);
            if kept > 0 {
                // `kept` is below `count`, as the run reaches over the cut.
                let count = u32::try_from(kept).unwrap_or(run.count);
                self.runs.push_back(Run { count, ..run });
            }
            removed.push(Run {
                position: run.position + kept,
                seq: run.seq + kept,
                count: run.count - u32::try_from(kept).unwrap_or(run.count),
                ..run
            });
            if kept > 0 {
                break;
            }
        }
        self.list.changed(self.runs.len().saturating_sub(1));
        removed.reverse();
        let mut away = CutAway::default();
        for run in removed.iter().filter(|run| !run.copy) {
            let last = run.seq + u64::from(run.count) - 1;
            self.without_copies(run.lane, run.seq, last, &mut away.gone);
            self.promote_copies(run.lane, run.seq, last, &mut away.moved);
        }
        if position < self.floor {
            away.doubtful = Some(self.floor - position);
            self.floor = position;
        }
        away
    }

    /// `first` … `last` less what stands elsewhere too, below the cut.
    fn without_copies(
        &self,
        lane: LaneRef,
        first: u64,
        last: u64,
        out: &mut Vec<(LaneRef, u64, u64)>,
    ) {
        let mut copies: Vec<(u64, u64)> = self
            .runs
            .iter()
            .filter(|run| run.lane == lane && run.seq <= last && !broken(Mutant::CopiesForgotten))
            .map(|run| (run.seq, run.seq + u64::from(run.count) - 1))
            .filter(|copy| copy.1 >= first)
            .collect();
        copies.sort_unstable();
        let mut from = first;
        for (a, b) in copies {
            if a > from {
                out.push((lane, from, a - 1));
            }
            from = from.max(b + 1);
        }
        if from <= last {
            out.push((lane, from, last));
        }
    }

    /// Copies of numbers whose first place is gone take it over.
    fn promote_copies(
        &mut self,
        lane: LaneRef,
        first: u64,
        last: u64,
        moved: &mut Vec<(LaneRef, u64, u64)>,
    ) {
        let overlaps = |run: &Run| {
            run.copy
                && run.lane == lane
                && run.seq <= last
                && run.seq + u64::from(run.count) > first
        };
        if !self.runs.iter().any(overlaps) {
            return;
        }
        self.list.changed(0);
        for run in core::mem::take(&mut self.runs) {
            if !overlaps(&run) {
                self.runs.push_back(run);
                continue;
            }
            for offset in 0..run.count {
                let (seq, position) =
                    (run.seq + u64::from(offset), run.position + u64::from(offset));
                let copy = !(first..=last).contains(&seq);
                if !copy {
                    moved.push((lane, seq, position));
                }
                self.runs.push_back(Run { position, seq, count: 1, copy, ..run });
            }
        }
    }

    /// A position below the newest one: reading went back, or leapt. Rare.
    fn note_between(&mut self, position: u64, lane: LaneRef, seq: u64, copy: bool) {
        if position < self.floor {
            return;
        }
        let index = self.runs.partition_point(|run| run.end() <= position);
        if self.runs.get(index).is_some_and(|run| run.position <= position) {
            return;
        }
        self.list.changed(index);
        self.runs.insert(index, Run { position, seq, lane, count: 1, copy });
    }
}
