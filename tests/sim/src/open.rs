//! Seeds whose difference between core and truth is known and open. The list may only shrink: a seed
//! on it that no longer differs fails the run as one off it that does.

/// Traffic of which neither side has been shown to be the one that reads the contract rightly; one
/// seed a line.
const SEEDS: &str = include_str!("../open-differences.txt");

/// Whether this seed's difference is known.
#[must_use]
pub fn is_open(seed: u64) -> bool {
    SEEDS.lines().any(|line| line.parse() == Ok(seed))
}
