//! Long lists, saved in pieces: items come at the end and go at the front, so only the last pieces
//! are written again; a change in the middle writes what lies behind it.

use alloc::vec::Vec;
use core::ops::Range;

use super::bytes::{Put, Take};
use super::{Damaged, Key};

/// Items of a piece.
const PIECE: u64 = 256;
/// So few are written with what they belong to.
const FEW: usize = 8;

/// Takes records: their bytes, or that there is none any more.
pub type Sink<'a> = dyn FnMut(Key, Option<&[u8]>) + 'a;

/// What can be written in pieces.
pub(crate) trait Segment {
    /// Items that are held.
    fn held(&self) -> usize;
    /// Writes some of them, the first of them whole.
    fn write(&self, items: Range<usize>, out: &mut Vec<u8>);
    /// Reads so many that were written together, and adds those that come after the first `skip`.
    fn read(&mut self, take: &mut Take<'_>, count: usize, skip: usize) -> Result<(), Damaged>;
    /// What is known of their saving.
    fn list(&mut self) -> &mut List;
}

/// Which part of a list is saved. Items have numbers from the list's very first one on.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    /// Items that were dropped at the front.
    dropped: u64,
    /// Items below this number are as they were saved.
    clean: u64,
    /// Pieces that are saved.
    first: u64,
    end: u64,
    /// Items that are to be read.
    expected: usize,
}

impl List {
    /// The item at this index and those behind it are others now.
    pub(crate) fn changed(&mut self, index: usize) {
        self.clean = self.clean.min(self.dropped + index as u64);
    }

    /// So many items at the front are gone.
    pub(crate) fn dropped(&mut self, count: usize) {
        self.dropped += count as u64;
    }

    /// How many are gone by now.
    pub(crate) fn all_dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn loaded(&mut self, len: usize) {
        self.end = (self.dropped + len as u64).div_ceil(PIECE);
        self.first = self.dropped / PIECE;
        if len <= FEW {
            self.first = self.end;
        }
        self.clean = if len <= FEW { 0 } else { self.dropped + len as u64 };
    }
}

/// Writes what changed of a list: its head into `out`, the rest in pieces of its own.
pub(super) fn save(
    of: &mut impl Segment,
    key: impl Fn(u64) -> Key,
    out: &mut Vec<u8>,
    sink: &mut Sink<'_>,
) {
    let len = of.held();
    let List { dropped, clean, first, end, .. } = *of.list();
    let inline = len <= FEW;
    out.number(dropped);
    out.count(len);
    if inline {
        of.write(0..len, out);
    }
    let until = dropped + len as u64;
    let now = if inline { 0..0 } else { dropped / PIECE..until.div_ceil(PIECE) };
    for piece in (first..end).filter(|piece| !now.contains(piece)) {
        sink(key(piece), None);
    }
    let from = clean.min(until) / PIECE;
    let mut bytes = Vec::new();
    for piece in now.clone().filter(|&piece| piece >= from) {
        let items = (piece * PIECE).max(dropped)..((piece + 1) * PIECE).min(until);
        bytes.clear();
        bytes.number(items.start);
        bytes.number(items.end - items.start);
        of.write(index(items.start - dropped)..index(items.end - dropped), &mut bytes);
        sink(key(piece), Some(&bytes));
    }
    let list = of.list();
    (list.first, list.end) = (now.start, now.end);
    // The last item may grow.
    list.clean = if inline { 0 } else { until - 1 };
}

/// Reads a list's head.
pub(super) fn load(of: &mut impl Segment, take: &mut Take<'_>) -> Result<(), Damaged> {
    let dropped = take.number()?;
    let len: usize = take.small()?;
    dropped.checked_add(len as u64).ok_or(Damaged::Number)?;
    *of.list() = List { dropped, expected: len, ..List::default() };
    if len <= FEW { of.read(take, len, 0) } else { Ok(()) }
}

/// Reads a piece; they come in order.
pub(super) fn load_piece(of: &mut impl Segment, bytes: &[u8]) -> Result<(), Damaged> {
    let mut take = Take(bytes);
    let (start, count) = (take.number()?, take.count()?);
    let List { dropped, expected, .. } = *of.list();
    let next = dropped + of.held() as u64;
    let skip = next.saturating_sub(start);
    // A piece that was begun before items were dropped holds them still.
    let fits = start <= next && count <= usize_of(PIECE) && skip <= count as u64;
    if !fits || of.held() + count - index(skip) > expected {
        return Err(Damaged::Order);
    }
    of.read(&mut take, count, index(skip))?;
    take.end()
}

/// All pieces were read.
pub(super) fn loaded(of: &mut impl Segment) -> Result<(), Damaged> {
    let len = of.held();
    if len != of.list().expected {
        return Err(Damaged::Orphan);
    }
    of.list().loaded(len);
    Ok(())
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

const fn usize_of(number: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "a piece is small")]
    {
        number as usize
    }
}
