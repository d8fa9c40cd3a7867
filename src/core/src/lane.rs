//! What is held of one lane: once for all views ([`Lane`]), and once for each view
//! ([`LaneView`]). Both are dense records; what only some lanes have is boxed.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::context::Near;
use crate::gaps::Gaps;
use crate::ledger::{LedgerRecord, Range};
use crate::mutants::{Mutant, broken};
use crate::note::Reading;
use crate::ranges::RangeSet;
use crate::report::{Base, Says};
use crate::verdict::Reason;

/// A lane of a partition's own cell, or (`span`) of its stream's cell `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneRef(u32);

impl LaneRef {
    const SPAN: u32 = 1 << 31;
    /// Most lanes of one cell.
    pub(crate) const MOST: usize = Self::SPAN as usize;

    pub(crate) fn new(lane: u32, span: bool) -> Self {
        Self(if span { lane | Self::SPAN } else { lane })
    }
    pub(crate) fn bits(self) -> u32 {
        self.0
    }
    pub(crate) fn of_bits(bits: u32) -> Self {
        Self(bits)
    }
    /// A lane `*` that another checker judges, by a hash of its name. That two are one hash means
    /// only that a record which replaces the other's at its position is not noticed.
    #[expect(clippy::cast_possible_truncation, reason = "a part of a hash is a hash")]
    pub(crate) fn far(digest: u64) -> Self {
        Self(digest as u32 | Self::SPAN)
    }
    pub(crate) fn span(self) -> bool {
        self.0 & Self::SPAN != 0
    }
    pub(crate) fn index(self) -> usize {
        (self.0 & !Self::SPAN) as usize
    }
}

/// A lane, as all views know it.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// Where its prefix stands among the cell's keys.
    pub(crate) key: u32,
    /// Length of the prefix; 0: the slot is free.
    pub(crate) key_len: u8,
    pub(crate) ledger: Option<Box<LaneLedger>>,
}

impl Lane {
    /// Its prefix, among the cell's keys.
    #[inline]
    pub(crate) fn prefix<'a>(&self, keys: &'a [u8]) -> &'a [u8] {
        let start = self.key as usize;
        &keys[start..start + usize::from(self.key_len)]
    }
}

/// All that ledger records said of a lane, added up.
#[derive(Debug, Default)]
pub(crate) struct LaneLedger {
    /// (`rev`, `next`, `at`) of the newest record.
    pub(crate) newest: (u64, u64, Option<u64>),
    /// The greatest `next` of all: every number below it was taken.
    pub(crate) taken: u64,
    pub(crate) closed: bool,
    /// When the last record of any age arrived.
    pub(crate) arrived: u64,
    /// Of the newest record.
    pub(crate) pending: RangeSet,
    pub(crate) unanswered: RangeSet,
    pub(crate) refused: RangeSet,
    pub(crate) aborted: RangeSet,
    /// Covered by some record and not listed in it.
    pub(crate) acknowledged: RangeSet,
}

/// Ranges of each kind that are kept of a lane, the highest ones: to add one costs as much as there
/// are. What was said of a gap stays with the gap.
const MOST_RANGES: usize = 65_536;

impl LaneLedger {
    /// Adds a record. Gives back the numbers that were pending or are now, whose grace begins
    /// anew, and the numbers of which something new is said.
    pub(crate) fn add(&mut self, record: &LedgerRecord<'_>, arrived: u64) -> (RangeSet, RangeSet) {
        self.arrived = self.arrived.max(arrived);
        self.taken = self.taken.max(record.next);
        self.closed |= record.closed;
        let mut listed = RangeSet::default();
        let mut changed = RangeSet::default();
        for (ranges, set) in [
            (&record.unanswered, &mut self.unanswered),
            (&record.refused, &mut self.refused),
            (&record.aborted, &mut self.aborted),
        ] {
            for &range in ranges {
                listed.insert(range.0, range.1);
                add_new(set, range, &mut changed);
            }
        }
        for &(first, last) in &record.pending {
            listed.insert(first, last);
        }
        let mut from = record.from;
        for (first, last) in listed.iter().chain([(record.next, record.next)]) {
            if from < first {
                add_new(&mut self.acknowledged, (from, first - 1), &mut changed);
            }
            from = last.saturating_add(1);
        }
        let mut renewed = RangeSet::default();
        let order = (record.rev, record.next, record.at);
        if order >= self.newest {
            self.newest = order;
            renewed = core::mem::take(&mut self.pending);
            for &(first, last) in &record.pending {
                self.pending.insert(first, last);
            }
        }
        for (first, last) in self.pending.iter() {
            renewed.insert(first, last);
        }
        for (first, last) in renewed.iter() {
            changed.insert(first, last);
        }
        let Self { unanswered, refused, aborted, acknowledged, .. } = self;
        for set in [unanswered, refused, aborted, acknowledged] {
            set.forget_lowest(MOST_RANGES);
        }
        (renewed, changed)
    }

    /// What the records say of a number, and up to which number they say the same.
    pub(crate) fn says(&self, number: u64) -> (Option<Says>, u64) {
        let mut says = None;
        let mut end = u64::MAX;
        for (set, word) in [
            (&self.refused, Says::Refused),
            (&self.aborted, Says::Aborted),
            (&self.unanswered, Says::Unanswered),
            (&self.pending, Says::Pending),
            (&self.acknowledged, Says::Acknowledged),
        ] {
            let (inside, reach) = set.run(number);
            end = end.min(reach);
            if inside && says.is_none() {
                says = Some(word);
            }
        }
        (says, end)
    }

    /// How many ranges it holds.
    pub(crate) fn ranges(&self) -> usize {
        let Self { pending, unanswered, refused, aborted, acknowledged, .. } = self;
        [pending, unanswered, refused, aborted, acknowledged].map(RangeSet::len).iter().sum()
    }

    pub(crate) fn newest_next(&self) -> u64 {
        self.newest.1
    }

    pub(crate) fn newest_at(&self) -> Option<u64> {
        self.newest.2
    }
}

/// Adds a range to a set, and what the set did not have yet to `changed`.
fn add_new(set: &mut RangeSet, (first, last): Range, changed: &mut RangeSet) {
    let mut at = first;
    loop {
        let (inside, end) = set.run(at);
        let end = end.min(last);
        if !inside {
            changed.insert(at, end);
        }
        if end == last {
            break;
        }
        at = end + 1;
    }
    set.insert(first, last);
}

/// What only some lanes of a view have.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// Unseen numbers.
    pub(crate) gaps: Gaps,
    pub(crate) reread: u64,
    pub(crate) resent: u64,
    pub(crate) redelivered: u64,
    pub(crate) undetermined: u64,
    pub(crate) reordered: u64,
    pub(crate) recovered: u64,
    /// Resent numbers in a row, each above the last, with `next` moving between them.
    pub(crate) clash_run: u32,
    pub(crate) clash: bool,
    pub(crate) clash_last: (u64, u64),
    /// Seen once, and cut away.
    pub(crate) gone: u64,
    /// Lane `*`: one above the highest number that each partition has shown.
    pub(crate) shown: Vec<u64>,
    /// Lane `*`: the partition's cell that showed the highest number.
    pub(crate) high_cell: u32,
}

impl Extra {
    /// Resent numbers in a row from which two clients are suspected. A producer's retries repeat
    /// at most its batches in flight without `next` moving between the numbers.
    const CLASH: u32 = 10;

    /// Notes a resent number while the lane's next expected one is `next`.
    pub(crate) fn note_resent(&mut self, seq: u64, next: u64) {
        self.resent += 1;
        let (last_seq, last_next) = self.clash_last;
        let moved = self.clash_run > 0 && seq > last_seq && next > last_next;
        self.clash_run = if moved { self.clash_run + 1 } else { 1 };
        self.clash |= self.clash_run >= Self::CLASH && !broken(Mutant::ClashUnnoticed);
        self.clash_last = (seq, next);
    }
}

/// No position or time.
pub(crate) const NONE: u64 = u64::MAX;

/// A lane, as one view sees it.
#[derive(Debug)]
pub(crate) struct LaneView {
    /// One above the highest number observed.
    pub(crate) next: u64,
    /// Its base line; numbers below it were never expected here.
    pub(crate) first: u64,
    /// When the highest number was observed.
    pub(crate) high_at: u64,
    /// When the first number was observed.
    pub(crate) first_at: u64,
    pub(crate) last_position: u64,
    pub(crate) last_at: u64,
    pub(crate) last_time: u64,
    pub(crate) extra: Option<Box<Extra>>,
    /// Pauses of the view that this lane has gone through.
    pub(crate) breaks: u32,
    pub(crate) base: Base,
    pub(crate) flags: u8,
}

impl Default for LaneView {
    fn default() -> Self {
        Self {
            next: 0,
            first: 0,
            high_at: NONE,
            first_at: 0,
            last_position: NONE,
            last_at: NONE,
            last_time: NONE,
            extra: None,
            breaks: 0,
            base: Base::Zero,
            flags: 0,
        }
    }
}

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident $set:ident = $bit:expr;)*) => {
        impl LaneView {
            $($(#[$doc])*
            #[inline]
            pub(crate) fn $name(&self) -> bool { self.flags & $bit != 0 }
            pub(crate) fn $set(&mut self, on: bool) {
                if on { self.flags |= $bit } else { self.flags &= !$bit }
            })*
        }
    };
}

flags! {
    /// It has a row in this view.
    present set_present = 1;
    /// A number of it was observed.
    seen set_seen = Self::SEEN;
    /// A pause ended and no number at or above `next` has come since: what lies between is unknown.
    awaiting set_awaiting = Self::AWAITING;
    /// It was joined or paused, so that the first grace after that proves nothing.
    broken set_broken = 8;
    /// Numbers below `first` stand in no hole: they are unknown by the base's reason.
    floored set_floored = 16;
    /// Numbers below `first` are counted in the rest row: it was retired and came back.
    revived set_revived = 32;
}

impl LaneView {
    const SEEN: u8 = 2;
    const AWAITING: u8 = 4;

    /// One above the highest number that has a state here.
    pub(crate) fn extent(&self) -> u64 {
        let held = self.extra.as_ref().and_then(|extra| extra.gaps.max());
        self.next.max(held.map_or(0, |last| last + 1))
    }

    /// Whether this is the next number, with nothing to be looked at but `next`.
    #[inline(always)]
    pub(crate) fn expects(&self, seq: u64, breaks: u32) -> bool {
        self.next == seq
            && self.flags & (Self::SEEN | Self::AWAITING) == Self::SEEN
            && self.breaks == breaks
            && self
                .extra
                .as_ref()
                .is_none_or(|extra| extra.gaps.max().is_none_or(|highest| highest < seq))
    }

    /// Takes the next number.
    #[inline(always)]
    pub(crate) fn advance(&mut self, position: u64, at: u64, time: u64) {
        // Numbers have 63 bits.
        self.next = self.next.wrapping_add(1);
        self.last_position = position;
        self.last_time = time;
        self.last_at = at;
        self.high_at = at;
    }

    /// Its highest number was read here.
    pub(crate) fn stands_highest(&mut self, read: &Reading, span: bool) {
        self.last_position = read.position;
        self.last_time = read.time;
        self.high_at = read.at;
        if span {
            self.extra().high_cell = read.cell;
        }
    }

    pub(crate) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// The highest number seen, unless it was cut away; `cell` is where, unless it is a lane `*`.
    pub(crate) fn near(&self, cell: u32) -> Option<Near> {
        let spans = self.extra.as_ref().filter(|extra| !extra.shown.is_empty());
        let seq = self.next.checked_sub(1).filter(|_| self.seen())?;
        let gone = |extra: &Extra| extra.gone > 0 && extra.gaps.find(seq).is_some();
        if self.extra.as_deref().is_some_and(gone) {
            return None;
        }
        Some(Near {
            seq,
            cell: spans.map_or(cell, |extra| extra.high_cell),
            position: self.last_position,
            at: self.high_at,
            time: self.last_time,
        })
    }

    /// Why its base is not zero.
    pub(crate) fn base_reason(&self) -> Option<Reason> {
        match self.base {
            Base::Zero => None,
            Base::Joined => Some(Reason::Joined),
            Base::Paused => Some(Reason::Paused),
            Base::Evicted => Some(Reason::Evicted),
        }
    }

    /// Below this no number has a hole: unknown by the base's reason, or counted elsewhere.
    pub(crate) fn floor(&self) -> u64 {
        if self.floored() || self.revived() { self.first } else { 0 }
    }

    /// Numbers seen, each once.
    pub(crate) fn seen_count(&self) -> u64 {
        let holes: u64 = self
            .extra
            .iter()
            .flat_map(|extra| extra.gaps.iter())
            .filter(|hole| hole.first < self.next)
            .map(|hole| hole.last.min(self.next - 1) - hole.first + 1)
            .sum();
        self.next.saturating_sub(self.floor()) - holes
    }
}
