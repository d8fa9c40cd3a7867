//! A partition in a view, without its lanes.

use alloc::vec::Vec;

use super::bytes::{Put, Take};
use super::lists::{self, Segment, Sink};
use super::{Damaged, Key, Kind, totals};
use crate::report::Watched;
use crate::verdict::Reason;
use crate::view::{Part, View, Watch};

const NAMED: [Kind; 4] = [Kind::Aborted, Kind::Compacted, Kind::Expired, Kind::Retention];
const REASONS: [Reason; 4] = [Reason::Joined, Reason::Paused, Reason::Evicted, Reason::Transaction];

pub(super) fn write(view: &mut View, cell: u32, number: u16, slotted: bool, sink: &mut Sink<'_>) {
    let key = |kind| move |index| Key::new(kind, cell, number, index);
    let mut out = Vec::new();
    for flag in [
        slotted,
        view.committed,
        view.unordered,
        view.start_open,
        view.paused,
        view.watched.is_some(),
        view.undecided.is_some(),
        view.broken.is_some(),
        view.lag.is_some(),
    ] {
        out.flag(flag);
    }
    if let Some(Watched { from_start, since }) = view.watched {
        out.flag(from_start);
        out.number(since);
    }
    if let Some(Watch { from_start, position, at, committed, handover, ordered }) = view.undecided {
        [from_start, committed, handover, ordered].into_iter().for_each(|flag| out.flag(flag));
        out.option(position);
        out.number(at);
    }
    if let Some((at, reason)) = view.broken {
        out.number(at);
        out.push(reason as u8);
    }
    if let Some((at, from)) = view.lag {
        out.number(at);
        out.count(from);
    }
    for time in [view.clock, view.last_end, view.end_position, view.last_at, view.last_eviction] {
        out.option(time);
    }
    out.number(u64::from(view.breaks));
    for sums in [&view.totals, &view.entered, &view.rest] {
        totals::write(sums, &mut out);
    }
    out.count(view.parts.len());
    for Part { watched, from_start, since, last_end, paused } in &view.parts {
        [*watched, *from_start, *paused].into_iter().for_each(|flag| out.flag(flag));
        out.number(*since);
        out.option(*last_end);
    }
    out.count(view.lanes.len());
    let positions = &mut view.positions;
    out.option(positions.run);
    out.option(positions.begin);
    out.number(positions.memory.floor);
    out.count(positions.times.thinned);
    lists::save(&mut positions.observed, key(Kind::Observed), &mut out, sink);
    lists::save(&mut positions.covered, key(Kind::Covered), &mut out, sink);
    for (set, kind) in positions.named.iter_mut().zip(NAMED) {
        lists::save(set, key(kind), &mut out, sink);
    }
    lists::save(&mut positions.memory, key(Kind::CutMemory), &mut out, sink);
    lists::save(&mut positions.times, key(Kind::ReadTimes), &mut out, sink);
    sink(key(Kind::View)(0), Some(&out));
}

/// What a view's record says of it apart from the view itself.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) slotted: bool,
    pub(super) lanes: usize,
}

pub(super) fn read(view: &mut View, bytes: &[u8]) -> Result<Head, Damaged> {
    let mut take = Take(bytes);
    let mut flags = [false; 9];
    for flag in &mut flags {
        *flag = take.flag()?;
    }
    let [slotted, committed, unordered, start_open, paused, watched, undecided, broken, lag] =
        flags;
    (view.committed, view.unordered, view.start_open) = (committed, unordered, start_open);
    view.paused = paused;
    if watched {
        view.watched = Some(Watched { from_start: take.flag()?, since: take.number()? });
    }
    if undecided {
        let mut flags = [false; 4];
        for flag in &mut flags {
            *flag = take.flag()?;
        }
        let [from_start, committed, handover, ordered] = flags;
        let (position, at) = (take.option()?, take.number()?);
        view.undecided = Some(Watch { from_start, position, at, committed, handover, ordered });
    }
    if broken {
        let at = take.number()?;
        let reason = REASONS.get(usize::from(take.byte()?)).ok_or(Damaged::Number)?;
        view.broken = Some((at, *reason));
    }
    if lag {
        view.lag = Some((take.number()?, take.small()?));
    }
    for time in [
        &mut view.clock,
        &mut view.last_end,
        &mut view.end_position,
        &mut view.last_at,
        &mut view.last_eviction,
    ] {
        *time = take.option()?;
    }
    view.breaks = take.small()?;
    for sums in [&mut view.totals, &mut view.entered, &mut view.rest] {
        *sums = totals::read(&mut take)?;
    }
    for _ in 0..take.count()? {
        let (watched, from_start, paused) = (take.flag()?, take.flag()?, take.flag()?);
        let (since, last_end) = (take.number()?, take.option()?);
        view.parts.push(Part { watched, from_start, since, last_end, paused });
    }
    let lanes = take.small()?;
    let positions = &mut view.positions;
    (positions.run, positions.begin) = (take.option()?, take.option()?);
    positions.memory.floor = take.number()?;
    positions.times.thinned = take.small()?;
    lists::load(&mut positions.observed, &mut take)?;
    lists::load(&mut positions.covered, &mut take)?;
    for set in &mut positions.named {
        lists::load(set, &mut take)?;
    }
    lists::load(&mut positions.memory, &mut take)?;
    lists::load(&mut positions.times, &mut take)?;
    take.end()?;
    Ok(Head { slotted, lanes })
}

/// A piece of one of the view's lists.
pub(super) fn read_piece(view: &mut View, kind: Kind, bytes: &[u8]) -> Result<(), Damaged> {
    let positions = &mut view.positions;
    if let Some(cause) = NAMED.iter().position(|&named| named == kind) {
        return lists::load_piece(&mut positions.named[cause], bytes);
    }
    if kind == Kind::Observed {
        lists::load_piece(&mut positions.observed, bytes)
    } else if kind == Kind::Covered {
        lists::load_piece(&mut positions.covered, bytes)
    } else if kind == Kind::CutMemory {
        lists::load_piece(&mut positions.memory, bytes)
    } else if kind == Kind::ReadTimes {
        lists::load_piece(&mut positions.times, bytes)
    } else {
        Err(Damaged::Key)
    }
}

/// All records of the view were read: its lists must be whole.
pub(super) fn loaded(view: &mut View) -> Result<(), Damaged> {
    let positions = &mut view.positions;
    lists::loaded(&mut positions.observed)?;
    lists::loaded(&mut positions.covered)?;
    positions.named.iter_mut().try_for_each(lists::loaded)?;
    lists::loaded(&mut positions.memory)?;
    lists::loaded(&mut positions.times)?;
    if positions.times.thinned >= positions.times.held().max(1) {
        return Err(Damaged::Number);
    }
    Ok(())
}
