//! Several workers' rows as one. A stream is one worker's, so its rows are whole already.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use lacuna_core::report::StreamRow;
use lacuna_core::totals::Totals;

pub(super) fn streams(parts: Vec<Vec<StreamRow>>) -> Vec<StreamRow> {
    let mut rows: Vec<StreamRow> = parts.into_iter().flatten().collect();
    rows.sort_by(|a, b| (&a.stream, &a.view).cmp(&(&b.stream, &b.view)));
    rows
}

/// The producers' names in rows that have their lanes.
pub(super) fn producers(rows: &[StreamRow]) -> BTreeSet<String> {
    rows.iter()
        .flat_map(|stream| &stream.partitions)
        .flat_map(|partition| &partition.lanes)
        .map(|lane| lane.producer.clone())
        .collect()
}

/// The sum; a producer that several workers know counts once.
pub(super) fn totals(parts: Vec<(Totals, BTreeSet<String>)>) -> Totals {
    let mut sum = Totals::default();
    let mut names = BTreeSet::new();
    // Producers whose lanes were all retired have no name any more.
    let mut nameless = 0;
    for (totals, own) in parts {
        nameless += totals.producers.saturating_sub(own.len() as u64);
        sum += &totals;
        names.extend(own);
    }
    sum.producers = names.len() as u64 + nameless;
    sum
}

/// What all of them say: every worker hears every ledger, and one of them may watch its stream.
pub(super) fn common(parts: Vec<Vec<String>>) -> Vec<String> {
    let mut parts = parts.into_iter();
    let mut common = parts.next().unwrap_or_default();
    for part in parts {
        common.retain(|stream| part.contains(stream));
    }
    common
}

/// Makes the numbers that several workers gave their repeats one order: worker *i* of *n* has those
/// that leave *i*.
#[derive(Clone, Copy)]
pub(super) struct Ages(u64);

impl Ages {
    pub(super) fn of(workers: usize) -> Self {
        Self(workers.max(1) as u64)
    }

    pub(super) fn global(self, worker: usize, age: u64) -> u64 {
        age.saturating_mul(self.0).saturating_add(worker as u64)
    }

    /// The worker's own ages below this one are those whose global ages are.
    pub(super) fn before(self, worker: usize, age: Option<u64>) -> Option<u64> {
        age.map(|age| age.saturating_sub(worker as u64).div_ceil(self.0))
    }
}

/// The newest of all.
pub(super) fn newest<T>(parts: Vec<Vec<T>>, age: impl Fn(&T) -> u64, limit: usize) -> Vec<T> {
    let mut rows: Vec<T> = parts.into_iter().flatten().collect();
    rows.sort_by_key(|row| Reverse(age(row)));
    rows.truncate(limit);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_of_several_workers_page_without_loss_or_repeat() {
        let ages = Ages::of(3);
        let all: Vec<u64> =
            (0..3).flat_map(|w| (0..5).map(move |age| ages.global(w, age))).collect();
        for &cursor in &all {
            let below: Vec<u64> = (0..3)
                .flat_map(|w| {
                    let before = ages.before(w, Some(cursor)).unwrap();
                    (0..5).filter(move |&age| age < before).map(move |age| ages.global(w, age))
                })
                .collect();
            assert_eq!(below, all.iter().copied().filter(|&age| age < cursor).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_producer_known_to_two_workers_counts_once() {
        let part = |names: &[&str], producers| {
            let totals = Totals { producers, lanes: 2, ..Totals::default() };
            (totals, names.iter().map(|&name| name.to_owned()).collect())
        };
        let sum = totals(vec![part(&["a", "b"], 2), part(&["b", "c"], 3)]);
        assert_eq!((sum.producers, sum.lanes), (4, 4));
    }

    #[test]
    fn a_stream_is_unwatched_only_where_every_worker_says_so() {
        let part = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(common(vec![part(&["a", "b"]), part(&["b"])]), ["b"]);
    }
}
