//! Writing what changed, as it is at one instant.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::blocks::BLOCK;
use super::bytes::Put;
use super::lists::{self, Sink};
use super::{Key, Kind, findings, view};
use crate::cell::Cell;
use crate::checker::Checker;
use crate::context::{Context, Place};
use crate::settings::Reached;
use crate::streams::Stream;

/// Records of an evidence's block: cell, view, block.
pub(crate) type Block = (u32, u16, usize);

/// What is known of the last saving, and of the one that is under way.
#[derive(Debug, Default)]
pub(crate) struct Saving {
    /// The cell whose blocks are written next; `None`: all are.
    next: Option<usize>,
    /// Blocks of which evidence is saved.
    pub(super) evidence: BTreeSet<Block>,
    /// The head as it was written last.
    head: Vec<u8>,
}

impl Checker {
    /// Fixes an instant: what changed since the last one is to be saved as it is now. What is of
    /// bounded size goes to `sink` at once, the rest with [`Self::save_more`]; until that is done
    /// another instant cannot be fixed, and this one is only whole with all of it.
    pub fn save(&mut self, sink: &mut Sink<'_>) {
        while self.save_more(usize::MAX, sink) {}
        self.flush_all();
        for (index, stream) in self.streams.iter_mut().enumerate() {
            if core::mem::take(&mut stream.changed) {
                write_stream(index, stream, &self.cells, sink);
            }
        }
        for block in core::mem::take(&mut self.ctx.evidence_dropped) {
            write_evidence(&self.ctx, &mut self.saving.evidence, block, sink);
        }
        for index in 0..self.cells.len() {
            if !self.cells[index].changed {
                continue;
            }
            self.save_cell(index, sink);
        }
        self.save_head(sink);
        self.saving.next = Some(0);
    }

    /// Goes on with the instant that was fixed: writes at most so many blocks of lanes. Whether
    /// there are more.
    pub fn save_more(&mut self, mut budget: usize, sink: &mut Sink<'_>) -> bool {
        while let Some(next) = self.saving.next {
            let Some(cell) = self.cells.unsaved_mut().get_mut(next) else {
                self.saving.next = None;
                break;
            };
            let index = cell.index;
            let Cell { names, lanes, keys, .. } = cell;
            budget = names.write(budget, lanes, keys, |block, bytes| {
                sink(Key::new(Kind::Names, index, 0, block as u64), Some(bytes));
            });
            budget = cell.lanes.write(budget, |block, bytes| {
                let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
                sink(Key::new(Kind::Ledgers, index, 0, block as u64), bytes);
            });
            for (view, held) in cell.views.iter_mut().enumerate() {
                let view = number(view);
                budget = held.lanes.write(budget, |block, bytes| {
                    sink(Key::new(Kind::Lanes, index, view, block as u64), Some(bytes));
                });
            }
            if budget == 0 {
                return true;
            }
            self.saving.next = Some(next + 1);
        }
        false
    }

    fn save_cell(&mut self, index: usize, sink: &mut Sink<'_>) {
        let Self { cells, ctx, saving, slot_of, .. } = self;
        let Some(cell) = cells.unsaved_mut().get_mut(index) else { return };
        cell.changed = false;
        let of = cell.index;
        cell.names.begin();
        cell.lanes.begin(|_| ());
        for (number_of, held) in cell.views.iter_mut().enumerate() {
            let slotted = slot_of.contains_key(&(of, number_of));
            let number = number(number_of);
            view::write(held, of, number, slotted, sink);
            held.lanes.begin(|block| {
                write_evidence(ctx, &mut saving.evidence, (of, number, block), sink);
            });
        }
    }

    fn save_head(&mut self, sink: &mut Sink<'_>) {
        let mut out = Vec::new();
        let Self { ctx, retired, now, reached, early, .. } = self;
        out.option(*now);
        let Reached {
            lanes,
            partitions,
            views,
            ranges,
            record_ranges,
            changes: _,
            retired: forgotten,
            // They are known from their lists.
            duplicates: _,
            evidence: _,
        } = *reached;
        for count in [lanes, partitions, views, ranges, record_ranges, forgotten] {
            out.number(count);
        }
        out.number(ctx.age);
        out.number(ctx.evidence_age);
        out.number(ctx.changes_dropped);
        out.option(ctx.ledger_read);
        out.count(early.len());
        for early in early {
            super::early::write(early, &mut out);
        }
        let key = |kind| move |index| Key::new(kind, 0, 0, index);
        lists::save(&mut ctx.duplicates, key(Kind::Duplicates), &mut out, sink);
        lists::save(&mut ctx.recovered, key(Kind::Recovered), &mut out, sink);
        lists::save(retired, key(Kind::Retired), &mut out, sink);
        if out != self.saving.head {
            sink(Key::new(Kind::Head, 0, 0, 0), Some(&out));
            self.saving.head = out;
        }
    }

    /// All that was loaded is saved.
    pub(super) fn all_saved(&mut self) {
        for stream in &mut self.streams {
            stream.changed = false;
        }
        for cell in self.cells.unsaved_mut() {
            cell.changed = false;
            cell.names.all_saved();
            cell.lanes.all_saved();
            cell.views.iter_mut().for_each(|view| view.lanes.all_saved());
        }
        self.ctx.evidence_dropped.clear();
        let blocks = self.ctx.evidence.keys().map(|(place, _)| block_of(*place));
        self.saving.evidence = blocks.collect();
    }
}

/// The block of a lane's evidence.
pub(crate) fn block_of(place: Place) -> Block {
    (place.cell, place.view, place.lane as usize / BLOCK)
}

fn number(view: usize) -> u16 {
    u16::try_from(view).unwrap_or(u16::MAX)
}

fn write_stream(index: usize, stream: &Stream, cells: &[Cell], sink: &mut Sink<'_>) {
    let mut out = Vec::new();
    out.bytes(stream.name.as_bytes());
    out.count(stream.views.len());
    stream.views.iter().for_each(|view| out.bytes(view.as_bytes()));
    let mut own: Vec<&Cell> = stream.cells.values().map(|&cell| &cells[cell as usize]).collect();
    own.sort_unstable_by_key(|cell| cell.part);
    out.count(own.len());
    for cell in own {
        out.number(u64::from(cell.index));
        out.bytes(cell.label.as_bytes());
    }
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    sink(Key::new(Kind::Stream, index, 0, 0), Some(&out));
}

fn write_evidence(
    ctx: &Context,
    saved: &mut BTreeSet<Block>,
    block @ (cell, view, number): Block,
    sink: &mut Sink<'_>,
) {
    if ctx.evidence.is_empty() && saved.is_empty() {
        return;
    }
    let lane = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let from = Place { cell, view, lane: lane(number * BLOCK) };
    let to = Place { cell, view, lane: lane(number * BLOCK + BLOCK - 1) };
    let (mut out, mut at) = (Vec::new(), 0);
    for ((place, first), evidence) in ctx.evidence.range((from, 0)..=(to, u64::MAX)) {
        let lane = place.lane as usize % BLOCK;
        findings::write_evidence(lane, *first, evidence, (&mut at, &mut out));
    }
    let key = Key::new(Kind::Evidence, cell, view, number as u64);
    if !out.is_empty() {
        saved.insert(block);
        sink(key, Some(&out));
    } else if saved.remove(&block) {
        sink(key, None);
    }
}
