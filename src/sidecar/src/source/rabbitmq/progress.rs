//! How far a tap's queue was read: RabbitMQ gives back after an outage what was not acknowledged.

use std::collections::VecDeque;
use std::hash::RandomState;

use super::client::PREFETCH;

/// How far the tap's queue was read, to go on there after an outage.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) hasher: RandomState,
    /// Of a stream: the offset of the last message, and what it was.
    pub(super) last: Option<(u64, u32)>,
    /// Of a queue: the last messages, as many as the broker may send again.
    pub(super) handed: VecDeque<u64>,
    /// After an outage: from where in these it does.
    pub(super) again: Option<usize>,
}

impl Progress {
    /// Whether this message was read before the outage. A queue gives back what was not
    /// acknowledged, in its old order and before all else.
    pub(super) fn is_again(&mut self, message: u64, redelivered: bool) -> bool {
        let Some(from) = self.again.filter(|_| redelivered) else {
            self.again = None;
            return false;
        };
        let found = self.handed.range(from..).position(|&handed| handed == message);
        self.again = found.map(|found| from + found + 1);
        found.is_some()
    }

    pub(super) fn hand(&mut self, message: u64) {
        if self.handed.len() == usize::from(PREFETCH) {
            self.handed.pop_front();
        }
        self.handed.push_back(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_queue_gives_back_is_left_out_and_nothing_else() {
        let mut progress =
            Progress { handed: [1, 2, 3, 3, 4].into(), again: Some(0), ..Progress::default() };
        // The broker had heard of 1 and 2 only; 5 was on its way and never read.
        let again = [(3, true), (3, true), (4, true), (5, true), (6, false), (3, true)];
        let read = again.map(|(message, redelivered)| progress.is_again(message, redelivered));
        assert_eq!(read, [true, true, true, false, false, false]);
        // Not after an outage.
        assert!(!progress.is_again(4, true));
    }

    #[test]
    fn no_more_is_remembered_than_may_come_back() {
        let mut progress = Progress::default();
        (0..5_000).for_each(|message| progress.hand(message));
        assert_eq!(progress.handed.len(), usize::from(PREFETCH));
        assert_eq!(progress.handed.back(), Some(&4_999));
    }
}
