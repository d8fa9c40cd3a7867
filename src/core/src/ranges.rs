//! A set of numbers as sorted, disjoint, inclusive ranges that never touch.

use alloc::vec::Vec;
use core::ops::{Deref, Range as Span};

use crate::ledger::Range;
use crate::state::{self, Damaged, List, Segment, Take};

/// Appending at the end, which is what in-order reading does, is one comparison; a change in the
/// middle costs O(log n) to find and a move of what lies behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeSet {
    ranges: Vec<Range>,
}

impl RangeSet {
    /// Adds one number.
    #[inline]
    pub(crate) fn push(&mut self, number: u64) {
        if let Some(last) = self.ranges.last_mut()
            && last.1.wrapping_add(1) == number
            && number != 0
        {
            last.1 = number;
            return;
        }
        self.insert(number, number);
    }

    /// Adds `first` … `last`.
    pub(crate) fn insert(&mut self, first: u64, last: u64) {
        debug_assert!(first <= last, "an empty range");
        // All ranges that overlap or touch become one.
        let from = self.ranges.partition_point(|r| r.1 < first.saturating_sub(1));
        let to = self.ranges.partition_point(|r| r.0 <= last.saturating_add(1));
        if from >= to {
            self.ranges.insert(from, (first, last));
        } else {
            let merged = (first.min(self.ranges[from].0), last.max(self.ranges[to - 1].1));
            self.ranges[from] = merged;
            self.ranges.drain(from + 1..to);
        }
        self.check();
    }

    /// Takes `first` … `last` out.
    pub(crate) fn remove(&mut self, first: u64, last: u64) {
        let from = self.ranges.partition_point(|r| r.1 < first);
        let to = self.ranges.partition_point(|r| r.0 <= last);
        if from >= to {
            return;
        }
        let left = self.ranges[from];
        let right = self.ranges[to - 1];
        let kept = [
            (left.0 < first).then(|| (left.0, first.saturating_sub(1))),
            (right.1 > last).then(|| (last.saturating_add(1), right.1)),
        ];
        self.ranges.splice(from..to, kept.into_iter().flatten());
        self.check();
    }

    /// Forgets all at or above `first`.
    pub(crate) fn truncate(&mut self, first: u64) {
        self.remove(first, u64::MAX);
    }

    #[inline]
    pub(crate) fn contains(&self, number: u64) -> bool {
        match self.ranges.last() {
            None => false,
            Some(last) if number > last.1 => false,
            Some(last) if number >= last.0 => true,
            Some(_) => self.run(number).0,
        }
    }

    /// Whether the number is in the set, and the last number up to which that answer stays.
    pub(crate) fn run(&self, number: u64) -> (bool, u64) {
        let at = self.ranges.partition_point(|r| r.1 < number);
        match self.ranges.get(at) {
            Some(range) if range.0 <= number => (true, range.1),
            Some(range) => (false, range.0 - 1),
            None => (false, u64::MAX),
        }
    }

    /// How many numbers of `first` … `last` are in the set.
    pub(crate) fn count_in(&self, first: u64, last: u64) -> u64 {
        self.pieces(first, last).map(|(a, b)| b - a + 1).sum()
    }

    /// What of this range the set does not have, in order.
    pub(crate) fn gaps(&self, (first, last): Range) -> impl Iterator<Item = Range> + '_ {
        let mut at = Some(first);
        core::iter::from_fn(move || {
            loop {
                let from = at.filter(|&at| at <= last)?;
                let (inside, end) = self.run(from);
                at = end.checked_add(1);
                if !inside {
                    return Some((from, end.min(last)));
                }
            }
        })
    }

    /// The set's ranges inside `first` … `last`, cut to it.
    pub(crate) fn pieces(&self, first: u64, last: u64) -> impl Iterator<Item = Range> + '_ {
        let from = self.ranges.partition_point(|r| r.1 < first);
        self.ranges[from..]
            .iter()
            .take_while(move |r| r.0 <= last)
            .map(move |r| (r.0.max(first), r.1.min(last)))
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = Range> + ExactSizeIterator + '_ {
        self.ranges.iter().copied()
    }

    /// The greatest number.
    #[inline]
    pub(crate) fn max(&self) -> Option<u64> {
        self.ranges.last().map(|r| r.1)
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Keeps at most `limit` ranges by closing the lowest holes between them.
    pub(crate) fn coalesce(&mut self, limit: usize) {
        if self.ranges.len() > limit {
            let keep = limit / 2;
            let cut = self.ranges.len() - keep;
            let merged = (self.ranges[0].0, self.ranges[cut - 1].1);
            self.ranges.splice(..cut, [merged]);
        }
    }

    /// Keeps at most `limit` ranges by forgetting the lowest ones.
    pub(crate) fn forget_lowest(&mut self, limit: usize) {
        if self.ranges.len() > limit {
            let keep = limit / 2;
            self.ranges.drain(..self.ranges.len() - keep);
        }
    }

    fn check(&self) {
        debug_assert!(
            self.ranges.windows(2).all(|w| w[0].1.saturating_add(1) < w[1].0)
                && self.ranges.iter().all(|r| r.0 <= r.1),
            "ranges out of order"
        );
    }
}

/// A set that may be long, and of which what changed is saved.
#[derive(Debug, Default)]
pub(crate) struct KeptRanges {
    set: RangeSet,
    list: List,
}

impl Deref for KeptRanges {
    type Target = RangeSet;
    #[inline]
    fn deref(&self) -> &RangeSet {
        &self.set
    }
}

impl KeptRanges {
    /// Adds one number.
    #[inline]
    pub(crate) fn push(&mut self, number: u64) {
        // At the end, where most are, only the last range grows.
        if self.set.max().is_some_and(|highest| number <= highest) {
            self.changes(number);
        }
        self.set.push(number);
    }

    /// Adds `first` … `last`.
    pub(crate) fn insert(&mut self, first: u64, last: u64) {
        self.changes(first);
        self.set.insert(first, last);
    }

    /// Forgets all at or above `first`.
    pub(crate) fn truncate(&mut self, first: u64) {
        self.changes(first);
        self.set.truncate(first);
    }

    #[inline]
    pub(crate) fn coalesce(&mut self, limit: usize) {
        if self.set.len() > limit {
            self.list.changed(0);
            self.set.coalesce(limit);
        }
    }

    pub(crate) fn forget_lowest(&mut self, limit: usize) {
        if self.set.len() > limit {
            self.list.changed(0);
            self.set.forget_lowest(limit);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.truncate(0);
    }

    /// What lies at or above a number is about to change.
    fn changes(&mut self, number: u64) {
        let below = number.saturating_sub(1);
        self.list.changed(self.set.ranges.partition_point(|range| range.1 < below));
    }
}

impl Segment for KeptRanges {
    fn held(&self) -> usize {
        self.set.len()
    }

    fn write(&self, items: Span<usize>, out: &mut Vec<u8>) {
        state::write_ranges(self.set.ranges[items].iter().copied(), out);
    }

    fn read(&mut self, take: &mut Take<'_>, _: usize, _: usize) -> Result<(), Damaged> {
        state::read_ranges(take, &mut self.set)
    }

    fn list(&mut self) -> &mut List {
        &mut self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Operations against a plain set over a domain so small that they collide.
    #[test]
    fn agrees_with_a_plain_set() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        for _ in 0..2_000 {
            let (mut set, mut oracle) = (RangeSet::default(), BTreeSet::new());
            for _ in 0..20 {
                let first = next(24);
                let last = first + next(6);
                match next(4) {
                    0 => {
                        set.remove(first, last);
                        oracle.retain(|n| !(first..=last).contains(n));
                    }
                    1 => {
                        set.push(first);
                        oracle.insert(first);
                    }
                    2 if next(8) == 0 => {
                        set.truncate(last);
                        oracle.retain(|&n| n < last);
                    }
                    _ => {
                        set.insert(first, last);
                        oracle.extend(first..=last);
                    }
                }
                for n in 0..32 {
                    assert_eq!(set.contains(n), oracle.contains(&n), "{n} of {set:?}");
                    let (inside, end) = set.run(n);
                    assert!((n..=end.min(40)).all(|m| oracle.contains(&m) == inside));
                }
                let count = oracle.range(first..=last).count() as u64;
                assert_eq!(set.count_in(first, last), count);
                assert_eq!(set.max(), oracle.last().copied());
            }
        }
    }

    #[test]
    fn the_ends_of_the_number_line() {
        let mut set = RangeSet::default();
        set.push(u64::MAX);
        set.push(0);
        assert_eq!(set.iter().collect::<Vec<_>>(), [(0, 0), (u64::MAX, u64::MAX)]);
        set.remove(0, u64::MAX);
        assert!(set.is_empty());
    }
}
