//! The counters of contracts §5: entries into every state, which never go down and are never fewer
//! than what is in that state now.

use std::collections::BTreeMap;

use lacuna_core::Checker;
use lacuna_core::totals::Totals;

use crate::compare::Difference;

/// The counters as they were read last, by view, stream and partition.
#[derive(Debug, Default)]
pub(super) struct Counters(BTreeMap<[String; 3], Totals>);

impl Counters {
    /// Reads all counters and holds them against the last time.
    pub(super) fn read(&mut self, checker: &mut Checker) -> Result<(), Difference> {
        for row in checker.metrics() {
            let place = [row.view, row.stream, row.partition];
            let before = self.0.insert(place.clone(), row.entered).unwrap_or_default();
            let counts = states(&before).zip(states(&row.entered)).zip(states(&row.totals));
            for (((name, before), (_, entered)), (_, now)) in counts {
                if entered < before || entered < now {
                    return Err(format!(
                        "core: {place:?} {name}: {entered} entered, {before} before, {now} now"
                    ));
                }
            }
            if events(&row.entered) != events(&row.totals) {
                return Err(format!("core: {place:?}: {:?} {:?}", row.entered, row.totals));
            }
        }
        Ok(())
    }
}

/// Numbers in each state.
fn states(totals: &Totals) -> impl Iterator<Item = (&'static str, u128)> {
    let Totals { lost, unknown, by_design, refused, .. } = totals;
    [
        ("lost, produce", lost.produce),
        ("lost, store", lost.store),
        ("lost, consume", lost.consume),
        ("lost, undetermined", lost.undetermined),
        ("refused", *refused),
        ("aborted", by_design.aborted),
        ("compacted", by_design.compacted),
        ("expired", by_design.expired),
        ("retention", by_design.retention),
        ("joined", unknown.joined),
        ("paused", unknown.paused),
        ("evicted", unknown.evicted),
        ("transaction", unknown.transaction),
    ]
    .into_iter()
}

/// What happens and stays: there is no other count of it.
fn events(totals: &Totals) -> impl PartialEq + use<> {
    let &Totals { observed, recovered, duplicates, reordered, log_cuts, .. } = totals;
    (observed, recovered, duplicates, reordered, log_cuts)
}
