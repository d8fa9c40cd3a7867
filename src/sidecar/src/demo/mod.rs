//! `lacuna demo`: the whole path on embedded brokers, with faults injected on purpose, and a table
//! that holds what was injected against what was found.
//!
//! ```text
//! producers ──► broker that acknowledges ──► the way that errs ──► broker ──► sidecar, consumer
//!     └──────────────── ledger (HTTP) ─────────────────────────────────────────►┘
//! ```
//!
//! What was injected is counted where it is injected: on the way, where messages are swallowed,
//! repeated or held, and by the consumer when it skips one or is handed one again. The engine that
//! finds it is the sidecar's own, and is told what the producers know.

mod broker;
mod client;
mod consumer;
mod pipe;
mod plan;
mod producer;
mod run;
mod table;
mod truth;

pub use run::{DemoError, run};
