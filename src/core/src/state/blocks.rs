//! Lanes in blocks, so that what changed can be saved without looking at the rest, and at the leisure
//! of who saves it: a block that is about to change while it waits to be written is written first, as
//! it was.

use alloc::vec::Vec;
use core::ops::{Deref, Index, IndexMut};

/// Items of a block: small, as a change of one writes all.
pub(crate) const BLOCK: usize = 64;

/// What a block's items are written as.
pub(crate) trait Saved: Sized + Default {
    fn write(items: &[Self], out: &mut Vec<u8>);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// As it was saved.
    Saved,
    Changed,
    /// To be saved as it is now.
    Pending,
}

/// What became of each block since it was saved, and of those that wait to be.
#[derive(Debug)]
pub(super) struct Marks {
    marks: Vec<Mark>,
    /// Blocks that changed before they had been written, as they were.
    kept: Vec<(usize, Vec<u8>)>,
    /// Blocks from here on may be pending.
    next: usize,
}

impl Default for Marks {
    fn default() -> Self {
        Self { marks: Vec::new(), kept: Vec::new(), next: usize::MAX }
    }
}

impl Marks {
    /// The block is about to change; `write` has it as it is. One behind the last is new.
    #[inline(always)]
    pub(super) fn note(&mut self, block: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if self.marks.get(block) != Some(&Mark::Changed) {
            self.note_first(block, write);
        }
    }

    #[cold]
    fn note_first(&mut self, block: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(mark) = self.marks.get_mut(block) else {
            self.marks.push(Mark::Changed);
            return;
        };
        if core::mem::replace(mark, Mark::Changed) == Mark::Pending {
            let mut out = Vec::new();
            write(&mut out);
            self.kept.push((block, out));
        }
    }

    /// What has changed since the last call, and is to be saved as it is now.
    pub(super) fn begin(&mut self, mut changed: impl FnMut(usize)) {
        debug_assert!(self.kept.is_empty(), "the last state is still being saved");
        self.next = usize::MAX;
        for (block, mark) in self.marks.iter_mut().enumerate() {
            if *mark == Mark::Changed {
                *mark = Mark::Pending;
                self.next = self.next.min(block);
                changed(block);
            }
        }
    }

    /// Hands on at most so many blocks that wait, which `write` writes; how many of them are left to
    /// be written now.
    pub(super) fn write(
        &mut self,
        mut budget: usize,
        mut write: impl FnMut(usize, &mut Vec<u8>),
        mut sink: impl FnMut(usize, &[u8]),
    ) -> usize {
        for (block, bytes) in self.kept.drain(..) {
            sink(block, &bytes);
        }
        let mut out = Vec::new();
        while budget > 0 && self.next < self.marks.len() {
            let block = self.next;
            self.next += 1;
            if self.marks[block] == Mark::Pending {
                out.clear();
                write(block, &mut out);
                sink(block, &out);
                self.marks[block] = Mark::Saved;
                budget -= 1;
            }
        }
        budget
    }

    /// All is as it was loaded.
    pub(super) fn all_saved(&mut self) {
        self.marks.fill(Mark::Saved);
    }
}

/// A list of which every change is noted, by block.
#[derive(Debug)]
pub(crate) struct Blocks<T> {
    items: Vec<T>,
    marks: Marks,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self { items: Vec::new(), marks: Marks::default() }
    }
}

impl<T> Deref for Blocks<T> {
    type Target = [T];
    #[inline(always)]
    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T> Index<usize> for Blocks<T> {
    type Output = T;
    #[inline(always)]
    fn index(&self, at: usize) -> &T {
        &self.items[at]
    }
}

impl<T: Saved> IndexMut<usize> for Blocks<T> {
    #[inline(always)]
    fn index_mut(&mut self, at: usize) -> &mut T {
        self.note(at / BLOCK);
        &mut self.items[at]
    }
}

impl<T: Saved> Blocks<T> {
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        if at < self.items.len() {
            self.note(at / BLOCK);
        }
        self.items.get_mut(at)
    }

    pub(crate) fn push(&mut self, item: T) {
        self.note(self.items.len() / BLOCK);
        self.items.push(item);
    }

    /// Makes it so long, with items that are empty.
    pub(crate) fn grow(&mut self, len: usize) {
        while self.items.len() < len {
            self.push(T::default());
        }
    }

    /// All items, for a change that is not saved.
    pub(crate) fn unsaved_mut(&mut self) -> &mut [T] {
        &mut self.items
    }

    #[inline(always)]
    fn note(&mut self, block: usize) {
        let items = &self.items;
        self.marks.note(block, |out| T::write(of_block(items, block), out));
    }

    /// See [`Marks::begin`].
    pub(crate) fn begin(&mut self, changed: impl FnMut(usize)) {
        self.marks.begin(changed);
    }

    /// See [`Marks::write`].
    pub(crate) fn write(&mut self, budget: usize, sink: impl FnMut(usize, &[u8])) -> usize {
        let items = &self.items;
        self.marks.write(budget, |block, out| T::write(of_block(items, block), out), sink)
    }

    /// All is as it was loaded.
    pub(crate) fn all_saved(&mut self) {
        self.marks.all_saved();
    }
}

/// The items of a block.
pub(super) fn of_block<T>(items: &[T], block: usize) -> &[T] {
    items.chunks(BLOCK).nth(block).unwrap_or_default()
}
