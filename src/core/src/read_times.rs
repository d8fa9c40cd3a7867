//! When the log's view read which position: a group's records there are judged by that.

use alloc::vec::Vec;

use crate::state::List;

/// Steps of positions; times ascend with them but where reading went back.
#[derive(Debug, Default)]
pub(crate) struct ReadTimes {
    /// First position read at a time, and that time.
    pub(crate) steps: Vec<(u64, u64)>,
    /// Steps below this index were thinned out: their positions' times lie between two steps.
    pub(crate) thinned: usize,
    pub(crate) list: List,
}

impl ReadTimes {
    /// Bytes that one step takes.
    pub(crate) const STEP_BYTES: usize = size_of::<(u64, u64)>();

    /// A position that was not read yet, above (`forward`) all that were or not.
    pub(crate) fn note(&mut self, position: u64, at: u64, forward: bool) {
        match self.steps.last() {
            Some(&(first, _)) if !forward || first >= position => self.note_back(position, at),
            _ => self.note_next(position, at),
        }
    }

    /// The next position, above all steps.
    #[inline]
    pub(crate) fn note_next(&mut self, position: u64, at: u64) {
        if self.steps.last().is_none_or(|last| last.1 < at) {
            self.steps.push((position, at));
        }
    }

    /// Reading went back to a position that was not read yet. A step that begins there was made for
    /// what follows it.
    fn note_back(&mut self, position: u64, at: u64) {
        let after = self.steps.partition_point(|step| step.0 <= position);
        let held = after.checked_sub(1).map(|before| self.steps[before]);
        let begins = held.is_some_and(|(first, _)| first == position);
        let own = if begins { after - 1 } else { after };
        if own < self.thinned || held.is_some_and(|(_, time)| time == at) {
            return;
        }
        if let Some((_, time)) = held
            && self.steps.get(after).is_none_or(|next| next.0 != position + 1)
        {
            self.steps.insert(after, (position + 1, time));
        }
        if begins {
            self.steps[own].1 = at;
        } else {
            self.steps.insert(own, (position, at));
        }
        self.list.changed(own);
    }

    /// The earliest and the latest time at which this position may have been read; equal unless it
    /// is long ago.
    pub(crate) fn of(&self, position: u64) -> Option<(u64, u64)> {
        let index = self.steps.partition_point(|step| step.0 <= position).checked_sub(1)?;
        let earliest = self.steps[index].1;
        let latest = if index < self.thinned { self.steps[index + 1].1 } else { earliest };
        Some((earliest, latest))
    }

    /// Thins out the older times where there are more steps than this.
    pub(crate) fn bound(&mut self, most: usize) {
        if self.steps.len() > most.max(4) {
            self.thin();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.truncate(0);
    }

    pub(crate) fn truncate(&mut self, position: u64) {
        let keep = self.steps.partition_point(|step| step.0 < position);
        self.steps.truncate(keep);
        self.list.changed(keep);
        self.thinned = self.thinned.min(keep.saturating_sub(1));
    }

    /// Drops every second step of the older half.
    fn thin(&mut self) {
        let half = self.steps.len() / 2;
        let mut index = 0;
        self.steps.retain(|_| {
            index += 1;
            index > half || index % 2 == 1
        });
        self.thinned = half.div_ceil(2);
        self.list.changed(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Positions in every order, each read once, at times that ascend.
    #[test]
    fn each_position_keeps_its_time_in_whatever_order_they_are_read() {
        for stride in [1, 2, 3, 5, 7, 11, 13] {
            for offset in 0..17 {
                let (mut times, mut read) = (ReadTimes::default(), BTreeMap::new());
                for turn in 0..17_u64 {
                    let (position, at) = ((turn * stride + offset) % 17, 100 + turn / 2);
                    let highest = read.last_key_value().map(|(&highest, _)| highest);
                    times.note(position, at, Some(position) > highest);
                    read.insert(position, (at, at));
                    for (&position, &at) in &read {
                        let order = (stride, offset, turn);
                        assert_eq!(times.of(position), Some(at), "{position} in {order:?}");
                    }
                }
            }
        }
    }
}
