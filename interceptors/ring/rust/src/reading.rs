/// How the members of a group read what it is handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A partition at a time is one member's, in order.
    Ordered,
    /// The same, and committed messages only.
    Committed,
    /// Members compete for each message: no order is promised, and no position is known.
    Competing,
}

impl Reading {
    pub(crate) const fn word(self) -> u64 {
        match self {
            Self::Ordered => 0,
            Self::Committed => 1,
            Self::Competing => 2,
        }
    }

    pub(crate) const fn of(word: u64) -> Option<Self> {
        match word {
            0 => Some(Self::Ordered),
            1 => Some(Self::Committed),
            2 => Some(Self::Competing),
            _ => None,
        }
    }
}
