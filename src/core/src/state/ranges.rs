//! Sets of numbers.

use alloc::vec::Vec;

use super::Damaged;
use super::bytes::{Put, Take};
use crate::ranges::RangeSet;

pub(crate) fn write(ranges: impl ExactSizeIterator<Item = (u64, u64)>, out: &mut Vec<u8>) {
    out.count(ranges.len());
    let mut end = 0;
    for (first, last) in ranges {
        out.number(first - end);
        out.number(last - first);
        end = last;
    }
}

/// Adds what was written to a set that ends below it.
pub(crate) fn read(take: &mut Take<'_>, set: &mut RangeSet) -> Result<(), Damaged> {
    let mut end = 0_u64;
    for _ in 0..take.count()? {
        let first = end.checked_add(take.number()?).ok_or(Damaged::Number)?;
        let last = first.checked_add(take.number()?).ok_or(Damaged::Number)?;
        let touches = set.max().is_some_and(|highest| first <= highest.saturating_add(1));
        if touches {
            return Err(Damaged::Order);
        }
        set.insert(first, last);
        end = last;
    }
    Ok(())
}
