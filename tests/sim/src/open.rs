//! Seeds whose difference between core and truth is known and open. The lists may only shrink: a
//! seed on one that no longer differs fails the run as one off it that does.

/// Traffic of which neither side has been shown to be the one that reads the contract rightly; one
/// seed a line.
const SEEDS: &str = include_str!("../open-differences.txt");
/// Histories in which the core does not find what was drawn; one seed a line.
const HISTORIES: &str = include_str!("../open-histories.txt");

/// Whether this seed's difference is known.
#[must_use]
pub fn is_open(seed: u64) -> bool {
    lists(SEEDS, seed)
}

/// Whether this history's difference is known.
#[must_use]
pub fn is_open_history(seed: u64) -> bool {
    lists(HISTORIES, seed)
}

fn lists(list: &str, seed: u64) -> bool {
    list.lines().any(|line| line.parse() == Ok(seed))
}
