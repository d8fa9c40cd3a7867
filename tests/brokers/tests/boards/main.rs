//! Boards and rules: their form, and that every query of every panel, asked of a real Prometheus that
//! scrapes a real sidecar, gives what was injected.
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod board;
mod expected;
mod form;
mod injected;
mod queries;
mod rules;
