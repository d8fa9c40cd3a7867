//! Watched consumer groups: how far they have committed, and what the log no longer holds of what
//! they have not.

mod retention;
mod rows;

pub use retention::{Look, Retention};
pub use rows::{Finding, GroupRow, PartitionRow};
