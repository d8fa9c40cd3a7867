//! What is counted, in one shape at every level of the report (contracts §6).

use core::ops::AddAssign;

use crate::state::Damaged;
use crate::verdict::{Cause, Reason, Repeat, Stage, State};

macro_rules! counts {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
        impl AddAssign<&Self> for $name {
            fn add_assign(&mut self, other: &Self) {
                $(Sum::sum(&mut self.$field, &other.$field);)*
            }
        }
        impl Sum for $name {
            fn sum(&mut self, other: &Self) { *self += other; }
            fn each(&self, count: &mut impl FnMut(Count)) {
                $(Sum::each(&self.$field, count);)*
            }
            fn each_mut(
                &mut self,
                count: &mut impl FnMut() -> Result<Count, Damaged>,
            ) -> Result<(), Damaged> {
                $(Sum::each_mut(&mut self.$field, count)?;)*
                Ok(())
            }
        }
    };
}

/// Numbers of a lane reach 2^63, so the sum of three lanes passes `u64`.
pub type Count = u128;

pub(crate) trait Sum {
    fn sum(&mut self, other: &Self);
    /// Every count, in order.
    fn each(&self, count: &mut impl FnMut(Count));
    /// Sets every count, in order.
    fn each_mut(
        &mut self,
        count: &mut impl FnMut() -> Result<Count, Damaged>,
    ) -> Result<(), Damaged>;
}
impl Sum for u64 {
    fn sum(&mut self, other: &Self) {
        *self += other;
    }
    fn each(&self, count: &mut impl FnMut(Count)) {
        count(Count::from(*self));
    }
    fn each_mut(
        &mut self,
        count: &mut impl FnMut() -> Result<Count, Damaged>,
    ) -> Result<(), Damaged> {
        *self = Self::try_from(count()?).map_err(|_| Damaged::Number)?;
        Ok(())
    }
}
impl Sum for Count {
    fn sum(&mut self, other: &Self) {
        *self += other;
    }
    fn each(&self, count: &mut impl FnMut(Self)) {
        count(*self);
    }
    fn each_mut(
        &mut self,
        count: &mut impl FnMut() -> Result<Self, Damaged>,
    ) -> Result<(), Damaged> {
        *self = count()?;
        Ok(())
    }
}

counts! {
    /// Messages read, by what their stamp is.
    Observed {
        /// Well-formed, of this stream and partition.
        valid: u64,
        /// No stamp.
        absent: u64,
        /// Not of the form.
        malformed: u64,
        /// A later version.
        unsupported: u64,
        /// Copied along from elsewhere.
        foreign: u64,
    }
}
counts! {
    /// Numbers that are lost now.
    Lost {
        /// Lost on the way to the broker.
        produce: Count,
        /// Lost by the broker.
        store: Count,
        /// Not handed over.
        consume: Count,
        /// Nothing proves where.
        undetermined: Count,
    }
}
counts! {
    /// Numbers that cannot be judged.
    Unknown {
        /// From before the checker joined.
        joined: Count,
        /// From while it was not looking.
        paused: Count,
        /// Dropped to keep memory bounded.
        evicted: Count,
        /// Possibly rolled back.
        transaction: Count,
    }
}
counts! {
    /// Repeats.
    Duplicates {
        /// Stored again.
        resent: u64,
        /// Handed over again.
        redelivered: u64,
        /// One or the other.
        undetermined: u64,
    }
}
counts! {
    /// Numbers that are absent by design.
    ByDesign {
        /// Rolled back.
        aborted: Count,
        /// Compacted away.
        compacted: Count,
        /// Outlived.
        expired: Count,
        /// Deleted by retention.
        retention: Count,
    }
}
counts! {
    /// All of it. `producers` is not a sum: names are counted once at each level.
    Totals {
        /// Messages read.
        observed: Observed,
        /// Numbers seen, each once.
        seen: u64,
        /// Numbers not judged yet.
        missing: Count,
        /// Numbers lost now.
        lost: Lost,
        /// Numbers that came after they had been judged lost.
        recovered: u64,
        /// Numbers refused.
        refused: Count,
        /// Numbers that cannot be judged.
        unknown: Unknown,
        /// Repeats.
        duplicates: Duplicates,
        /// Numbers that came late, before they were judged.
        reordered: u64,
        /// Numbers absent by design.
        by_design: ByDesign,
        /// Rows in state missing and lost.
        open_gaps: u64,
        /// Lanes known.
        lanes: u64,
        /// Lanes of which no ledger record came.
        lanes_without_ledger: u64,
        /// Distinct producer names.
        producers: u64,
        /// Times the log was cut back.
        log_cuts: u64,
    }
}

impl Totals {
    /// The counter of this state; `None` for [`State::LostInLog`], which is counted in the log.
    pub fn state_mut(&mut self, state: State) -> Option<&mut Count> {
        Some(match state {
            State::Missing => &mut self.missing,
            State::Lost(Stage::Produce) => &mut self.lost.produce,
            State::Lost(Stage::Store) => &mut self.lost.store,
            State::Lost(Stage::Consume) => &mut self.lost.consume,
            State::Lost(Stage::Undetermined) => &mut self.lost.undetermined,
            State::Refused => &mut self.refused,
            State::ByDesign(Cause::Aborted) => &mut self.by_design.aborted,
            State::ByDesign(Cause::Compacted) => &mut self.by_design.compacted,
            State::ByDesign(Cause::Expired) => &mut self.by_design.expired,
            State::ByDesign(Cause::Retention) => &mut self.by_design.retention,
            State::Unknown(Reason::Joined) => &mut self.unknown.joined,
            State::Unknown(Reason::Paused) => &mut self.unknown.paused,
            State::Unknown(Reason::Evicted) => &mut self.unknown.evicted,
            State::Unknown(Reason::Transaction) => &mut self.unknown.transaction,
            State::LostInLog => return None,
        })
    }

    /// The counter of this kind of repeat.
    pub fn repeat_mut(&mut self, repeat: Repeat) -> &mut u64 {
        match repeat {
            Repeat::Resent => &mut self.duplicates.resent,
            Repeat::Redelivered => &mut self.duplicates.redelivered,
            Repeat::Undetermined => &mut self.duplicates.undetermined,
        }
    }

    /// All that is lost now.
    #[must_use]
    pub fn lost_sum(&self) -> Count {
        let Lost { produce, store, consume, undetermined } = self.lost;
        produce + store + consume + undetermined
    }

    /// All repeats.
    #[must_use]
    pub fn duplicates_sum(&self) -> u64 {
        let Duplicates { resent, redelivered, undetermined } = self.duplicates;
        resent + redelivered + undetermined
    }

    /// The exit code of contracts §7: 1 lost or duplicated, 3 not all could be judged, 0 clean.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.lost_sum() > 0 || self.duplicates_sum() > 0 {
            return 1;
        }
        let Unknown { joined: _, paused, evicted, transaction } = self.unknown;
        let unjudged = self.missing + paused + evicted + transaction > 0;
        if unjudged || self.seen == 0 { 3 } else { 0 }
    }
}
