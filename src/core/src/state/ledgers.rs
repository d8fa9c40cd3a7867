//! What ledgers said of lanes.

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
