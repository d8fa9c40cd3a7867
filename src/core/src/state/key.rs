//! What a record of the saved state is about.

use super::Damaged;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:expr,)*) => {
        /// What a record holds. They are loaded in this order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[$doc])* $name = $number,)* }

        impl Kind {
            const fn of(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// What all share.
    Head = 1,
    /// A stream: its name, views and partitions; `cell` is its number.
    Stream = 2,
    /// A block of lanes' names in a partition.
    Names = 3,
    /// What ledgers say of a block of lanes.
    Ledgers = 4,
    /// A partition in a view, without its lanes.
    View = 5,
    /// A block of lanes in a view.
    Lanes = 6,
    /// What stands beside the findings of a block of lanes in a view.
    Evidence = 7,
    /// Ranges of positions that were read.
    Observed = 8,
    /// Ranges of positions that count as read.
    Covered = 9,
    /// Ranges of positions that hold nothing: rolled back.
    Aborted = 10,
    /// Compacted away.
    Compacted = 11,
    /// Outlived.
    Expired = 12,
    /// Deleted by retention.
    Retention = 13,
    /// What stood where in a log.
    CutMemory = 14,
    /// When positions of a log were read.
    ReadTimes = 15,
    /// Repeats, newest last.
    Duplicates = 16,
    /// What came after it was judged lost.
    Recovered = 17,
    /// Lanes that were retired.
    Retired = 18,
}

/// Names a record. The parts that a kind has no use for are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What it holds.
    pub kind: Kind,
    /// The partition's number among all, or the stream's.
    pub cell: u32,
    /// The view's among its stream's.
    pub view: u16,
    /// Which block, or which piece of a list.
    pub index: u64,
}

impl Key {
    /// Bytes of a key.
    pub const LEN: usize = 15;

    pub(crate) const fn new(kind: Kind, cell: u32, view: u16, index: u64) -> Self {
        Self { kind, cell, view, index }
    }

    /// As bytes, whose order is the keys'.
    #[must_use]
    pub fn bytes(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[0] = self.kind as u8;
        out[1..5].copy_from_slice(&self.cell.to_be_bytes());
        out[5..7].copy_from_slice(&self.view.to_be_bytes());
        out[7..].copy_from_slice(&self.index.to_be_bytes());
        out
    }

    /// Reads what [`Self::bytes`] wrote.
    ///
    /// # Errors
    /// Another length, or a kind that is not known.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damaged> {
        let (head, index) = bytes.split_last_chunk::<8>().ok_or(Damaged::Key)?;
        let (head, view) = head.split_last_chunk::<2>().ok_or(Damaged::Key)?;
        let (kind, cell) = head.split_last_chunk::<4>().ok_or(Damaged::Key)?;
        let &[kind] = kind else { return Err(Damaged::Key) };
        let kind = Kind::of(kind).ok_or(Damaged::Key)?;
        let (cell, view) = (u32::from_be_bytes(*cell), u16::from_be_bytes(*view));
        Ok(Self { kind, cell, view, index: u64::from_be_bytes(*index) })
    }
}
