//! State that lasts: what the workers know is kept in a file, and a start goes on from it.

mod form;
mod history;
mod keeper;
pub mod keys;
mod look;
mod restored;
mod store;

pub use history::{Bounds, Finding, Wanted, read as read_findings};
pub(crate) use history::{newest as newest_finding, read_after as read_findings_after};
pub use keeper::{Ended, Health, Keeper, Part};
pub use look::{LookError, export, inspect};
pub use restored::{Restored, Resumed};
pub use store::{Record, Store, StoreError, Writes};
