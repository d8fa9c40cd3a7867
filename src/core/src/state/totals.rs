//! Counters: most are zero, so that a mask says which are not.

use alloc::vec::Vec;

use super::Damaged;
use super::bytes::{Put, Take};
use crate::totals::{Sum, Totals};

pub(super) fn write(totals: &Totals, out: &mut Vec<u8>) {
    let (mut mask, mut bit) = (0_u64, 0);
    totals.each(&mut |count| {
        mask |= u64::from(count > 0) << bit;
        bit += 1;
    });
    out.number(mask);
    totals.each(&mut |count| {
        if count > 0 {
            out.wide(count);
        }
    });
}

pub(super) fn read(take: &mut Take<'_>) -> Result<Totals, Damaged> {
    let mask = take.number()?;
    let mut totals = Totals::default();
    let mut bit = 0;
    totals.each_mut(&mut || {
        let held = mask >> bit & 1 == 1;
        bit += 1;
        if held { take.wide() } else { Ok(0) }
    })?;
    if mask >> bit > 0 { Err(Damaged::Number) } else { Ok(totals) }
}
