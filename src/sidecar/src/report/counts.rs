//! Totals in the one shape that they have everywhere.

use lacuna_core::totals::{ByDesign, Count, Duplicates, Lost, Observed, Totals, Unknown};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Totals as JSON: exact integers, every member; or, `sparse`, only what is not zero.
#[derive(Clone, Copy, Debug)]
pub struct Counts<'a> {
    /// What is counted.
    pub totals: &'a Totals,
    /// Leave out what is zero.
    pub sparse: bool,
}

impl Serialize for Counts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Taken apart in full, so that a new count cannot be forgotten.
        let Totals {
            observed: Observed { valid, absent, malformed, unsupported, foreign },
            seen,
            missing,
            lost: Lost { produce, store, consume, undetermined },
            recovered,
            refused,
            unknown: Unknown { joined, paused, evicted, transaction },
            duplicates: Duplicates { resent, redelivered, undetermined: unclear },
            reordered,
            by_design: ByDesign { aborted, compacted, expired, retention },
            open_gaps,
            lanes,
            lanes_without_ledger,
            producers,
            log_cuts,
        } = *self.totals;
        let mut map = Map { map: serializer.serialize_map(None)?, sparse: self.sparse };
        map.group(
            "observed",
            &[
                ("valid", valid.into()),
                ("absent", absent.into()),
                ("malformed", malformed.into()),
                ("unsupported", unsupported.into()),
                ("foreign", foreign.into()),
            ],
        )?;
        map.count("seen", seen.into())?;
        map.count("missing", missing)?;
        map.group(
            "lost",
            &[
                ("produce", produce),
                ("store", store),
                ("consume", consume),
                ("undetermined", undetermined),
            ],
        )?;
        map.count("recovered", recovered.into())?;
        map.count("refused", refused)?;
        map.group(
            "unknown",
            &[
                ("joined", joined),
                ("paused", paused),
                ("evicted", evicted),
                ("transaction", transaction),
            ],
        )?;
        map.group(
            "duplicates",
            &[
                ("resent", resent.into()),
                ("redelivered", redelivered.into()),
                ("undetermined", unclear.into()),
            ],
        )?;
        map.count("reordered", reordered.into())?;
        map.group(
            "by_design",
            &[
                ("aborted", aborted),
                ("compacted", compacted),
                ("expired", expired),
                ("retention", retention),
            ],
        )?;
        map.count("open_gaps", open_gaps.into())?;
        map.count("lanes", lanes.into())?;
        map.count("lanes_without_ledger", lanes_without_ledger.into())?;
        map.count("producers", producers.into())?;
        map.count("log_cuts", log_cuts.into())?;
        map.map.end()
    }
}

struct Map<M> {
    map: M,
    sparse: bool,
}

impl<M: SerializeMap> Map<M> {
    fn count(&mut self, name: &str, count: Count) -> Result<(), M::Error> {
        if self.sparse && count == 0 {
            return Ok(());
        }
        self.map.serialize_entry(name, &count)
    }

    fn group(&mut self, name: &str, counts: &[(&str, Count)]) -> Result<(), M::Error> {
        if self.sparse && counts.iter().all(|(_, count)| *count == 0) {
            return Ok(());
        }
        self.map.serialize_entry(name, &Group { counts, sparse: self.sparse })
    }
}

struct Group<'a> {
    counts: &'a [(&'a str, Count)],
    sparse: bool,
}

impl Serialize for Group<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = self.counts.iter().filter(|(_, count)| !self.sparse || *count > 0);
        serializer.collect_map(shown.copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_stands_under_its_own_name() {
        let totals = Totals {
            observed: Observed { valid: 1, absent: 2, malformed: 3, unsupported: 4, foreign: 5 },
            seen: 6,
            missing: 7,
            lost: Lost { produce: 8, store: 9, consume: 10, undetermined: 11 },
            recovered: 12,
            refused: Count::MAX,
            unknown: Unknown { joined: 13, paused: 14, evicted: 15, transaction: 16 },
            duplicates: Duplicates { resent: 17, redelivered: 18, undetermined: 19 },
            reordered: 20,
            by_design: ByDesign { aborted: 21, compacted: 22, expired: 23, retention: 24 },
            open_gaps: 25,
            lanes: 26,
            lanes_without_ledger: 27,
            producers: 28,
            log_cuts: u64::MAX,
        };
        let expected = r#"{"observed":{"valid":1,"absent":2,"malformed":3,"unsupported":4,"foreign":5},"seen":6,"missing":7,"lost":{"produce":8,"store":9,"consume":10,"undetermined":11},"recovered":12,"refused":340282366920938463463374607431768211455,"unknown":{"joined":13,"paused":14,"evicted":15,"transaction":16},"duplicates":{"resent":17,"redelivered":18,"undetermined":19},"reordered":20,"by_design":{"aborted":21,"compacted":22,"expired":23,"retention":24},"open_gaps":25,"lanes":26,"lanes_without_ledger":27,"producers":28,"log_cuts":18446744073709551615}"#;
        for sparse in [false, true] {
            let json = serde_json::to_string(&Counts { totals: &totals, sparse }).unwrap();
            assert_eq!(json, expected);
        }
    }

    #[test]
    fn sparse_ones_leave_out_what_is_zero() {
        let lost = Lost { store: 1, ..Lost::default() };
        let totals = Totals { seen: 2, lost, ..Totals::default() };
        let json = serde_json::to_string(&Counts { totals: &totals, sparse: true }).unwrap();
        assert_eq!(json, r#"{"seen":2,"lost":{"store":1}}"#);
    }
}
