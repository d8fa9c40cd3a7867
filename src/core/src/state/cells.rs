//! All partitions of a checker, of which those that may have changed are known.

use alloc::vec::Vec;
use core::ops::{Deref, Index, IndexMut};

use crate::cell::Cell;

/// Whoever takes a cell to change it has it saved.
#[derive(Debug, Default)]
pub(crate) struct Cells(Vec<Cell>);

impl Deref for Cells {
    type Target = [Cell];
    #[inline(always)]
    fn deref(&self) -> &[Cell] {
        &self.0
    }
}

impl Index<usize> for Cells {
    type Output = Cell;
    #[inline(always)]
    fn index(&self, at: usize) -> &Cell {
        &self.0[at]
    }
}

impl IndexMut<usize> for Cells {
    #[inline(always)]
    fn index_mut(&mut self, at: usize) -> &mut Cell {
        let cell = &mut self.0[at];
        cell.changed = true;
        cell
    }
}

impl Cells {
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut Cell> {
        let cell = self.0.get_mut(at)?;
        cell.changed = true;
        Some(cell)
    }

    pub(crate) fn pair(&mut self, one: usize, other: usize) -> Option<[&mut Cell; 2]> {
        let [one, other] = self.0.get_disjoint_mut([one, other]).ok()?;
        (one.changed, other.changed) = (true, true);
        Some([one, other])
    }

    pub(crate) fn push(&mut self, cell: Cell) {
        self.0.push(cell);
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Cell> {
        for cell in &mut self.0 {
            cell.changed = true;
        }
        self.0.iter_mut()
    }

    /// All of them; who changes one says so.
    pub(crate) fn unsaved_mut(&mut self) -> &mut [Cell] {
        &mut self.0
    }
}
