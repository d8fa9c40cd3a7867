//! What stood where in a log, and when it was read.

use alloc::vec::Vec;
use core::ops::Range;

use super::bytes::{Put, Take};
use super::{Damaged, List, Segment};
use crate::lane::LaneRef;
use crate::memory::{CutMemory, Run};
use crate::read_times::ReadTimes;

impl Segment for CutMemory {
    fn held(&self) -> usize {
        self.runs.len()
    }

    fn write(&self, items: Range<usize>, out: &mut Vec<u8>) {
        let (mut position, mut seq) = (0, 0);
        for run in self.runs.range(items) {
            out.step(&mut position, run.position);
            out.step(&mut seq, run.seq);
            out.number(u64::from(run.lane.bits()));
            out.number(u64::from(run.count) << 1 | u64::from(run.copy));
        }
    }

    fn read(&mut self, take: &mut Take<'_>, count: usize, skip: usize) -> Result<(), Damaged> {
        let (mut position, mut seq) = (0, 0);
        for item in 0..count {
            let (position, seq) = (take.step(&mut position)?, take.step(&mut seq)?);
            let lane = LaneRef::of_bits(take.small()?);
            let size = take.number()?;
            let count = u32::try_from(size >> 1).map_err(|_| Damaged::Number)?;
            let run = Run { position, seq, lane, count, copy: size & 1 == 1 };
            let above = self.runs.back().is_none_or(|last| last.end() <= position);
            let fits = count > 0
                && position.checked_add(u64::from(count)).is_some()
                && seq.checked_add(u64::from(count)).is_some();
            if item >= skip {
                if !above || !fits {
                    return Err(Damaged::Order);
                }
                self.runs.push_back(run);
            }
        }
        Ok(())
    }

    fn list(&mut self) -> &mut List {
        &mut self.list
    }
}

impl Segment for ReadTimes {
    fn held(&self) -> usize {
        self.steps.len()
    }

    fn write(&self, items: Range<usize>, out: &mut Vec<u8>) {
        let (mut position, mut time) = (0, 0);
        for &(first, at) in &self.steps[items] {
            out.step(&mut position, first);
            out.step(&mut time, at);
        }
    }

    fn read(&mut self, take: &mut Take<'_>, count: usize, skip: usize) -> Result<(), Damaged> {
        let (mut position, mut time) = (0, 0);
        for item in 0..count {
            let step = (take.step(&mut position)?, take.step(&mut time)?);
            if item >= skip {
                if self.steps.last().is_some_and(|last| last.0 >= step.0) {
                    return Err(Damaged::Order);
                }
                self.steps.push(step);
            }
        }
        Ok(())
    }

    fn list(&mut self) -> &mut List {
        &mut self.list
    }
}
