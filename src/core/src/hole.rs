//! A range of numbers that were not seen, and what is known of them.

use crate::verdict::{Cause, Reason, State};

/// What is known of a hole apart from ledger and other views: one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fact(u8);

impl Fact {
    const JUDGED: u8 = 1;
    const AT_END: u8 = 2;
    const PAST: u8 = 4;

    pub(crate) fn bits(self) -> u8 {
        self.0
    }
    pub(crate) fn of_bits(bits: u8) -> Self {
        Self(bits)
    }
    /// Time and progress have passed: absent for good, as far as this view can tell.
    pub(crate) fn judged(self) -> bool {
        self.0 & Self::JUDGED != 0
    }
    /// Judged because the recording was said to be whole.
    pub(crate) fn at_end(self) -> bool {
        self.0 & Self::AT_END != 0
    }
    /// Every watched partition is past it (lane `*` only).
    pub(crate) fn past(self) -> bool {
        self.0 & Self::PAST != 0
    }
    pub(crate) fn with_judged(self, judged: bool, at_end: bool) -> Self {
        let cleared = self.0 & !(Self::JUDGED | Self::AT_END);
        let end = if judged && at_end { Self::AT_END } else { 0 };
        Self(cleared | if judged { Self::JUDGED } else { 0 } | end)
    }
    pub(crate) fn with_past(self, past: bool) -> Self {
        Self((self.0 & !Self::PAST) | if past { Self::PAST } else { 0 })
    }
    /// Why it cannot be judged.
    pub(crate) fn unknown(self) -> Option<Reason> {
        match self.0 >> 3 & 3 {
            1 => Some(Reason::Joined),
            2 => Some(Reason::Paused),
            3 => Some(Reason::Evicted),
            _ => None,
        }
    }
    pub(crate) fn with_unknown(self, reason: Option<Reason>) -> Self {
        let bits = match reason {
            None | Some(Reason::Transaction) => 0,
            Some(Reason::Joined) => 1,
            Some(Reason::Paused) => 2,
            Some(Reason::Evicted) => 3,
        };
        Self(self.0 & !(3 << 3) | bits << 3)
    }
    /// What the source named as its positions' cause.
    pub(crate) fn cause(self) -> Option<Cause> {
        match self.0 >> 5 & 7 {
            1 => Some(Cause::Aborted),
            2 => Some(Cause::Compacted),
            3 => Some(Cause::Expired),
            4 => Some(Cause::Retention),
            _ => None,
        }
    }
    pub(crate) fn with_cause(self, cause: Option<Cause>) -> Self {
        let bits = match cause {
            None => 0,
            Some(Cause::Aborted) => 1,
            Some(Cause::Compacted) => 2,
            Some(Cause::Expired) => 3,
            Some(Cause::Retention) => 4,
        };
        Self(self.0 & !(7 << 5) | bits << 5)
    }
}

/// A range of unseen numbers of which the same is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// From when its grace runs, in the view's time.
    pub(crate) opened: u64,
    pub(crate) fact: Fact,
    pub(crate) state: State,
}

impl Hole {
    pub(crate) fn len(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Whether this is the other's continuation, alike in all.
    pub(crate) fn continues(&self, left: &Self) -> bool {
        left.last.wrapping_add(1) == self.first
            && (left.opened, left.fact, left.state) == (self.opened, self.fact, self.state)
    }
}

/// Whether rows of this state are open gaps.
pub(crate) fn is_open(state: State) -> bool {
    matches!(state, State::Missing | State::Lost(_))
}
