//! Saving what a checker knows, and going on with it.
//!
//! The state is many small records, each under a [`Key`]. [`Checker::save`](crate::Checker::save)
//! fixes an instant; the records that changed since the last one are written as they were at it, a
//! bounded number at a time, while the checker goes on. Applied together they make the state of that
//! instant, which [`Loader`] reads back. A partition's records are its own, and name others by number.
//!
//! ```text
//! save ─► heads, lists ┐
//! save_more ─► blocks  ┴─► together: one instant ─► Loader ─► the same checker
//! ```

mod blocks;
mod bytes;
mod cells;
mod early;
mod findings;
mod holes;
mod key;
mod lanes;
mod ledgers;
mod lists;
mod load;
mod memory;
mod names;
mod ranges;
mod save;
mod totals;
mod view;

pub(crate) use blocks::Blocks;
pub(crate) use bytes::Take;
pub(crate) use cells::Cells;
pub use key::{Key, Kind};
pub use lists::Sink;
pub(crate) use lists::{List, Segment};
pub use load::Loader;
pub(crate) use names::Names;
pub(crate) use ranges::{read as read_ranges, write as write_ranges};
pub(crate) use save::{Block, Saving, block_of};

/// The version of what records hold. A checker reads its own version only.
pub const VERSION: u32 = 1;

/// Why bytes are no saved state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damaged {
    /// It ends too early.
    Short,
    /// Something follows its end.
    Long,
    /// A number that cannot be there.
    Number,
    /// A name that is none.
    Text,
    /// What must ascend does not.
    Order,
    /// A key of no kind that is known.
    Key,
    /// A record belongs to something that is not there.
    Orphan,
}

impl core::fmt::Display for Damaged {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Short => "it ends too early",
            Self::Long => "something follows its end",
            Self::Number => "a number cannot be there",
            Self::Text => "a name is none",
            Self::Order => "what must ascend does not",
            Self::Key => "its key is of no known kind",
            Self::Orphan => "what it belongs to is not there",
        })
    }
}

impl core::error::Error for Damaged {}
