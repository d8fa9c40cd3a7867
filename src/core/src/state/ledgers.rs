//! What ledgers said of lanes, and the lanes' names.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Damaged;
use super::blocks::Saved;
use super::bytes::{Put, Take};
use super::ranges;
use crate::lane::{Lane, LaneLedger};

impl Saved for Lane {
    fn write(items: &[Self], out: &mut Vec<u8>) {
        let mut at = 0;
        for (index, lane) in items.iter().enumerate() {
            if let Some(ledger) = lane.ledger.as_deref() {
                out.count(index);
                write(ledger, &mut at, out);
            }
        }
    }
}

fn write(ledger: &LaneLedger, at: &mut u64, out: &mut Vec<u8>) {
    let (rev, next, said) = ledger.newest;
    out.number(rev);
    out.number(next);
    out.option(said);
    out.number(ledger.taken);
    out.flag(ledger.closed);
    out.step(at, ledger.arrived);
    for set in [
        &ledger.pending,
        &ledger.unanswered,
        &ledger.refused,
        &ledger.aborted,
        &ledger.acknowledged,
    ] {
        ranges::write(set.iter(), out);
    }
}

/// A block's ledgers, each with its lane's place in the block.
pub(super) fn read(
    bytes: &[u8],
    mut each: impl FnMut(usize, Box<LaneLedger>) -> Result<(), Damaged>,
) -> Result<(), Damaged> {
    let (mut take, mut at) = (Take(bytes), 0);
    while take.end().is_err() {
        let index = take.small()?;
        let mut ledger = LaneLedger {
            newest: (take.number()?, take.number()?, take.option()?),
            taken: take.number()?,
            closed: take.flag()?,
            arrived: take.step(&mut at)?,
            ..LaneLedger::default()
        };
        if ledger.taken.max(ledger.newest.1) > 1 << 63 {
            return Err(Damaged::Number);
        }
        for set in [
            &mut ledger.pending,
            &mut ledger.unanswered,
            &mut ledger.refused,
            &mut ledger.aborted,
            &mut ledger.acknowledged,
        ] {
            ranges::read(&mut take, set)?;
            if set.max() > Some(1 << 63) {
                return Err(Damaged::Number);
            }
        }
        each(index, Box::new(ledger))?;
    }
    Ok(())
}

/// Names of a block of lanes; what one has in common with the one before, at either end, is left
/// out. An empty one: the place is free.
pub(super) fn write_names<'a>(names: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    let mut before: &[u8] = &[];
    for name in names {
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

pub(super) fn read_names(
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
