use lacuna_core::verdict::Cause;
use lacuna_core::{Checker, PartitionId, Watch};

/// Whether the broker may take single records out of a topic: its `cleanup.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// It does not.
    Kept,
    /// It does.
    Compacted,
    /// This client may not know, or the broker does not tell anyone.
    Untold,
}

impl Policy {
    pub(super) fn of(cleanup: &str) -> Self {
        if cleanup.contains("compact") { Self::Compacted } else { Self::Kept }
    }

    /// Whether an offset that is no more there may have been compacted.
    pub(super) const fn may_compact(self) -> bool {
        !matches!(self, Self::Kept)
    }

    /// Between these two offsets, the first one inclusive, no record was read: what a hole in the
    /// midst of a log means.
    #[inline]
    pub(super) fn pass_over(
        self,
        checker: &mut Checker,
        id: PartitionId,
        (first, next): (u64, u64),
        at: u64,
    ) {
        if first >= next {
            return;
        }
        match self {
            // The end of a transaction.
            Self::Kept => {}
            // Or of what was compacted.
            Self::Compacted => checker.absent(id, first, next - 1, Cause::Compacted, at),
            // Either: what is missing there may have been a record once.
            Self::Untold => {
                checker.watch(id, &Watch { position: Some(next), at, ..Watch::default() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lacuna_core::report::Filter;
    use lacuna_core::stamp::Encoder;
    use lacuna_core::{Observation, Settings, totals::Totals};

    use super::*;

    /// Numbers 0 and 2, with offset 1 empty in between.
    fn hole(policy: Policy) -> Totals {
        let mut checker = Checker::new(Settings::default());
        let id = checker.partition("log", "orders", "0").unwrap();
        let watch = Watch { from_start: true, position: Some(0), at: 1, ..Watch::default() };
        checker.watch(id, &watch);
        let mut encoder = Encoder::new("p", 1, "orders", "0").unwrap();
        for (position, seq) in [(0, 0), (2, 2)] {
            policy.pass_over(&mut checker, id, (position / 2, position), 2);
            let stamp = encoder.encode(seq).to_vec();
            checker.observe(
                id,
                &Observation {
                    position: Some(position),
                    at: 2,
                    time: None,
                    stamp: Some(&stamp),
                    redelivered: None,
                },
            );
        }
        checker.end(id, Some(3), 1_000_000);
        assert_eq!(checker.report(&Filter::default(), false).len(), 1);
        checker.totals()
    }

    #[test]
    fn a_hole_that_nobody_explains_is_no_loss_and_no_excuse() {
        let of = |policy| {
            let Totals { unknown, by_design, .. } = hole(policy);
            (hole(policy).lost_sum(), by_design.compacted, unknown.paused)
        };
        assert_eq!(of(Policy::Kept), (1, 0, 0));
        assert_eq!(of(Policy::Compacted), (0, 1, 0));
        assert_eq!(of(Policy::Untold), (0, 0, 1));
    }
}
