//! Ledger records that came before the first line.

use alloc::vec::Vec;

use super::Damaged;
use super::bytes::{Put, Take};
use crate::checker::Early;
use crate::ledger::{LedgerRecord, Range};

pub(super) fn write(early: &Early, out: &mut Vec<u8>) {
    let (producer, stream, lane) = &early.text;
    for text in [producer, stream, lane] {
        out.bytes(text.as_bytes());
    }
    let record = &early.record;
    for number in [record.rev, record.epoch, record.from, record.next] {
        out.number(number);
    }
    out.option(record.at);
    out.flag(record.closed);
    for ranges in [&record.pending, &record.unanswered, &record.refused, &record.aborted] {
        out.count(ranges.len());
        for &(first, last) in ranges {
            out.number(first);
            out.number(last);
        }
    }
}

pub(super) fn read(take: &mut Take<'_>) -> Result<Early, Damaged> {
    let (producer, stream, lane) = (take.text()?, take.text()?, take.text()?);
    let [rev, epoch, from, next] = [take.number()?, take.number()?, take.number()?, take.number()?];
    let (at, closed) = (take.option()?, take.flag()?);
    let mut ranges = || -> Result<Vec<Range>, Damaged> {
        let count = take.count()?;
        (0..count).map(|_| Ok((take.number()?, take.number()?))).collect()
    };
    let (pending, unanswered, refused, aborted) = (ranges()?, ranges()?, ranges()?, ranges()?);
    let record = LedgerRecord {
        rev,
        producer,
        epoch,
        stream,
        lane,
        from,
        next,
        pending,
        unanswered,
        refused,
        aborted,
        closed,
        at,
    };
    record.validate().map_err(|_| Damaged::Number)?;
    Ok(Early::new(&record))
}
