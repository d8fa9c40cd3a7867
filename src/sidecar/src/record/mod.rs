//! The observation record (contracts §3) and the ledger (§2) as text: NDJSON, one object a line.

mod feed;
mod line;
mod parse;
mod plain;
mod read;
#[cfg(test)]
mod tests;

pub use feed::{Feed, TooManyPartitions};
pub use line::{Event, Ledger, Line, Message, Place};
pub use parse::LineError;
pub use read::{Lines, MAX_LINE, ReadError};
