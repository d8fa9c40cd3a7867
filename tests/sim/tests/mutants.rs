//! Every deliberately broken core is caught within a thousand seeds.
#![cfg(feature = "mutants")]

use lacuna_core::mutants::{Mutant, set};
use lacuna_sim::trial::run_seed;

const SEEDS: u64 = 1_000;

/// One test for all: which mutant runs is a setting of the whole thread.
#[test]
fn every_mutant_is_caught() {
    // A mutant that stops is caught like any other.
    std::panic::set_hook(Box::new(|_| {}));
    set(None);
    // Only what the core itself passes can catch a mutant.
    let passed: Vec<u64> = (0..SEEDS).filter(|&seed| run_seed(seed, 1).is_ok()).collect();
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        set(Some(mutant));
        if passed.iter().all(|&seed| run_seed(seed, 1).is_ok()) {
            missed.push(mutant);
        }
    }
    set(None);
    drop(std::panic::take_hook());
    assert!(missed.is_empty(), "not caught within {SEEDS} seeds: {missed:?}");
}
