//! Boards and rules: their form, and that every query of every panel, asked of a real Prometheus that
//! scrapes a real sidecar, gives what was injected.

mod expected;
mod form;
mod injected;
mod queries;
mod rules;
