//! `lacuna report`, `gaps` and `duplicates`: what a running sidecar says, in a terminal.

mod ask;
mod sheet;
mod show;

pub use ask::RemoteError;
pub use show::{duplicates, gaps, report};
