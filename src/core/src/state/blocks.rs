//! Lanes in blocks, so that what changed can be saved without looking at the rest, and at the leisure
//! of who saves it: a block that is about to change while it waits to be written is written first, as
//! it was.

use alloc::vec::Vec;
use core::ops::{Deref, Index, IndexMut, Range};

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

impl Saved for () {
    fn write(_: &[Self], _: &mut Vec<u8>) {}
}

/// A list of which every change is noted, by block.
#[derive(Debug)]
pub(crate) struct Blocks<T> {
    items: Vec<T>,
    marks: Vec<Mark>,
    /// Blocks that changed before they had been written, as they were.
    kept: Vec<(usize, Vec<u8>)>,
    /// Blocks from here on may be pending.
    next: usize,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self { items: Vec::new(), marks: Vec::new(), kept: Vec::new(), next: usize::MAX }
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
        // Of a block that is not there none is changed.
        self.note(at / BLOCK);
        self.items.get_mut(at)
    }

    pub(crate) fn push(&mut self, item: T) {
        let block = self.items.len() / BLOCK;
        if block < self.marks.len() {
            self.note(block);
        } else {
            self.marks.push(Mark::Changed);
        }
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
        if self.marks.get(block) != Some(&Mark::Changed) {
            self.note_first(block);
        }
    }

    #[cold]
    fn note_first(&mut self, block: usize) {
        let Some(&mark) = self.marks.get(block) else { return };
        if mark == Mark::Pending {
            let mut out = Vec::new();
            T::write(&self.items[self.range(block)], &mut out);
            self.kept.push((block, out));
        }
        self.marks[block] = Mark::Changed;
    }

    fn range(&self, block: usize) -> Range<usize> {
        block * BLOCK..((block + 1) * BLOCK).min(self.items.len())
    }

    /// What has changed since the last call, and is to be saved as it is now.
    pub(crate) fn begin(&mut self, mut changed: impl FnMut(usize)) {
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

    /// Writes at most so many blocks that wait; how many of them are left to be written now.
    pub(crate) fn write(&mut self, mut budget: usize, mut sink: impl FnMut(usize, &[u8])) -> usize {
        for (block, bytes) in self.kept.drain(..) {
            sink(block, &bytes);
        }
        let mut out = Vec::new();
        while budget > 0 && self.next < self.marks.len() {
            let block = self.next;
            self.next += 1;
            if self.marks[block] == Mark::Pending {
                out.clear();
                T::write(&self.items[self.range(block)], &mut out);
                sink(block, &out);
                self.marks[block] = Mark::Saved;
                budget -= 1;
            }
        }
        budget
    }

    /// What has changed since the last call; it is saved by then.
    pub(crate) fn take_changed(&mut self, mut changed: impl FnMut(usize)) {
        for (block, mark) in self.marks.iter_mut().enumerate() {
            if *mark == Mark::Changed {
                *mark = Mark::Saved;
                changed(block);
            }
        }
    }

    /// All is as it was loaded.
    pub(crate) fn all_saved(&mut self) {
        self.marks.fill(Mark::Saved);
    }
}
