//! The order in which ledger, log and groups arrive does not matter.

use std::fmt::Write as _;

use lacuna_sim::stages::{account, run_seed};

const HISTORIES: u64 = 1_000;
/// Enough to see whether they are alike; the rest are counted.
const SHOWN: u64 = 3;

#[test]
fn what_is_found_is_what_was_drawn_in_every_order() {
    let mut failed: u64 = 0;
    let mut accounts = String::new();
    // A core that stops is told with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    for seed in 0..HISTORIES {
        if let Err(difference) = run_seed(seed) {
            failed += 1;
            if failed <= SHOWN {
                let (history, failure) = *difference;
                writeln!(accounts, "{}", account(seed, &history, &failure)).unwrap();
            }
        }
    }
    drop(std::panic::take_hook());
    assert_eq!(failed, 0, "of {HISTORIES} histories {failed} differ\n{accounts}");
}
