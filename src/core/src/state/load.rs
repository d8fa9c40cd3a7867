//! Going on with what was saved.

use alloc::string::String;
use alloc::vec::Vec;

use super::blocks::BLOCK;
use super::bytes::Take;
use super::{Damaged, Key, Kind, early, findings, lanes, ledgers, lists, names, view};
use crate::cell::Cell;
use crate::checker::Checker;
use crate::context::Place;
use crate::lane::LaneView;
use crate::share::Share;
use crate::verdict::State;
use crate::view::{Span, View};

/// Reads records into a checker that has seen nothing. They must come in the order of their keys.
#[derive(Debug)]
pub struct Loader<'a> {
    checker: &'a mut Checker,
    /// Partitions that are not made yet: their numbers, streams and labels.
    named: Vec<(u32, usize, String)>,
    /// By view: what its record says of it.
    heads: Vec<(usize, usize, view::Head)>,
}

impl<'a> Loader<'a> {
    /// Loads into this checker. Its streams must be configured already, or later, before anything is
    /// judged.
    pub fn new(checker: &'a mut Checker) -> Self {
        Self { checker, named: Vec::new(), heads: Vec::new() }
    }

    /// Takes a record.
    ///
    /// # Errors
    /// What the bytes lack. The checker is of no use then.
    pub fn record(&mut self, key: Key, bytes: &[u8]) -> Result<(), Damaged> {
        let Checker { ctx, retired, .. } = &mut *self.checker;
        match key.kind {
            Kind::Head => self.head(bytes),
            Kind::Stream => self.stream(key.cell, bytes),
            Kind::Duplicates => lists::load_piece(&mut ctx.duplicates, bytes),
            Kind::Recovered => lists::load_piece(&mut ctx.recovered, bytes),
            Kind::Retired => lists::load_piece(retired, bytes),
            Kind::Names
            | Kind::Ledgers
            | Kind::View
            | Kind::Lanes
            | Kind::Evidence
            | Kind::Observed
            | Kind::Covered
            | Kind::Aborted
            | Kind::Compacted
            | Kind::Expired
            | Kind::Retention
            | Kind::CutMemory
            | Kind::ReadTimes => self.of_cell(key, bytes),
        }
    }

    /// All records were taken: the checker can go on.
    ///
    /// # Errors
    /// Records that are missing, or do not belong together.
    pub fn finish(mut self) -> Result<(), Damaged> {
        self.make_cells()?;
        let checker = self.checker;
        let views = checker.cells.iter().map(|cell| cell.views.len()).sum::<usize>();
        if views != self.heads.len() {
            return Err(Damaged::Orphan);
        }
        for (cell, view, head) in self.heads {
            let cell = &mut checker.cells[cell];
            finish_view(cell, view, &head)?;
            if head.slotted {
                let view = cell.views[view].name.clone();
                let stream = checker.streams[cell.stream as usize].name.clone();
                let label = cell.label.clone();
                checker.partition(&view, &stream, &label);
            }
        }
        checker.cells.iter_mut().for_each(Cell::finish_loading);
        checker.lanes = checker.cells.iter().map(Cell::live_lanes).sum();
        finish_lists(checker)?;
        // What was read is what is saved; that there are its views is known to all.
        checker.all_saved();
        checker.news.clear();
        // Until they hear that nothing is missing, partitions' owners pass their time on.
        let shared = checker.settings.share != Share::default();
        checker.streams.iter_mut().for_each(|stream| stream.misses = shared);
        Ok(())
    }

    fn head(&mut self, bytes: &[u8]) -> Result<(), Damaged> {
        let mut take = Take(bytes);
        let Checker { ctx, retired, now, reached, early, .. } = &mut *self.checker;
        *now = take.option()?;
        for count in [
            &mut reached.lanes,
            &mut reached.partitions,
            &mut reached.views,
            &mut reached.ranges,
            &mut reached.record_ranges,
            &mut reached.retired,
        ] {
            *count = take.number()?;
        }
        ctx.age = take.number()?;
        ctx.evidence_age = take.number()?;
        ctx.changes_dropped = take.number()?;
        ctx.ledger_read = take.option()?;
        for _ in 0..take.count()? {
            early.push(early::read(&mut take)?);
        }
        lists::load(&mut ctx.duplicates, &mut take)?;
        lists::load(&mut ctx.recovered, &mut take)?;
        lists::load(retired, &mut take)?;
        take.end()
    }

    fn stream(&mut self, index: u32, bytes: &[u8]) -> Result<(), Damaged> {
        let mut take = Take(bytes);
        let stream = self.checker.stream(take.text()?);
        if u32::try_from(stream) != Ok(index) {
            return Err(Damaged::Order);
        }
        for _ in 0..take.count()? {
            self.checker.view(stream, take.text()?);
        }
        for _ in 0..take.count()? {
            self.named.push((take.small()?, stream, take.text()?.into()));
        }
        take.end()
    }

    /// Makes the partitions, in the order in which they were made then.
    fn make_cells(&mut self) -> Result<(), Damaged> {
        let mut named = core::mem::take(&mut self.named);
        named.sort_unstable();
        for (number, stream, label) in named {
            if self.checker.cell(stream, &label) != Some(number) {
                return Err(Damaged::Order);
            }
        }
        Ok(())
    }

    fn of_cell(&mut self, key: Key, bytes: &[u8]) -> Result<(), Damaged> {
        self.make_cells()?;
        let (index, view) = (key.cell as usize, usize::from(key.view));
        let Checker { cells, ctx, .. } = &mut *self.checker;
        let own = cells.get_mut(index).ok_or(Damaged::Orphan)?;
        let start = usize::try_from(key.index).ok().and_then(|block| block.checked_mul(BLOCK));
        let start = start.ok_or(Damaged::Key)?;
        if key.kind == Kind::Names {
            return read_names(own, start, bytes);
        }
        if key.kind == Kind::Ledgers {
            return ledgers::read(bytes, |lane, ledger| {
                let lane = start.checked_add(lane).and_then(|lane| own.lanes.get_mut(lane));
                lane.ok_or(Damaged::Orphan)?.ledger = Some(ledger);
                Ok(())
            });
        }
        let held = own.views.get_mut(view).ok_or(Damaged::Orphan)?;
        if key.kind == Kind::View {
            let head = view::read(held, bytes)?;
            self.heads.push((index, view, head));
            return Ok(());
        }
        if key.kind == Kind::Lanes {
            return read_lanes(held, start, bytes);
        }
        if key.kind == Kind::Evidence {
            return findings::read_evidence(bytes, |lane, first, evidence| {
                let lane = Some(lane).filter(|lane| *lane < BLOCK).map(|lane| start + lane);
                let lane = lane.filter(|lane| *lane < held.lanes.len());
                let lane = lane.and_then(|lane| u32::try_from(lane).ok()).ok_or(Damaged::Orphan)?;
                let place = Place { cell: key.cell, view: key.view, lane };
                ctx.evidence.insert((place, first), evidence);
                Ok(())
            });
        }
        view::read_piece(held, key.kind, bytes)
    }
}

fn read_names(cell: &mut Cell, start: usize, bytes: &[u8]) -> Result<(), Damaged> {
    if cell.lanes.len() != start {
        return Err(Damaged::Order);
    }
    names::read(bytes, |name| {
        let fits = cell.lanes.len() < start + BLOCK;
        if fits && cell.restore(name) { Ok(()) } else { Err(Damaged::Text) }
    })
}

fn read_lanes(view: &mut View, start: usize, bytes: &[u8]) -> Result<(), Damaged> {
    if view.lanes.len() != start {
        return Err(Damaged::Order);
    }
    lanes::read(bytes, |lane: LaneView| view.lanes.push(lane))?;
    if view.lanes.len() > start + BLOCK { Err(Damaged::Long) } else { Ok(()) }
}

/// Checks a view, and has its missing numbers judged when their time comes.
fn finish_view(cell: &mut Cell, number: usize, head: &view::Head) -> Result<(), Damaged> {
    let view = &mut cell.views[number];
    if view.lanes.len() != head.lanes || head.lanes > cell.lanes.len() {
        return Err(Damaged::Orphan);
    }
    view::loaded(view)?;
    let now = view.now();
    let mut missing = Vec::new();
    for (index, lane) in view.lanes.iter().enumerate() {
        if lane.flags != 0 && cell.lanes[index].key_len == 0 {
            return Err(Damaged::Orphan);
        }
        let holes = lane.extra.iter().flat_map(|extra| extra.gaps.iter());
        for hole in holes.filter(|hole| hole.state == State::Missing) {
            let lane = u32::try_from(index).unwrap_or(u32::MAX);
            missing.push((hole, Span { lane, first: hole.first, last: hole.last }));
        }
    }
    for (hole, span) in missing {
        // What only the view's next line may judge waits for that.
        if hole.fact.judged() || hole.opened.saturating_add(cell.grace) < now {
            view.waiting.push(span);
        } else {
            view.push_due(hole.opened, span);
        }
    }
    view.told = !view.waiting.is_empty();
    Ok(())
}

fn finish_lists(checker: &mut Checker) -> Result<(), Damaged> {
    let Checker { ctx, retired, cells, .. } = checker;
    lists::loaded(&mut ctx.duplicates)?;
    lists::loaded(&mut ctx.recovered)?;
    lists::loaded(retired)?;
    let known = |place: Place| {
        let own = cells.get(place.cell as usize);
        own.is_some_and(|own| {
            usize::from(place.view) < own.views.len() && (place.lane as usize) < own.lanes.len()
        })
    };
    let repeats = ctx.duplicates.rows.iter();
    let repeats = repeats.map(|row| known(row.place) && (row.cell as usize) < cells.len());
    if !repeats.chain(ctx.recovered.rows.iter().map(|row| known(row.place))).all(|known| known) {
        return Err(Damaged::Orphan);
    }
    ctx.forget_evidence();
    Ok(())
}
