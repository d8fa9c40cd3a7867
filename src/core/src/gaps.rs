//! The numbers of one lane that a view has not seen, as ranges with what is known of each.
//!
//! A lane is `next` and these. In-order traffic never touches them; a jump of 2^62 is one entry; a
//! million of them cost 16 bytes each and stay O(log n), because they lie in sorted chunks of at
//! most `CHUNK` entries that hold differences to the chunk's base.
//!
//! ```text
//! numbers   0 1 2 3 4 5 6 7 8 9 …           seen: ─   not seen: ░
//!           ─ ─ ░ ░ ─ ─ ─ ░ ─ ─ next=10     holes: [2,3] [7,7]
//! ```

use alloc::vec::Vec;

use crate::chunk::{CHUNK, Chunk};
use crate::hole::{Hole, is_open};

/// The holes of one lane in one view.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps {
    chunks: Vec<Chunk>,
}

impl Gaps {
    /// The hole that this number lies in.
    pub(crate) fn find(&self, number: u64) -> Option<Hole> {
        let (chunk, index) = self.seek(number)?;
        Some(self.chunks[chunk].at(index)).filter(|hole| hole.first <= number)
    }

    /// The greatest unseen number that is held.
    pub(crate) fn max(&self) -> Option<u64> {
        self.chunks.last().map(|chunk| chunk.at(chunk.len() - 1).last)
    }

    /// How many holes there are.
    pub(crate) fn len(&self) -> usize {
        self.chunks.iter().map(Chunk::len).sum()
    }

    /// All holes, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Hole> + '_ {
        self.chunks.iter().flat_map(|chunk| (0..chunk.len()).map(|index| chunk.at(index)))
    }

    /// The holes that reach into `first` … `last`, whole.
    pub(crate) fn overlapping(&self, first: u64, last: u64) -> impl Iterator<Item = Hole> + '_ {
        let mut at = self.seek(first);
        core::iter::from_fn(move || {
            let (chunk, index) = at?;
            let hole = self.chunks[chunk].at(index);
            at = self.step(chunk, index);
            (hole.first <= last).then_some(hole)
        })
    }

    /// Adds a hole that overlaps none; it is joined to its left neighbour if they are alike.
    pub(crate) fn put(&mut self, hole: Hole) {
        // Appending is what an ordered lane does, so it is looked at first.
        let chunk = match self.chunks.last() {
            None => {
                self.chunks.push(Chunk::new(hole, 1));
                return;
            }
            Some(last) if last.first <= hole.first => self.chunks.len() - 1,
            Some(_) => {
                self.chunks.partition_point(|chunk| chunk.first <= hole.first).saturating_sub(1)
            }
        };
        let index = self.chunks[chunk].lower_bound(hole.first);
        debug_assert!(
            self.overlapping(hole.first, hole.last).next().is_none(),
            "a hole over another"
        );
        if index > 0 {
            let left = self.chunks[chunk].at(index - 1);
            if hole.continues(&left) {
                let joined = Hole { first: left.first, ..hole };
                if let Err(joined) = self.chunks[chunk].write(index - 1, joined, true) {
                    self.drop_at(chunk, index - 1);
                    self.put_alone(joined);
                }
                return;
            }
        }
        if self.chunks[chunk].write(index, hole, false).is_err() {
            self.put_beside(chunk, index, hole);
        }
    }

    /// Takes one number out, if it is held: the hole it lay in, and by how much the number of open
    /// rows changes.
    pub(crate) fn fill(&mut self, number: u64) -> Option<(Hole, i64)> {
        let (chunk, index) = self.seek(number)?;
        let hole = self.chunks[chunk].at(index);
        if hole.first > number {
            return None;
        }
        let left = (hole.first < number).then(|| Hole { last: number - 1, ..hole });
        let right = (hole.last > number).then(|| Hole { first: number + 1, ..hole });
        let mut rows = 0;
        if is_open(hole.state) {
            let goes_on_left = left.is_some()
                || self
                    .before(chunk, index)
                    .is_some_and(|other| other.last + 1 == hole.first && other.state == hole.state);
            let goes_on_right = right.is_some()
                || self
                    .step(chunk, index)
                    .map(|(chunk, index)| self.chunks[chunk].at(index))
                    .is_some_and(|other| hole.last + 1 == other.first && other.state == hole.state);
            rows = i64::from(goes_on_left) + i64::from(goes_on_right) - 1;
        }
        match (left, right) {
            (Some(kept), None) | (None, Some(kept)) => self.rewrite(chunk, index, kept),
            (None, None) => self.drop_at(chunk, index),
            (Some(left), Some(right)) => {
                self.rewrite(chunk, index, left);
                self.put_alone(right);
            }
        }
        Some((hole, rows))
    }

    /// Takes out what lies inside `first` … `last`, cut to it; what sticks out stays.
    pub(crate) fn take(&mut self, first: u64, last: u64, out: &mut Vec<Hole>) {
        while let Some((chunk, index)) = self.seek(first) {
            let hole = self.chunks[chunk].at(index);
            if hole.first > last {
                break;
            }
            let cut = Hole { first: hole.first.max(first), last: hole.last.min(last), ..hole };
            out.push(cut);
            let left = (hole.first < cut.first).then(|| Hole { last: cut.first - 1, ..hole });
            let right = (hole.last > cut.last).then(|| Hole { first: cut.last + 1, ..hole });
            let reaches_end = right.is_some() || hole.last == last;
            match (left, right) {
                (Some(kept), None) | (None, Some(kept)) => self.rewrite(chunk, index, kept),
                (None, None) => self.drop_at(chunk, index),
                (Some(left), Some(right)) => {
                    self.rewrite(chunk, index, left);
                    self.put_alone(right);
                }
            }
            if reaches_end {
                break;
            }
        }
    }

    /// The hole with the greatest numbers.
    pub(crate) fn last(&self) -> Option<Hole> {
        self.chunks.last().map(|chunk| chunk.at(chunk.len() - 1))
    }

    /// How many rows in state missing or lost begin in `first` … `last`: neighbours in one state
    /// are one row (contracts §6).
    pub(crate) fn open_rows(&self, first: u64, last: u64) -> u64 {
        let mut left = first.checked_sub(1).and_then(|before| self.find(before));
        let mut rows = 0;
        for hole in self.overlapping(first, last) {
            let begins = hole.first >= first;
            let same_row =
                left.is_some_and(|left| left.last + 1 == hole.first && left.state == hole.state);
            if begins && is_open(hole.state) && !same_row {
                rows += 1;
            }
            left = Some(hole);
        }
        rows
    }

    /// Bytes held on the heap.
    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        let entries: usize = self.chunks.iter().map(Chunk::heap_bytes).sum();
        entries + self.chunks.capacity() * size_of::<Chunk>()
    }

    /// The first entry whose last number is at least `number`.
    fn seek(&self, number: u64) -> Option<(usize, usize)> {
        let after = self.chunks.partition_point(|chunk| chunk.first <= number);
        if let Some(chunk) = after.checked_sub(1) {
            let index = self.chunks[chunk].lower_bound(number);
            if index < self.chunks[chunk].len() {
                return Some((chunk, index));
            }
        }
        (after < self.chunks.len()).then_some((after, 0))
    }

    fn step(&self, chunk: usize, index: usize) -> Option<(usize, usize)> {
        if index + 1 < self.chunks[chunk].len() {
            return Some((chunk, index + 1));
        }
        (chunk + 1 < self.chunks.len()).then_some((chunk + 1, 0))
    }

    fn before(&self, chunk: usize, index: usize) -> Option<Hole> {
        if let Some(index) = index.checked_sub(1) {
            return Some(self.chunks[chunk].at(index));
        }
        let before = self.chunks.get(chunk.checked_sub(1)?)?;
        Some(before.at(before.len() - 1))
    }

    fn rewrite(&mut self, chunk: usize, index: usize, hole: Hole) {
        if let Err(hole) = self.chunks[chunk].write(index, hole, true) {
            self.drop_at(chunk, index);
            self.put_alone(hole);
        }
    }

    /// Adds a hole without joining it to a neighbour.
    fn put_alone(&mut self, hole: Hole) {
        let after = self.chunks.partition_point(|chunk| chunk.first <= hole.first);
        let Some(chunk) = after.checked_sub(1) else {
            return self.put_before_all(hole);
        };
        let index = self.chunks[chunk].lower_bound(hole.first);
        if self.chunks[chunk].write(index, hole, false).is_err() {
            self.put_beside(chunk, index, hole);
        }
    }

    fn put_before_all(&mut self, hole: Hole) {
        self.chunks.insert(0, Chunk::new(hole, 1));
    }

    /// Adds a hole that does not fit the chunk where it belongs, at `index` of it.
    fn put_beside(&mut self, chunk: usize, index: usize, hole: Hole) {
        let len = self.chunks[chunk].len();
        if index == 0 {
            return self.chunks.insert(chunk, Chunk::new(hole, 1));
        }
        if index == len {
            // At the end the chunk stays full and the next one starts empty: ascending holes,
            // the usual case, leave no half-full chunks behind.
            let room = if len == CHUNK { CHUNK } else { 1 };
            return self.chunks.insert(chunk + 1, Chunk::new(hole, room));
        }
        let at = if len < CHUNK { index } else { len / 2 };
        if let Some(right) = self.chunks[chunk].split_off(at) {
            self.chunks.insert(chunk + 1, right);
        }
        self.put_alone(hole);
    }

    fn drop_at(&mut self, chunk: usize, index: usize) {
        if self.chunks[chunk].drop_at(index) {
            self.chunks.remove(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hole::Fact;
    use crate::verdict::{Reason, Stage, State};
    use std::collections::BTreeMap;

    const STATES: [State; 3] =
        [State::Missing, State::Lost(Stage::Store), State::Unknown(Reason::Joined)];

    fn random(seed: u64) -> impl FnMut(u64) -> u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        move |below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        }
    }

    /// Operations against a map of single numbers, over a domain so small that they collide, and
    /// with times so far apart that entries do not fit their chunks.
    #[test]
    fn agrees_with_a_map_of_numbers() {
        for seed in 1..400 {
            let mut next = random(seed);
            let (mut gaps, mut oracle) = (Gaps::default(), BTreeMap::new());
            for step in 0..120 {
                let first = next(60) << if next(10) == 0 { 33 } else { 0 };
                let last = first + next(5);
                let mut out = Vec::new();
                gaps.take(first, last, &mut out);
                let taken: Vec<(u64, (u64, State))> = out
                    .iter()
                    .flat_map(|h| (h.first..=h.last).map(|n| (n, (h.opened, h.state))))
                    .collect();
                let expected: Vec<_> = oracle.range(first..=last).map(|(n, v)| (*n, *v)).collect();
                assert_eq!(taken, expected, "seed {seed}, step {step}");
                oracle.retain(|n, _| !(first..=last).contains(n));
                if next(3) > 0 {
                    let opened = next(3) << (next(3) * 16);
                    let state = STATES[usize::try_from(next(3)).unwrap()];
                    gaps.put(Hole { first, last, opened, fact: Fact::default(), state });
                    oracle.extend((first..=last).map(|n| (n, (opened, state))));
                }
                let held: Vec<u64> = gaps.iter().flat_map(|h| h.first..=h.last).collect();
                assert_eq!(held, oracle.keys().copied().collect::<Vec<_>>());
                assert_eq!(gaps.max(), oracle.keys().last().copied());
                let mut rows = 0;
                let mut left: Option<(u64, State)> = None;
                for (&n, &(_, state)) in &oracle {
                    let same_row = left.is_some_and(|(m, held)| m + 1 == n && held == state);
                    rows += u64::from(is_open(state) && !same_row);
                    left = Some((n, state));
                }
                assert_eq!(gaps.open_rows(0, u64::MAX), rows, "seed {seed}, step {step}");
            }
        }
    }

    #[test]
    fn a_jump_of_2_62_is_one_entry() {
        let mut gaps = Gaps::default();
        let fact = Fact::default();
        gaps.put(Hole { first: 1, last: 1 << 62, opened: 5, fact, state: State::Missing });
        let mut out = Vec::new();
        gaps.take(1 << 40, 1 << 40, &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!(gaps.iter().map(|h| h.len()).sum::<u64>(), (1 << 62) - 1);
        assert!(gaps.heap_bytes() < 512, "{}", gaps.heap_bytes());
    }

    #[test]
    fn a_million_holes_take_20_bytes_each_and_fill_in_any_order() {
        let mut gaps = Gaps::default();
        let holes = 1_000_000_u64;
        for n in 0..holes {
            let (fact, state) = (Fact::default(), State::Missing);
            gaps.put(Hole { first: 2 * n, last: 2 * n, opened: n / 1_000, fact, state });
        }
        let each = gaps.heap_bytes() as u64 / holes;
        assert!(each <= 20, "{each} bytes a hole");
        // 611,953 is prime to a million: every hole once, far apart.
        let mut out = Vec::new();
        for n in (0..holes).map(|n| n * 611_953 % holes) {
            out.clear();
            gaps.take(2 * n, 2 * n, &mut out);
            assert_eq!(out.len(), 1);
        }
        assert_eq!(gaps.max(), None);
    }
}
