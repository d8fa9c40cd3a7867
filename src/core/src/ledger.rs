//! The ledger: what a producer says of its own lanes (contracts §2).

use alloc::vec::Vec;
use core::fmt;

use crate::stamp;

/// An inclusive range of numbers.
pub type Range = (u64, u64);

/// One record of one lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerRecord<'a> {
    /// +1 for every record of the lane.
    pub rev: u64,
    /// The lane's producer.
    pub producer: &'a str,
    /// The producer's epoch.
    pub epoch: u64,
    /// The lane's stream.
    pub stream: &'a str,
    /// The lane's label.
    pub lane: &'a str,
    /// The ranges are complete from here on.
    pub from: u64,
    /// The number that the next message will take, at most 2^63.
    pub next: u64,
    /// Sent, no answer yet.
    pub pending: Vec<Range>,
    /// Given up without an answer.
    pub unanswered: Vec<Range>,
    /// Certainly not part of the stream, and the application was told.
    pub refused: Vec<Range>,
    /// Part of a transaction that was rolled back.
    pub aborted: Vec<Range>,
    /// The producer ended this lane in good order.
    pub closed: bool,
    /// Producer's clock, ms since the Unix epoch; shown, never used as a clock.
    pub at: Option<u64>,
}

/// Why a record is refused whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerError {
    /// The producer's name is not of the form.
    Producer,
    /// The lane's label is not of the form.
    Lane,
    /// `from` is above `next`, or `next` above 2^63.
    Bounds,
    /// A range's first number is above its last, or it is outside `from` … `next`-1.
    Range(Range),
    /// The ranges are not sorted and disjoint within and across the four lists.
    Overlap(Range),
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Producer => f.write_str("producer is not 1 to 128 of A-Z a-z 0-9 . _ : @ / -"),
            Self::Lane => f.write_str("lane is not 1 to 64 of A-Z a-z 0-9 . _ : @ - or * alone"),
            Self::Bounds => f.write_str("from is above next, or next is above 2^63"),
            Self::Range((a, b)) => write!(f, "range [{a},{b}] does not lie in from … next-1"),
            Self::Overlap((a, b)) => write!(f, "range [{a},{b}] is out of order or overlaps"),
        }
    }
}

impl core::error::Error for LedgerError {}

/// Ranges of one record that are looked at, the highest ones: ten times what a stamper of ours says
/// in one.
const MOST_RANGES: usize = 10_000;

impl LedgerRecord<'_> {
    /// The record with no more ranges than one may have: the lowest are left out by raising `from`,
    /// as stampers do.
    pub(crate) fn bounded(&self) -> Option<Self> {
        let lists = [&self.pending, &self.unanswered, &self.refused, &self.aborted];
        let ranges: usize = lists.iter().map(|list| list.len()).sum();
        let left_out = ranges.checked_sub(MOST_RANGES).filter(|&left_out| left_out > 0)?;
        let mut starts: Vec<u64> = lists.into_iter().flatten().map(|range| range.0).collect();
        let (_, &mut from, _) = starts.select_nth_unstable(left_out);
        let mut bounded = Self { from, ..self.clone() };
        let Self { pending, unanswered, refused, aborted, .. } = &mut bounded;
        for list in [pending, unanswered, refused, aborted] {
            list.retain(|range| range.0 >= from);
        }
        Some(bounded)
    }

    /// Checks all that contracts §2 asks of a record's form.
    pub fn validate(&self) -> Result<(), LedgerError> {
        if !stamp::is_producer(self.producer.as_bytes()) {
            return Err(LedgerError::Producer);
        }
        if !stamp::is_lane(self.lane.as_bytes()) {
            return Err(LedgerError::Lane);
        }
        if self.from > self.next || self.next > stamp::MAX_SEQ + 1 {
            return Err(LedgerError::Bounds);
        }
        let lists = [&self.pending, &self.unanswered, &self.refused, &self.aborted];
        for list in lists {
            let mut free = self.from;
            for &(first, last) in list {
                if first > last || last >= self.next {
                    return Err(LedgerError::Range((first, last)));
                }
                if first < free {
                    let before = first < self.from;
                    let range = (first, last);
                    return Err(if before {
                        LedgerError::Range(range)
                    } else {
                        LedgerError::Overlap(range)
                    });
                }
                free = last + 1;
            }
        }
        let mut all: Vec<Range> = lists.into_iter().flatten().copied().collect();
        all.sort_unstable();
        match all.windows(2).find(|pair| pair[1].0 <= pair[0].1) {
            Some(pair) => Err(LedgerError::Overlap(pair[1])),
            None => Ok(()),
        }
    }
}
