//! Ledger records against contracts §2; several records of a lane are told to a checker.

use std::collections::BTreeSet;

use lacuna::record::Ledger;
use lacuna_core::report::Filter;
use lacuna_core::{Checker, Settings, Watch};

pub(crate) fn ledger(data: &[u8]) {
    let mut checker = Checker::new(Settings::default());
    for (line, at) in data.split(|&b| b == b'\n').take(16).zip(1..) {
        let Ok(ledger) = Ledger::parse(line) else { continue };
        let record = ledger.record();
        assert!(record.from <= record.next && record.next <= 1 << 63);
        let lists = [&record.pending, &record.unanswered, &record.refused, &record.aborted];
        let mut ends = BTreeSet::new();
        for &(first, last) in lists.into_iter().flatten() {
            assert!(record.from <= first && first <= last && last < record.next);
            // An end that stands below another one's, with that one's beginning below it, is within.
            assert!(ends.insert((last, first)), "twice");
        }
        for (one, other) in ends.iter().zip(ends.iter().skip(1)) {
            assert!(one.0 < other.1, "{one:?} and {other:?} overlap");
        }
        if let Some(id) = checker.partition("log", record.stream, record.lane) {
            checker.watch(id, &Watch { from_start: true, at, ..Watch::default() });
            checker.end(id, None, at);
        }
        let taken = checker.ledger(&record, Some(at));
        assert!(taken.is_ok(), "{taken:?}: parsed, and refused by the core");
        let rows = checker.report(&Filter::default(), true);
        let lanes = rows.iter().flat_map(|row| &row.partitions).flat_map(|row| &row.lanes);
        for lane in lanes {
            assert!(lane.next <= 1 << 63);
        }
    }
}
