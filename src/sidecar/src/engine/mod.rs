//! The engine: worker threads, each the only owner of a [`lacuna_core::Checker`] and of the taps
//! that fill it. Nothing is shared per message; a question travels to the workers as a closure and
//! comes back as plain rows.
//!
//! A partition belongs to one worker, with all its views. Lanes that run over a whole stream (`*`)
//! belong to one worker too, and the others tell it what concerns them ([`lacuna_core::Passed`]).
//! One worker is the default and keeps up with about a million messages a second.

mod asking;
mod batches;
mod dispatch;
mod findings;
mod handle;
mod meeting;
mod merge;
mod overview;
mod saving;
mod settings;
mod source;
mod switch;
mod taking;
#[cfg(test)]
mod tests;
mod worker;

pub use asking::Wanted;
pub use batches::{Batch, TooOld};
pub use handle::{Engine, ResumeError, Stopped};
pub(crate) use overview::stage_mut;
pub use overview::{Look, LostNow, Overview};
pub use settings::EngineSettings;
pub use source::{Changed, Opened, Source, SourceStatus, Tap};
pub use switch::Switch;
pub use taking::{Places, TakeError, Taken};
