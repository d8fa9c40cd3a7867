//! Which evidence is forgotten where there is no room for more: of the partitions that hold more than
//! an equal share, of their lanes that do, the oldest. So one that is flooded with gaps forgets its
//! own.

use alloc::vec::Vec;

use crate::context::{Context, Place};
use crate::state::block_of;

impl Context {
    /// Room that is made at once, as a part of all there may be: to choose costs as much as there is.
    const PART: usize = 16;

    /// Makes room, if there is more than there may be.
    pub(crate) fn forget_evidence(&mut self) {
        let limit = self.limits.evidence;
        if self.evidence.len() <= limit {
            return;
        }
        let keep = limit - limit / Self::PART;
        let surplus = self.evidence.len() - keep;
        let all: Vec<(Place, u64, u64)> = self
            .evidence
            .iter()
            .map(|(&(place, first), evidence)| (place, evidence.age, first))
            .collect();
        let together =
            |one: &Place, other: &Place| (one.cell, one.view) == (other.cell, other.view);
        let cells = || all.chunk_by(|one, other| together(&one.0, &other.0));
        let of_each = share(cells().map(<[_]>::len), keep);
        let mut above = Vec::new();
        for cell in cells().filter(|cell| cell.len() > of_each) {
            let lanes = || cell.chunk_by(|one, other| one.0 == other.0);
            let of_each = share(lanes().map(<[_]>::len), of_each);
            for lane in lanes().filter(|lane| lane.len() > of_each) {
                let mut ages: Vec<(u64, (Place, u64))> =
                    lane.iter().map(|&(place, age, first)| (age, (place, first))).collect();
                ages.sort_unstable();
                ages.truncate(lane.len() - of_each);
                above.append(&mut ages);
            }
        }
        above.sort_unstable();
        for (_, key) in above.into_iter().take(surplus) {
            self.evidence_forgotten += 1;
            self.evidence.remove(&key);
            self.evidence_dropped.insert(block_of(key.0));
        }
    }
}

/// The most that each may have where all of them together may have `room`.
fn share(counts: impl Iterator<Item = usize>, room: usize) -> usize {
    let mut counts: Vec<usize> = counts.collect();
    counts.sort_unstable();
    let mut left = room;
    for (index, &count) in counts.iter().enumerate() {
        let each = left / (counts.len() - index);
        if count > each {
            return each;
        }
        left -= count;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn what_the_small_ones_leave_is_the_large_ones() {
        assert_eq!(share([1, 2, 100, 100].into_iter(), 50), 23);
        assert_eq!(share([10, 10].into_iter(), 20), usize::MAX);
        assert_eq!(share([1; 100].into_iter(), 50), 0);
    }
}
