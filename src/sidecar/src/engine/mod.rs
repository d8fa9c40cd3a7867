//! The engine: worker threads, each the only owner of a [`lacuna_core::Checker`] and of the taps
//! that fill it. Nothing is shared per message; a question travels to the workers as a closure and
//! comes back as plain rows.
//!
//! A stream belongs to one worker, with all its partitions and views: lanes that run over the whole
//! stream (`*`) and a group's view beside the log's need one checker that sees them all. One worker
//! is the default and keeps up with about a million messages a second; more of them help where
//! several streams share the load.

mod findings;
mod handle;
mod merge;
mod settings;
mod source;
mod switch;
#[cfg(test)]
mod tests;
mod worker;

pub use handle::{Engine, Stopped, Wanted};
pub use settings::EngineSettings;
pub use source::{Opened, Source, SourceStatus, Tap};
pub use switch::Switch;
