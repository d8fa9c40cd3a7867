//! Room for new lanes: lanes that are done are retired in the background, and at the limit the
//! ones longest idle are evicted.

use alloc::vec::Vec;

use crate::cell::Cell;
use crate::checker::Checker;

/// Of so many lanes one is evicted at the limit, so that what refers to them is searched once.
const EVICTION_SHARE: usize = 64;

impl Checker {
    /// Background work in slices of `budget` lanes: retires lanes that are done, goes on with
    /// what ends left behind. Whether there is more to do now.
    pub fn sweep(&mut self, now: u64, budget: usize) -> bool {
        let (cell, from) = self.hand;
        let Some(own) = self.cells.get_mut(cell) else {
            self.hand = (0, 0);
            let counted = core::mem::take(&mut self.counted);
            if counted > self.settings.limits.ranges {
                self.thin(counted);
            }
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
            let forgotten = own.retire(lane, &mut self.retired, &self.ctx);
            self.reached.retired += u64::from(forgotten);
        }
        self.counted += own.live(from, budget).iter().map(|&lane| own.ranges(lane)).sum::<usize>();
        self.hand =
            if from + budget < own.lanes.len() { (cell, from + budget) } else { (cell + 1, 0) };
        self.forget(cell, &done);
        more || self.hand.1 > 0 || self.hand.0 < self.cells.len()
    }

    /// Makes room: drops the lanes that are idle longest, as far as a sample tells, of the streams
    /// that hold more than an equal share. So one that is flooded with lanes evicts its own.
    pub(crate) fn evict(&mut self) {
        self.flush_all();
        let mut held = alloc::vec![0; self.streams.len()];
        for cell in self.cells.iter() {
            held[cell.stream as usize] += cell.live_lanes();
        }
        let share = self.lanes.div_ceil(held.iter().filter(|&&lanes| lanes > 0).count().max(1));
        // The fullest stream holds as many at least.
        let crowded = |cell: &Cell| held[cell.stream as usize] >= share.max(1);
        let total: usize =
            self.cells.iter().filter(|cell| crowded(cell)).map(|cell| cell.lanes.len()).sum();
        let step = (total / 4_096).max(1);
        let mut ages = Vec::new();
        let mut skip = 0;
        for cell in self.cells.iter().filter(|cell| crowded(cell)) {
            let mut lane = skip;
            while lane < cell.lanes.len() {
                if cell.lanes[lane].key_len > 0 {
                    ages.push(cell.last_touched(lane));
                }
                lane += step;
            }
            skip = lane - cell.lanes.len();
        }
        let batch = (self.settings.limits.lanes / EVICTION_SHARE).max(1);
        let candidates: usize = held.iter().filter(|&&lanes| lanes >= share).sum();
        let rank = (ages.len() * batch).div_ceil(candidates.max(1)).min(ages.len()).max(1) - 1;
        if ages.is_empty() {
            return;
        }
        let (_, &mut oldest, _) = ages.select_nth_unstable(rank);
        let mut left = batch;
        for index in 0..self.cells.len() {
            let cell = &self.cells[index];
            if left == 0 || !crowded(cell) {
                continue;
            }
            let lanes = 0..cell.lanes.len();
            let dead: Vec<usize> = lanes
                .filter(|&lane| cell.lanes[lane].key_len > 0 && cell.last_touched(lane) <= oldest)
                .take(left)
                .collect();
            left -= dead.len();
            self.reached.lanes += dead.len() as u64;
            let now = self.now.unwrap_or(0);
            for &lane in &dead {
                self.cells[index].evict(lane, now, &mut self.ctx);
            }
            self.forget(index, &dead);
        }
    }

    /// Lanes hold more ranges than there may be: those that hold the most are dropped, whatever they
    /// are. A lane can be made to hold many only by its own numbers, or in its own name.
    fn thin(&mut self, counted: usize) {
        let mut heavy: Vec<(usize, usize, usize)> = Vec::new();
        for (index, cell) in self.cells.iter().enumerate() {
            let lanes = (0..cell.lanes.len()).map(|lane| (cell.ranges(lane), index, lane));
            heavy.extend(lanes.filter(|&(ranges, ..)| ranges > 0));
        }
        heavy.sort_unstable_by(|one, other| other.cmp(one));
        let limit = self.settings.limits.ranges;
        let mut left = counted;
        let enough = heavy.iter().take_while(|(ranges, ..)| {
            let more = left > limit - limit / 8;
            left = left.saturating_sub(*ranges);
            more
        });
        let mut dead: Vec<(usize, usize)> = enough.map(|&(_, cell, lane)| (cell, lane)).collect();
        dead.sort_unstable();
        self.reached.ranges += dead.len() as u64;
        for of_cell in dead.chunk_by(|one, other| one.0 == other.0) {
            let lanes: Vec<usize> = of_cell.iter().map(|&(_, lane)| lane).collect();
            let (cell, now) = (of_cell[0].0, self.now.unwrap_or(0));
            for &lane in &lanes {
                let own = &mut self.cells[cell];
                let forgotten = own.lighten(lane, now, &mut self.retired, &mut self.ctx);
                self.reached.retired += u64::from(forgotten);
            }
            self.forget(cell, &lanes);
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
