//! The harness of the broker tests: a real Kafka, the sidecar's own binary, and producers and
//! consumers in processes of their own, all on loopback.
//!
//! What a test expects is computed in [`truth`] from two witnesses: what Kafka's own tools say is
//! in the log ([`broker`]), and what the producing and consuming processes wrote into files of
//! their own. It is never derived from what was meant to be injected, and shares no code with the
//! checker.
#![expect(clippy::panic, reason = "a harness fails a test by panicking")]
#![expect(clippy::disallowed_methods, reason = "deadlines of real processes need the real clock")]

pub mod arguments;
pub mod board;
pub mod broker;
pub mod clock;
pub mod consumer;
pub mod documents;
pub mod files;
pub mod http;
pub mod ledger;
pub mod process;
pub mod producer;
pub mod prometheus;
pub mod proxy;
pub mod rabbitmq;
pub mod relay;
pub mod sidecar;
pub mod stub;
pub mod truth;
pub mod verify;
pub mod wait;

use std::path::{Path, PathBuf};

/// The project's own directory.
///
/// # Panics
/// If the crate was moved.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/brokers").to_owned()
}
