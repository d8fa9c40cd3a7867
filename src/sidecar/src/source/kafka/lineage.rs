//! Whether what was read is still in the log (contracts §4, a log cut back).
//!
//! A leader's epoch and an offset name a record: who leads in an epoch appends there alone, so a
//! record of the same epoch at the same offset is the same record, and all below it are the same
//! too. A consumer is told nothing when an election takes away what it has read; but the first
//! record of a new epoch gives it a reason to look, and looking is cheap: the last record that was
//! read is read again. Where it is another one, the look goes back twice as far each time, until it
//! finds one that is the same, and reads on from there. What differs then is cut.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// What is to be done with a record, or instead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is new.
    Take,
    /// It was read before.
    Skip,
    /// All at or above this offset is gone; the record, if there is one, is new.
    Cut(u64),
    /// Read again from this offset.
    Look(u64),
    /// The broker must say what the log holds.
    Ask,
}

/// The epochs of a partition's records, as far as they were read.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Lineage {
    runs: VecDeque<Run>,
    /// The offset of the highest record that was read.
    last: Option<u64>,
    #[serde(skip)]
    look: Option<Look>,
}

/// Records of one epoch.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
struct Run {
    first: u64,
    epoch: i32,
}

/// What was read is being read again.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    from: u64,
    back: u64,
    /// The highest record that was found to be the same.
    same: Option<u64>,
}

impl Look {
    fn at(last: u64) -> Self {
        Self { from: last, back: 1, same: None }
    }
}

impl Lineage {
    /// Epochs that are remembered: elections are rare, and a cut reaches over few of them.
    const MOST_RUNS: usize = 64;

    /// Whether what was read is being read again.
    pub(super) fn looks(&self) -> bool {
        self.look.is_some()
    }

    /// Behind the last record that was read and is still there, as far as anybody noticed.
    pub(super) fn behind(&self) -> Option<u64> {
        self.last.map(|last| last + 1)
    }

    /// A record was read. `compacted`: the broker may take single records out.
    #[inline]
    pub(super) fn record(&mut self, offset: u64, epoch: i32, compacted: bool) -> Step {
        if let (Some(run), Some(last), None) = (self.runs.back(), self.last, self.look)
            && run.epoch == epoch
            && last < offset
        {
            self.last = Some(offset);
            return Step::Take;
        }
        self.other_record(offset, epoch, compacted)
    }

    fn other_record(&mut self, offset: u64, epoch: i32, compacted: bool) -> Step {
        let Some(last) = self.last else { return self.take(offset, epoch) };
        let same = offset <= last && self.epoch_at(offset) == Some(epoch);
        match &mut self.look {
            None if same => Step::Skip,
            None => self.look_back(last),
            Some(look) if same => {
                look.same = Some(offset);
                Step::Skip
            }
            // What is no more there may have been compacted.
            Some(Look { same: Some(same), .. })
                if *same == last || (compacted && last < offset) =>
            {
                self.take(offset, epoch)
            }
            Some(Look { same: Some(same), .. }) => {
                let cut = *same + 1;
                self.cut(cut, offset, epoch)
            }
            Some(_) => match self.further(last) {
                Some(from) => Step::Look(from),
                None if compacted && last < offset => self.take(offset, epoch),
                None => self.cut(self.floor(), offset, epoch),
            },
        }
    }

    /// All below `offset` was read or passed, and nothing comes after it now.
    pub(super) fn end(&mut self, offset: u64) -> Step {
        let (Some(look), Some(last)) = (self.look, self.last) else { return Step::Take };
        if look.same == Some(last) {
            self.look = None;
            return Step::Take;
        }
        if last < offset
            && look.same.is_none()
            && let Some(from) = self.further(last)
        {
            return Step::Look(from);
        }
        // It may be what replicas have in common so far, which a new leader learns bit by bit.
        Step::Ask
    }

    /// There is a reason to look.
    pub(super) fn suspect(&mut self) -> Step {
        match self.last {
            Some(last) if self.look.is_none() => self.look_back(last),
            _ => Step::Skip,
        }
    }

    /// A look that was interrupted begins again at this offset.
    pub(super) fn again(&mut self) -> Option<u64> {
        let (Some(look), Some(last)) = (&mut self.look, self.last) else { return None };
        *look = Look::at(last);
        Some(last)
    }

    /// The log holds `start` to `end` (exclusive), as its leader said when it was asked. `None`: of
    /// what was read nothing is remembered that could still be there, or be missed.
    pub(super) fn holds(&mut self, start: u64, end: u64) -> Option<Step> {
        let last = self.last.filter(|&last| start <= last);
        let Some(last) = last else {
            *self = Self::default();
            return None;
        };
        while self.runs.get(1).is_some_and(|run| run.first <= start) {
            self.runs.pop_front();
        }
        let floor = self.floor().max(start);
        if let Some(run) = self.runs.front_mut() {
            run.first = floor;
        }
        let mut look = self.look.unwrap_or_else(|| Look::at(last));
        Some(if last < end {
            look.from = look.same.map_or_else(|| look.from.max(floor), |same| same + 1);
            self.look = Some(look);
            Step::Look(look.from)
        } else if let Some(same) = look.same {
            self.forget(same + 1);
            Step::Cut(same + 1)
        } else if end <= floor {
            self.forget(floor);
            Step::Cut(end.min(floor))
        } else {
            look.from = look.from.clamp(floor, end - 1);
            self.look = Some(look);
            Step::Look(look.from)
        })
    }

    fn look_back(&mut self, last: u64) -> Step {
        self.look = Some(Look::at(last));
        Step::Look(last)
    }

    /// Twice as far back as before; `None`: there is nothing below.
    fn further(&mut self, last: u64) -> Option<u64> {
        let floor = self.floor();
        let look = self.look.as_mut().filter(|look| floor < look.from)?;
        look.from = look.from.min(last).saturating_sub(look.back).max(floor);
        look.back = look.back.saturating_mul(2);
        Some(look.from)
    }

    /// The lowest offset of which the epoch is remembered.
    fn floor(&self) -> u64 {
        self.runs.front().map_or(0, |run| run.first)
    }

    fn epoch_at(&self, offset: u64) -> Option<i32> {
        self.runs.iter().rev().find(|run| run.first <= offset).map(|run| run.epoch)
    }

    fn take(&mut self, offset: u64, epoch: i32) -> Step {
        self.look = None;
        self.last = Some(offset);
        if self.runs.back().is_none_or(|run| run.epoch != epoch) {
            self.runs.push_back(Run { first: offset, epoch });
            if self.runs.len() > Self::MOST_RUNS {
                self.runs.pop_front();
            }
        }
        Step::Take
    }

    fn cut(&mut self, cut: u64, offset: u64, epoch: i32) -> Step {
        self.forget(cut);
        self.take(offset, epoch);
        Step::Cut(cut)
    }

    /// Forgets all at or above `cut`.
    fn forget(&mut self, cut: u64) {
        self.look = None;
        self.runs.retain(|run| run.first < cut);
        self.last = cut.checked_sub(1).filter(|_| !self.runs.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log: offsets and epochs.
    type Log = Vec<(u64, i32)>;

    /// Reads a log from `next` on as a tap does, and gives what was taken and where it was cut.
    fn read(lineage: &mut Lineage, log: &Log, next: u64, compacted: bool) -> (Vec<u64>, Vec<u64>) {
        let (mut taken, mut cuts) = (Vec::new(), Vec::new());
        let end = log.last().map_or(0, |record| record.0 + 1);
        let mut from = next;
        for _ in 0..100 {
            let step = match log.iter().find(|record| from <= record.0) {
                _ if end < from => lineage.holds(0, end).unwrap(),
                Some(&(offset, epoch)) => {
                    from = offset + 1;
                    let step = lineage.record(offset, epoch, compacted);
                    if let Step::Take | Step::Cut(_) = step {
                        taken.push(offset);
                    }
                    step
                }
                None => match lineage.end(end) {
                    Step::Ask => lineage.holds(0, end).unwrap(),
                    Step::Take => return (taken, cuts),
                    step @ (Step::Skip | Step::Cut(_) | Step::Look(_)) => step,
                },
            };
            match step {
                Step::Look(offset) => from = offset,
                Step::Cut(offset) => {
                    cuts.push(offset);
                    // Where the broker said that it ends there, nothing comes with it.
                    from = from.max(offset).min(end);
                }
                Step::Take | Step::Skip | Step::Ask => {}
            }
        }
        panic!("it looks for ever: {lineage:?} in {log:?}");
    }

    fn log(runs: &[(std::ops::Range<u64>, i32)]) -> Log {
        runs.iter().flat_map(|(range, epoch)| range.clone().map(|at| (at, *epoch))).collect()
    }

    #[test]
    fn every_cut_is_found_where_it_is_and_no_other() {
        // Read up to `read`, then an election keeps `kept` of it, and `more` are written.
        for (read_to, kept, more) in
            (1..20).flat_map(|r| (0..=r).flat_map(move |k| (0..25).map(move |m| (r, k, m))))
        {
            let mut lineage = Lineage::default();
            let before = log(&[(0..read_to / 2, 0), (read_to / 2..read_to, 3)]);
            assert!(read(&mut lineage, &before, 0, false).1.is_empty());
            let half = read_to / 2;
            let after = log(&[(0..kept.min(half), 0), (half..kept, 3), (kept..kept + more, 4)]);
            let mut from = read_to;
            if kept + more == read_to
                && let Step::Look(offset) = lineage.suspect()
            {
                // Nothing comes; but the client tells that the log was cut.
                from = offset;
            }
            let (taken, cuts) = read(&mut lineage, &after, from, false);
            let cut = kept < read_to;
            let case = format!("{read_to} read, {kept} kept, {more} more");
            assert_eq!(cuts, if cut { vec![kept] } else { vec![] }, "{case}");
            assert_eq!(taken, Vec::from_iter(kept..kept + more), "{case}");
            assert!(!lineage.looks(), "{case}");
        }
    }

    #[test]
    fn what_was_compacted_is_not_cut() {
        let mut lineage = Lineage::default();
        assert!(read(&mut lineage, &log(&[(0..10, 0)]), 0, true).1.is_empty());
        // All that was read is gone, and so is some of it.
        for left in [0, 3, 9] {
            let after = log(&[(0..left, 0), (20..30, 1)]);
            let mut lineage = Lineage { runs: lineage.runs.clone(), ..lineage };
            let (taken, cuts) = read(&mut lineage, &after, 10, true);
            assert_eq!((taken, cuts), (Vec::from_iter(20..30), vec![]));
        }
    }

    #[test]
    fn a_new_leader_that_learns_its_end_bit_by_bit_has_cut_nothing() {
        let mut lineage = Lineage::default();
        for offset in 0..10 {
            assert_eq!(lineage.record(offset, 0, false), Step::Take);
        }
        assert_eq!(lineage.suspect(), Step::Look(9));
        // Nothing comes, and asked for its end the leader says more.
        assert_eq!(lineage.end(5), Step::Ask);
        assert_eq!(lineage.holds(0, 10), Some(Step::Look(9)));
        assert_eq!(lineage.record(9, 0, false), Step::Skip);
        assert_eq!(lineage.record(10, 1, false), Step::Take);
        assert!(!lineage.looks());
    }

    #[test]
    fn what_retention_took_is_not_looked_for() {
        let mut lineage = Lineage::default();
        for offset in 0..10 {
            assert_eq!(lineage.record(offset, 0, false), Step::Take);
        }
        assert_eq!(lineage.record(10, 1, false), Step::Look(9));
        assert_eq!(lineage.holds(5, 20), Some(Step::Look(9)));
        assert_eq!(lineage.record(9, 1, false), Step::Look(8));
        assert_eq!(lineage.record(8, 1, false), Step::Look(6));
        assert_eq!(lineage.record(6, 1, false), Step::Look(5));
        assert_eq!(lineage.record(5, 1, false), Step::Cut(5));
        assert_eq!(lineage.holds(8, 20), None);
        assert_eq!(lineage.record(8, 1, false), Step::Take);
    }
}
