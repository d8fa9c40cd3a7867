//! A set of numbers as inclusive ranges.

use std::collections::VecDeque;

use lacuna_core::ledger::Range;

/// Sorted, disjoint, never adjacent; the newest numbers are at the back, where they are cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(VecDeque<Range>);

impl Ranges {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn first(&self) -> Option<Range> {
        self.0.front().copied()
    }

    pub(crate) fn last(&self) -> Option<Range> {
        self.0.back().copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Range> + '_ {
        self.0.iter().copied()
    }

    pub(crate) fn contains(&self, seq: u64) -> bool {
        self.0.get(self.at(seq)).is_some_and(|&(first, _)| first <= seq)
    }

    pub(crate) fn pop_first(&mut self) -> Option<Range> {
        self.0.pop_front()
    }

    /// Adds `first` to `last`, whatever of it is there already.
    pub(crate) fn insert(&mut self, first: u64, last: u64) {
        // The ranges from `start` to before `end` touch the new one and become part of it.
        let start = self.at(first.saturating_sub(1));
        let mut end = start;
        let (mut first, mut last) = (first, last);
        while let Some(&(a, b)) = self.0.get(end).filter(|&&(a, _)| a <= last.saturating_add(1)) {
            first = first.min(a);
            last = last.max(b);
            end += 1;
        }
        if start == end {
            self.0.insert(start, (first, last));
        } else {
            self.0[start] = (first, last);
            self.0.drain(start + 1..end);
        }
    }

    /// Forgets all numbers below this one.
    pub(crate) fn drop_below(&mut self, floor: u64) {
        while let Some(front) = self.0.front_mut().filter(|front| front.0 < floor) {
            if front.1 >= floor {
                front.0 = floor;
                return;
            }
            self.0.pop_front();
        }
    }

    /// Forgets all numbers from this one on.
    pub(crate) fn drop_from(&mut self, ceiling: u64) {
        while let Some(back) = self.0.back_mut().filter(|back| back.1 >= ceiling) {
            if back.0 < ceiling {
                back.1 = ceiling - 1;
                return;
            }
            self.0.pop_back();
        }
    }

    /// What of `from` to before `to` is not in this set.
    pub(crate) fn gaps(&self, from: u64, to: u64) -> Vec<Range> {
        let mut gaps = Vec::new();
        let mut free = from;
        for &(first, last) in self.0.range(self.at(from)..) {
            if first >= to {
                break;
            }
            if first > free {
                gaps.push((free, first - 1));
            }
            free = free.max(last + 1);
        }
        if free < to {
            gaps.push((free, to - 1));
        }
        gaps
    }

    /// The index of the first range that ends at or above `seq`.
    fn at(&self, seq: u64) -> usize {
        self.0.partition_point(|&(_, last)| last < seq)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every operation on a tiny domain against a plain set.
    #[test]
    fn it_is_a_set() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for _ in 0..2_000 {
            let (mut ranges, mut oracle) = (Ranges::default(), BTreeSet::new());
            for _ in 0..30 {
                let (a, b) = (next(40), next(40));
                match next(6) {
                    0 => {
                        ranges.drop_below(a);
                        oracle.retain(|&seq| seq >= a);
                    }
                    1 => {
                        ranges.drop_from(a + 20);
                        oracle.retain(|&seq| seq < a + 20);
                    }
                    _ => {
                        let (first, last) = (a.min(b), a.max(b).min(a.min(b) + next(5)));
                        ranges.insert(first, last);
                        oracle.extend(first..=last);
                    }
                }
                let found: Vec<u64> = ranges.iter().flat_map(|(a, b)| a..=b).collect();
                assert_eq!(found, oracle.iter().copied().collect::<Vec<_>>());
                assert!(ranges.0.iter().zip(ranges.0.iter().skip(1)).all(|(a, b)| a.1 + 1 < b.0));
                assert_eq!(ranges.contains(a), oracle.contains(&a));
                let gaps: Vec<u64> = ranges.gaps(a, b).iter().flat_map(|&(a, b)| a..=b).collect();
                assert_eq!(gaps, (a..b).filter(|seq| !oracle.contains(seq)).collect::<Vec<_>>());
            }
        }
    }
}
