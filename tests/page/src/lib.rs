//! The harness of the page's tests: the sidecar's own binary, traffic with known faults posted to it,
//! and a real Chromium that looks at what it serves.
#![expect(clippy::panic, reason = "a harness fails a test by panicking")]

pub mod browser;
pub mod sidecar;
pub mod tab;
pub mod traffic;
