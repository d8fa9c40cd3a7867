//! Several workers' rows as one. A partition is one worker's, a stream's partitions may be several'.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use lacuna_core::report::{self, StreamRow};
use lacuna_core::totals::Totals;

/// A worker's rows, and of each the digests of its producers' names.
pub(super) type Part = Vec<(StreamRow, BTreeSet<u64>)>;

/// A producer that several workers know counts once.
pub(super) fn streams(parts: Vec<Part>) -> Vec<StreamRow> {
    let mut names: HashMap<(String, String), BTreeSet<u64>> = HashMap::new();
    for (row, own) in parts.iter().flatten() {
        let key = (row.view.clone(), row.stream.clone());
        names.entry(key).or_default().extend(own);
    }
    let rows = |part: Part| part.into_iter().map(|(row, _)| row).collect();
    let mut rows = report::join(parts.into_iter().map(rows).collect());
    for row in &mut rows {
        let own = names.get(&(row.view.clone(), row.stream.clone()));
        row.totals.producers = own.map_or(0, |own| own.len() as u64);
    }
    rows
}

/// The sum; a producer that several workers know counts once.
pub(super) fn totals(parts: Vec<(Totals, BTreeSet<u64>)>) -> Totals {
    let mut sum = Totals::default();
    let mut names = BTreeSet::new();
    for (totals, own) in parts {
        sum += &totals;
        names.extend(own);
    }
    sum.producers = names.len() as u64;
    sum
}

/// The streams that no worker watches.
pub(super) fn unwatched(parts: Vec<BTreeMap<String, bool>>) -> Vec<String> {
    let mut streams = BTreeMap::new();
    for (stream, watched) in parts.into_iter().flatten() {
        *streams.entry(stream).or_insert(false) |= watched;
    }
    streams.into_iter().filter(|(_, watched)| !watched).map(|(stream, _)| stream).collect()
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
        let part = |names: &[u64]| {
            let names: BTreeSet<u64> = names.iter().copied().collect();
            (Totals { producers: names.len() as u64, lanes: 2, ..Totals::default() }, names)
        };
        let sum = totals(vec![part(&[1, 2]), part(&[2, 3])]);
        assert_eq!((sum.producers, sum.lanes), (3, 4));
    }

    #[test]
    fn a_stream_is_unwatched_only_where_no_worker_watches_it() {
        let part = |of: &[(&str, bool)]| {
            of.iter().map(|&(name, watched)| (name.to_owned(), watched)).collect()
        };
        let parts = vec![part(&[("a", false), ("b", false)]), part(&[("a", true), ("c", true)])];
        assert_eq!(unwatched(parts), ["b"]);
    }
}
