//! `lacuna demo`: the whole path on an embedded broker, with faults injected on purpose, and a
//! table that holds what was injected against what was found.
//!
//! What was injected is counted where it is injected: by the producers when they swallow, repeat or
//! hold a message, and by the consumer when it skips one or is handed one again. The engine that
//! finds it is the sidecar's own, and is told nothing.

mod broker;
mod consumer;
mod plan;
mod producer;
mod run;
mod table;
mod truth;

pub use run::{DemoError, run};
