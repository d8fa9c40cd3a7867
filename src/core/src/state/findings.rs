//! What is remembered of findings: what stands beside them, repeats, what came late after all; and
//! the lanes that were retired.

use alloc::vec::Vec;
use core::ops::Range;

use super::bytes::{Put, Take};
use super::{Damaged, List, Segment};
use crate::context::{Duplicate, Duplicates, Evidence, Near, Place, Recovered, RecoveredRows};
use crate::retire::Retired;
use crate::verdict::Repeat;

/// Evidence of one lane of a block: its place in the block, its first number, and the rest.
pub(super) fn write_evidence(
    lane: usize,
    first: u64,
    evidence: &Evidence,
    (at, out): (&mut u64, &mut Vec<u8>),
) {
    let Evidence { last, before, after, since, judged_at, age } = *evidence;
    out.count(lane);
    out.number(first);
    out.number(last.wrapping_sub(first));
    out.number(u64::from(before.is_some()) | u64::from(after.is_some()) << 1);
    for near in [before, after].into_iter().flatten() {
        out.number(near.seq);
        out.number(u64::from(near.cell));
        out.number(near.position.wrapping_add(1));
        out.step(at, near.at);
        out.number(near.time.wrapping_add(1));
    }
    out.step(at, since);
    out.option(judged_at);
    out.number(age);
}

pub(super) fn read_evidence(
    bytes: &[u8],
    mut each: impl FnMut(usize, u64, Evidence) -> Result<(), Damaged>,
) -> Result<(), Damaged> {
    let (mut take, mut at) = (Take(bytes), 0);
    while take.end().is_err() {
        let (lane, first) = (take.small()?, take.number()?);
        let last = first.wrapping_add(take.number()?);
        let sides = take.number()?;
        let mut near = |held: bool| -> Result<Option<Near>, Damaged> {
            if !held {
                return Ok(None);
            }
            let (seq, cell) = (take.number()?, take.small()?);
            let position = take.number()?.wrapping_sub(1);
            let at = take.step(&mut at)?;
            let time = take.number()?.wrapping_sub(1);
            Ok(Some(Near { seq, cell, position, at, time }))
        };
        let (before, after) = (near(sides & 1 == 1)?, near(sides >> 1 & 1 == 1)?);
        let since = take.step(&mut at)?;
        let (judged_at, age) = (take.option()?, take.number()?);
        each(lane, first, Evidence { last, before, after, since, judged_at, age })?;
    }
    Ok(())
}

fn write_place(place: Place, out: &mut Vec<u8>) {
    out.number(u64::from(place.cell));
    out.number(u64::from(place.view));
    out.number(u64::from(place.lane));
}

fn read_place(take: &mut Take<'_>) -> Result<Place, Damaged> {
    Ok(Place { cell: take.small()?, view: take.small()?, lane: take.small()? })
}

impl Segment for Duplicates {
    fn held(&self) -> usize {
        self.rows.len()
    }

    fn write(&self, items: Range<usize>, out: &mut Vec<u8>) {
        let (mut at, mut age) = (0, 0);
        for row in self.rows.range(items) {
            write_place(row.place, out);
            out.number(u64::from(row.cell));
            out.number(row.seq);
            out.push(row.kind as u8);
            out.number(row.position.wrapping_add(1));
            out.step(&mut at, row.at);
            out.number(row.time.wrapping_add(1));
            out.step(&mut age, row.age);
        }
    }

    fn read(&mut self, take: &mut Take<'_>, count: usize, skip: usize) -> Result<(), Damaged> {
        let (mut at, mut age) = (0, 0);
        for item in 0..count {
            let row = Duplicate {
                place: read_place(take)?,
                cell: take.small()?,
                seq: take.number()?,
                kind: match take.byte()? {
                    0 => Repeat::Resent,
                    1 => Repeat::Redelivered,
                    2 => Repeat::Undetermined,
                    _ => return Err(Damaged::Number),
                },
                position: take.number()?.wrapping_sub(1),
                at: take.step(&mut at)?,
                time: take.number()?.wrapping_sub(1),
                age: take.step(&mut age)?,
            };
            if item >= skip {
                self.rows.push_back(row);
            }
        }
        Ok(())
    }

    fn list(&mut self) -> &mut List {
        &mut self.list
    }
}

impl Segment for RecoveredRows {
    fn held(&self) -> usize {
        self.rows.len()
    }

    fn write(&self, items: Range<usize>, out: &mut Vec<u8>) {
        let mut time = 0;
        for row in self.rows.range(items) {
            write_place(row.place, out);
            out.number(row.first);
            out.number(row.last.wrapping_sub(row.first));
            out.step(&mut time, row.since);
            out.step(&mut time, row.at);
            out.option(row.judged_at);
        }
    }

    fn read(&mut self, take: &mut Take<'_>, count: usize, skip: usize) -> Result<(), Damaged> {
        let mut time = 0;
        for item in 0..count {
            let (place, first) = (read_place(take)?, take.number()?);
            let last = first.wrapping_add(take.number()?);
            let (since, at) = (take.step(&mut time)?, take.step(&mut time)?);
            let judged_at = take.option()?;
            if item >= skip {
                self.rows.push_back(Recovered { place, first, last, since, judged_at, at });
            }
        }
        Ok(())
    }

    fn list(&mut self) -> &mut List {
        &mut self.list
    }
}

impl Segment for Retired {
    fn held(&self) -> usize {
        self.order.len()
    }

    fn write(&self, items: Range<usize>, out: &mut Vec<u8>) {
        let mut before = 0;
        for (lane, turn) in self.order.range(items) {
            out.number(u64::from(lane.0));
            out.extend_from_slice(&lane.1.to_le_bytes());
            out.step(&mut before, *turn);
            // One that came back has no number any more.
            let held = self.next.get(lane).filter(|held| held.1 == *turn);
            out.option(held.map(|held| held.0));
        }
    }

    fn read(&mut self, take: &mut Take<'_>, count: usize, skip: usize) -> Result<(), Damaged> {
        let mut before = 0;
        for item in 0..count {
            let cell = take.small()?;
            let (digest, rest) = take.0.split_first_chunk::<8>().ok_or(Damaged::Short)?;
            take.0 = rest;
            let lane = (cell, u64::from_le_bytes(*digest));
            let (turn, next) = (take.step(&mut before)?, take.option()?);
            if item < skip {
                continue;
            }
            if turn <= self.turn || next.is_some_and(|next| next > 1 << 63) {
                return Err(Damaged::Order);
            }
            self.turn = turn;
            self.order.push_back((lane, turn));
            if let Some(next) = next {
                self.next.insert(lane, (next, turn));
            }
        }
        Ok(())
    }

    fn list(&mut self) -> &mut List {
        &mut self.list
    }
}
