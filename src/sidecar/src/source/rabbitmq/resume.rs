//! What a restart goes on with: a queue has no positions, so those that were given to its messages
//! must not be given again.
//!
//! What was read and not kept yet is not in the queue any more, and nobody knows how much that was: the
//! first position of a run lies so far above the last one kept that the views see that something was
//! passed over, and what lies between is unknown (paused).

use crate::state::Resumed;

/// More than any run reads between two instants that are kept.
const APART: u64 = 1 << 32;

/// The record's name for each tap.
pub(super) fn name(tap: usize) -> String {
    format!("read/{tap}")
}

/// The position of this run's first message; `None`: no run was before it.
pub(super) fn first(records: Option<&Resumed>) -> Option<u64> {
    let numbers = records?.values().filter_map(|value| str::from_utf8(value).ok()?.parse().ok());
    numbers.max().map(|highest: u64| highest.saturating_add(APART))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_far_above_all_that_were_before_it() {
        assert_eq!(first(None), None);
        assert_eq!(first(Some(&Resumed::new())), None);
        let kept = [(0, "17"), (1, "4")];
        let kept = kept.map(|(tap, read)| (name(tap), read.as_bytes().to_vec()));
        assert_eq!(first(Some(&kept.into())), Some(17 + APART));
    }
}
