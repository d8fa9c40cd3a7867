//! The lanes' names, which their partition has in one piece, in the blocks of their lanes.

use alloc::vec::Vec;

use super::Damaged;
use super::blocks::{BLOCK, Marks, of_block};
use super::bytes::{Put, Take};
use crate::lane::Lane;

/// Which names came or went.
#[derive(Debug, Default)]
pub(crate) struct Names(Marks);

impl Names {
    /// The name of this lane is about to come or go.
    pub(crate) fn note(&mut self, lane: usize, lanes: &[Lane], keys: &[u8]) {
        let block = lane / BLOCK;
        self.0.note(block, |out| write(of_block(lanes, block), keys, out));
    }

    /// See [`Marks::begin`].
    pub(super) fn begin(&mut self) {
        self.0.begin(|_| ());
    }

    /// See [`Marks::write`].
    pub(super) fn write(
        &mut self,
        budget: usize,
        lanes: &[Lane],
        keys: &[u8],
        sink: impl FnMut(usize, &[u8]),
    ) -> usize {
        self.0.write(budget, |block, out| write(of_block(lanes, block), keys, out), sink)
    }

    /// All is as it was loaded.
    pub(super) fn all_saved(&mut self) {
        self.0.all_saved();
    }
}

/// Names of a block of lanes; what one has in common with the one before, at either end, is left
/// out. An empty one: the place is free.
fn write(lanes: &[Lane], keys: &[u8], out: &mut Vec<u8>) {
    let mut before: &[u8] = &[];
    for name in lanes.iter().map(|lane| lane.prefix(keys)) {
        out.count(name.len());
        if name.is_empty() {
            continue;
        }
        let same = |(a, b): &(&u8, &u8)| a == b;
        let head = before.iter().zip(name).take_while(same).count();
        let most = before.len().min(name.len()) - head;
        let tail = before.iter().rev().zip(name.iter().rev()).take(most).take_while(same).count();
        out.count(head);
        out.count(tail);
        out.extend_from_slice(&name[head..name.len() - tail]);
        before = name;
    }
}

/// The names of a block, in order.
pub(super) fn read(
    bytes: &[u8],
    mut each: impl FnMut(&[u8]) -> Result<(), Damaged>,
) -> Result<(), Damaged> {
    let mut take = Take(bytes);
    let (mut before, mut name) = (Vec::<u8>::new(), Vec::new());
    while take.end().is_err() {
        let len: usize = take.small()?;
        if len == 0 {
            each(&[])?;
            continue;
        }
        let (head, tail): (usize, usize) = (take.small()?, take.small()?);
        let own = len.checked_sub(head).and_then(|rest| rest.checked_sub(tail));
        let own = own.filter(|&own| own <= take.0.len()).ok_or(Damaged::Short)?;
        let (middle, rest) = take.0.split_at(own);
        take.0 = rest;
        let last = before.len().checked_sub(tail).and_then(|at| before.get(at..));
        name.clear();
        name.extend_from_slice(before.get(..head).ok_or(Damaged::Short)?);
        name.extend_from_slice(middle);
        name.extend_from_slice(last.ok_or(Damaged::Short)?);
        each(&name)?;
        core::mem::swap(&mut before, &mut name);
    }
    Ok(())
}
