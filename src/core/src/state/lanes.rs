//! A lane as one view sees it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Damaged;
use super::blocks::Saved;
use super::bytes::{Put, Take};
use super::holes;
use crate::lane::{Extra, LaneView, NONE};
use crate::report::Base;

/// What the lanes of a block are written relative to.
#[derive(Default)]
struct Before {
    position: u64,
    at: u64,
    first_at: u64,
}

impl Saved for LaneView {
    fn write(items: &[Self], out: &mut Vec<u8>) {
        let mut before = Before::default();
        for lane in items {
            write(lane, &mut before, out);
        }
    }
}

/// The lanes of a block, in order.
pub(super) fn read(bytes: &[u8], mut each: impl FnMut(LaneView)) -> Result<(), Damaged> {
    let (mut take, mut before) = (Take(bytes), Before::default());
    while take.end().is_err() {
        each(read_one(&mut take, &mut before)?);
    }
    Ok(())
}

const BASES: [Base; 4] = [Base::Zero, Base::Joined, Base::Paused, Base::Evicted];
const FLAGS: u8 = 0x3f;

fn write(lane: &LaneView, before: &mut Before, out: &mut Vec<u8>) {
    out.push(lane.flags | (lane.base as u8) << 6);
    if lane.flags == 0 {
        // Nothing was ever said of it here.
        return;
    }
    out.number(lane.next);
    out.number(lane.first);
    out.number(u64::from(lane.breaks) << 1 | u64::from(lane.extra.is_some()));
    out.step(&mut before.position, lane.last_position);
    out.step(&mut before.at, lane.high_at);
    out.step(&mut before.first_at, lane.first_at);
    let mut near = lane.high_at;
    out.step(&mut near, lane.last_at);
    out.step(&mut near, lane.last_time);
    if let Some(extra) = lane.extra.as_deref() {
        write_extra(extra, out);
    }
}

fn read_one(take: &mut Take<'_>, before: &mut Before) -> Result<LaneView, Damaged> {
    let head = take.byte()?;
    let flags = head & FLAGS;
    let base = BASES[usize::from(head >> 6)];
    if flags == 0 {
        return Ok(LaneView { base, ..LaneView::default() });
    }
    let (next, first) = (take.number()?, take.number()?);
    let breaks = take.number()?;
    let last_position = take.step(&mut before.position)?;
    let high_at = take.step(&mut before.at)?;
    let first_at = take.step(&mut before.first_at)?;
    let mut near = high_at;
    let last_at = take.step(&mut near)?;
    let last_time = take.step(&mut near)?;
    let extra = if breaks & 1 == 1 { Some(Box::new(read_extra(take)?)) } else { None };
    let breaks = u32::try_from(breaks >> 1).map_err(|_| Damaged::Number)?;
    let lane = LaneView {
        next,
        first,
        high_at,
        first_at,
        last_position,
        last_at,
        last_time,
        extra,
        breaks,
        base,
        flags,
    };
    let reach = lane.extra.as_ref().and_then(|extra| extra.gaps.max()).unwrap_or(0);
    if lane.next.max(lane.first).max(reach) > 1 << 63 || lane.high_at == NONE && lane.seen() {
        return Err(Damaged::Number);
    }
    Ok(lane)
}

fn write_extra(extra: &Extra, out: &mut Vec<u8>) {
    holes::write(&extra.gaps, out);
    let (last_seq, last_next) = extra.clash_last;
    let rare = [
        extra.reread,
        extra.resent,
        extra.redelivered,
        extra.undetermined,
        extra.reordered,
        extra.recovered,
        extra.gone,
        u64::from(extra.clash_run) << 1 | u64::from(extra.clash),
        last_seq,
        last_next,
        u64::from(extra.high_cell),
    ];
    let held = rare.iter().enumerate().filter(|(_, value)| **value > 0);
    out.number(held.clone().fold(0, |held, (bit, _)| held | 1 << bit));
    held.for_each(|(_, &value)| out.number(value));
    out.count(extra.shown.len());
    extra.shown.iter().for_each(|&shown| out.number(shown));
}

fn read_extra(take: &mut Take<'_>) -> Result<Extra, Damaged> {
    let gaps = holes::read(take)?;
    let held = take.number()?;
    let mut rare = [0; 11];
    for (bit, value) in rare.iter_mut().enumerate() {
        if held >> bit & 1 == 1 {
            *value = take.number()?;
        }
    }
    let [
        reread,
        resent,
        redelivered,
        undetermined,
        reordered,
        recovered,
        gone,
        clash,
        seq,
        next,
        cell,
    ] = rare;
    let count = take.count()?;
    let mut shown = Vec::with_capacity(count);
    for _ in 0..count {
        shown.push(take.number()?);
    }
    let small = |value: u64| u32::try_from(value).map_err(|_| Damaged::Number);
    Ok(Extra {
        gaps,
        reread,
        resent,
        redelivered,
        undetermined,
        reordered,
        recovered,
        clash_run: small(clash >> 1)?,
        clash: clash & 1 == 1,
        clash_last: (seq, next),
        gone,
        shown,
        high_cell: small(cell)?,
    })
}
