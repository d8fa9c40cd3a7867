//! Ten thousand seeds: found equals truth, and the truth equals what was injected.

use std::fmt::Write as _;

use lacuna_sim::open::is_open;
use lacuna_sim::oracle::Oracle;
use lacuna_sim::traffic::generate;
use lacuna_sim::trial::{account, run_seed};
use lacuna_sim::{ground, line};

const SEEDS: u64 = 10_000;
/// Enough to see whether they are alike; the rest are counted.
const SHOWN: u64 = 3;

#[test]
fn found_equals_truth() {
    found_by(1);
}

/// Partitions are shared among several cores, and lanes `*` belong to one of them.
#[test]
fn several_cores_find_the_same() {
    found_by(3);
}

#[expect(clippy::unwrap_used, reason = "a string takes all that is written")]
fn found_by(checkers: usize) {
    let mut failed: u64 = 0;
    let mut accounts = String::new();
    // A core that stops is told with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    for seed in 0..SEEDS {
        let run = run_seed(seed, checkers);
        if is_open(seed) {
            assert!(
                run.is_err() || checkers > 1,
                "seed {seed} no longer differs: take it off the list"
            );
            continue;
        }
        if let Err(difference) = run {
            failed += 1;
            if failed <= SHOWN {
                let (scenario, failure) = *difference;
                writeln!(accounts, "{}", account(seed, checkers, &scenario, &failure)).unwrap();
            }
        }
    }
    drop(std::panic::take_hook());
    assert_eq!(failed, 0, "of {SEEDS} seeds {failed} differ by {checkers} cores\n{accounts}");
}

#[test]
fn truth_equals_what_was_injected() {
    let mut told = 0;
    for seed in 0..SEEDS {
        let scenario = generate(seed);
        let mut oracle = Oracle::new(scenario.knobs.grace, scenario.knobs.skew);
        for line in &scenario.lines {
            oracle.apply(line);
        }
        oracle.complete();
        match ground::check(&scenario, &oracle) {
            None => {}
            Some(Ok(())) => told += 1,
            Some(Err(difference)) => {
                let lines: Vec<String> = scenario.lines.iter().map(line::Line::to_string).collect();
                panic!("seed {seed}: {difference}\n{}", lines.join("\n"));
            }
        }
    }
    assert!(told > SEEDS / 20, "only {told} scenarios could be told number by number");
}

#[test]
fn a_seed_replays() {
    for seed in [0, 1, 77] {
        assert_eq!(generate(seed).lines, generate(seed).lines);
    }
    assert_ne!(generate(1).lines, generate(2).lines);
}
