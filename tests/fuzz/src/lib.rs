//! One function for everything that comes from outside: whatever bytes it is handed, it holds what
//! was made of them against a plain reading of the contracts, and panics where they part.
//!
//! libFuzzer drives them ([`libfuzzer_sys`], rust-fuzz's own binding): it follows the code, and what
//! it needs of the compiler is instrumentation that stable Rust has; only its sanitizers ask for
//! nightly, and without `unsafe` on these paths they would have little to find. What it kept lies in
//! `corpus`, and is played by a plain `cargo test`.

#![expect(clippy::panic, reason = "a target tells by panicking")]

mod bodies;
mod configuration;
mod ledger;
mod observations;
mod operations;
mod ring;
mod scenario;
mod stamp;
mod state;

/// Takes any bytes; panics where something is wrong.
pub type Target = fn(&[u8]);

/// All of them, by the names of their folders in `corpus`.
pub const TARGETS: [(&str, Target); 9] = [
    ("stamp", stamp::stamp),
    ("ledger", ledger::ledger),
    ("observations", observations::observations),
    ("configuration", configuration::configuration),
    ("bodies", bodies::bodies),
    ("ring", ring::ring),
    ("operations", operations::operations),
    ("scenario", scenario::scenario),
    ("state", state::state),
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|(other, _)| *other == name).map(|(_, target)| target)
}
