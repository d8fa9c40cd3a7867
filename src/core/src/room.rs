//! Room for new lanes: lanes that are done are retired in the background, and at the limit the
//! ones longest idle are evicted.

use alloc::vec::Vec;

use crate::checker::Checker;

/// Lanes that are evicted together, so that what refers to them is searched once.
const EVICTION_BATCH: usize = 1_024;

impl Checker {
    /// Background work in slices of `budget` lanes: retires lanes that are done, goes on with
    /// what ends left behind. Whether there is more to do now.
    pub fn sweep(&mut self, now: u64, budget: usize) -> bool {
        let (cell, from) = self.hand;
        let Some(own) = self.cells.get_mut(cell) else {
            self.hand = (0, 0);
            return false;
        };
        own.flush();
        let mut more = false;
        for view in 0..own.views.len() {
            more |= own.sweep_lag(view, budget, &mut self.ctx);
        }
        let done: Vec<usize> = own
            .live(from, budget)
            .into_iter()
            .filter(|&lane| own.is_done(lane, now, &self.ctx))
            .collect();
        for &lane in &done {
            own.retire(lane, &mut self.retired, &self.ctx);
        }
        self.hand =
            if from + budget < own.lanes.len() { (cell, from + budget) } else { (cell + 1, 0) };
        self.forget(cell, &done);
        more || self.hand.1 > 0 || self.hand.0 < self.cells.len()
    }

    /// Makes room: drops the lanes that are idle longest, as far as a sample tells.
    pub(crate) fn evict(&mut self) {
        self.flush_all();
        let total: usize = self.cells.iter().map(|cell| cell.lanes.len()).sum();
        let step = (total / 4_096).max(1);
        let mut ages = Vec::new();
        let mut skip = 0;
        for cell in &self.cells {
            let mut lane = skip;
            while lane < cell.lanes.len() {
                if cell.lanes[lane].key_len > 0 {
                    ages.push(cell.last_touched(lane));
                }
                lane += step;
            }
            skip = lane - cell.lanes.len();
        }
        let batch = EVICTION_BATCH.min(self.settings.limits.lanes / 16).max(1);
        let rank = (ages.len() * batch).div_ceil(self.lanes.max(1)).min(ages.len()).max(1) - 1;
        if ages.is_empty() {
            return;
        }
        let (_, &mut oldest, _) = ages.select_nth_unstable(rank);
        let now = self.now.unwrap_or(0);
        let mut left = batch;
        for index in 0..self.cells.len() {
            let cell = &mut self.cells[index];
            let mut dead = Vec::new();
            for lane in cell.live(0, usize::MAX) {
                if left == 0 {
                    break;
                }
                if cell.last_touched(lane) <= oldest {
                    cell.evict(lane, now, &mut self.ctx);
                    dead.push(lane);
                    left -= 1;
                }
            }
            self.evictions += dead.len() as u64;
            self.forget(index, &dead);
        }
    }

    /// Drops what still refers to lanes of a cell that are gone.
    pub(crate) fn forget(&mut self, cell: usize, dead: &[usize]) {
        if dead.is_empty() {
            return;
        }
        self.lanes -= dead.len();
        let span = self.cells[cell].span;
        let index = self.cells[cell].index;
        let is_dead = |lane: usize| dead.binary_search(&lane).is_ok();
        self.ctx.forget(|of, lane| of == index && is_dead(lane as usize));
        let stream = self.cells[cell].stream;
        let cells = self
            .cells
            .iter_mut()
            .filter(|other| other.index == index || (span && other.stream == stream));
        for other in cells {
            other.forget_positions(|lane| lane.span() == span && is_dead(lane.index()));
        }
    }
}
