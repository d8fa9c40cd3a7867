//! Several cores that share the partitions: each line goes to its partition's owner, and what that
//! passes on goes to whom it concerns at once.

use lacuna_core::report;
use lacuna_core::totals::Totals;
use lacuna_core::verdict::Verdict;
use lacuna_core::{Checker, Share};

use crate::compare::Found;
use crate::core_side;
use crate::line::{Entry, Line, Place};

/// The cores.
#[derive(Debug)]
pub struct Team {
    pub(crate) checkers: Vec<Checker>,
    /// The highest time of all lines so far, at which an undated ledger record arrives.
    pub(crate) now: Option<u64>,
    pub(crate) early: Vec<Entry>,
}

impl Team {
    /// This many cores.
    #[must_use]
    pub fn new(grace: u64, skew: u64, checkers: usize) -> Self {
        let one = |index| core_side::share(grace, skew, Share::new(index, checkers));
        Self { checkers: (0..checkers).map(one).collect(), now: None, early: Vec::new() }
    }

    /// Hands one line to its owner; a message's verdict is given back.
    ///
    /// # Errors
    ///
    /// What a core refuses, in its own words.
    pub fn apply(&mut self, line: &Line) -> Result<Option<Verdict>, String> {
        if let [only] = &mut *self.checkers {
            return core_side::apply(only, line);
        }
        let (place, at) = match line {
            Line::Ledger(entry) => {
                match self.now {
                    Some(now) => self.ledger(entry, now)?,
                    None => self.early.push(entry.clone()),
                }
                return Ok(None);
            }
            Line::Message { place, at, .. }
            | Line::Watch { place, at, .. }
            | Line::End { place, at, .. }
            | Line::Cut { place, at, .. }
            | Line::Absent { place, at, .. } => (place, *at),
        };
        for entry in std::mem::take(&mut self.early) {
            self.ledger(&entry, at)?;
        }
        self.now = self.now.max(Some(at));
        let Place { stream, partition, .. } = place;
        let owner = Share::owner(stream, partition, self.checkers.len());
        let verdict = core_side::apply(&mut self.checkers[owner], line)?;
        self.pass_on();
        Ok(verdict)
    }

    /// What all of them report together.
    pub fn found(&mut self) -> Found {
        let parts: Vec<Found> = self.checkers.iter_mut().map(Found::of).collect();
        let mut totals = Totals::default();
        for part in &parts {
            totals += &part.totals;
        }
        let gaps = parts.iter().flat_map(|part| part.gaps.clone()).collect();
        let rows = report::join(parts.into_iter().map(|part| part.rows).collect());
        Found { rows, gaps, totals }
    }

    /// The recording is whole. False: several cores cannot be told, since each hears of its own
    /// partitions only.
    pub fn complete(&mut self) -> bool {
        let [only] = &mut *self.checkers else { return false };
        only.complete();
        true
    }

    fn ledger(&mut self, entry: &Entry, at: u64) -> Result<(), String> {
        let owner = Share::owner(entry.lane.stream, entry.lane.label, self.checkers.len());
        core_side::ledger(&mut self.checkers[owner], entry, at)
    }

    fn pass_on(&mut self) {
        let of = self.checkers.len();
        for index in 0..of {
            self.checkers[index].pass_time();
            for passed in self.checkers[index].take_passed() {
                self.checkers[passed.to(of)].accept(&passed);
            }
        }
        for index in 0..of {
            for news in self.checkers[index].take_news() {
                let others = self.checkers.iter_mut().enumerate().filter(|(own, _)| *own != index);
                others.for_each(|(_, checker)| checker.hear(&news));
            }
        }
    }
}
