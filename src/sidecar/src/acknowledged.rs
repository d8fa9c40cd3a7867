//! What people have dealt with: exact numbers of a lane in a view, so that what is lost beside them
//! later is news again.
//!
//! It is state of its own: no rule of judging knows of it. As JSON it is a list, which
//! [`Acknowledgements`] is read from and written as.

use std::collections::{BTreeMap, BTreeSet};

use lacuna_core::report::{Filter, GapRow};
use serde::{Deserialize, Serialize};

/// Acknowledgements that are kept. None is ever dropped for room, for that would raise an alarm
/// anew; beyond it no more are taken.
const MOST: usize = 100_000;
/// Lanes that are looked up one by one; for more of them all rows are looked through once.
const MOST_FILTERS: usize = 32;

/// That a person has dealt with some lost numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Whose numbers.
    #[serde(flatten)]
    pub lane: Lane,
    /// First number, inclusive.
    pub first: u64,
    /// Last number, inclusive.
    pub last: u64,
    /// What was said of them.
    #[serde(flatten)]
    pub said: Said,
}

/// A lane in a view.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lane {
    /// The view.
    pub view: String,
    /// The stream.
    pub stream: String,
    /// The partition, or `*`.
    pub partition: String,
    /// The lane's label.
    pub lane: String,
    /// The producer.
    pub producer: String,
    /// The producer's epoch.
    pub epoch: u64,
}

/// Who acknowledged, when, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Who.
    pub by: String,
    /// Why; may be empty.
    pub note: String,
    /// When, ms since the Unix epoch.
    pub at: u64,
}

/// No more acknowledgements are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST} acknowledgements are kept at most: take back those that are no longer needed")]
pub struct Full;

/// All of them. Those of one lane are sorted and disjoint: the newest word on a number holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Acknowledgement>", into = "Vec<Acknowledgement>")]
pub struct Acknowledgements {
    lanes: BTreeMap<Lane, Vec<Range>>,
    count: usize,
    /// Grows with every change.
    revision: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    first: u64,
    last: u64,
    said: Said,
}

impl Lane {
    fn of(row: &GapRow) -> Self {
        Self {
            view: row.view.clone(),
            stream: row.stream.clone(),
            partition: row.partition.clone(),
            lane: row.lane.clone(),
            producer: row.producer.clone(),
            epoch: row.epoch,
        }
    }
}

impl Acknowledgements {
    /// Takes this of the row's numbers; it stands instead of what was said of them before.
    ///
    /// # Errors
    /// There are too many already.
    pub fn add(&mut self, row: &GapRow, said: Said) -> Result<(), Full> {
        if self.count >= MOST {
            return Err(Full);
        }
        self.put(Acknowledgement { lane: Lane::of(row), first: row.first, last: row.last, said });
        Ok(())
    }

    /// Takes back what was said of the row's numbers.
    pub fn remove(&mut self, row: &GapRow) {
        self.clear(&Lane::of(row), row.first, row.last);
        self.revision += 1;
    }

    /// Grows with every change.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The row in parts, each with what was said of all of its numbers.
    #[must_use]
    pub fn split(&self, row: GapRow) -> Vec<(GapRow, Option<Said>)> {
        let Some(ranges) = self.ranges(&row) else { return vec![(row, None)] };
        let mut parts = Vec::new();
        let mut next = Some(row.first);
        let touched =
            ranges.iter().filter(|range| range.first <= row.last && range.last >= row.first);
        for range in touched {
            let (first, last) = (range.first.max(row.first), range.last.min(row.last));
            if let Some(from) = next.filter(|&from| from < first) {
                parts.push((row.part(from, first - 1), None));
            }
            parts.push((row.part(first, last), Some(range.said.clone())));
            next = last.checked_add(1).filter(|&next| next <= row.last);
        }
        match next {
            Some(from) if parts.is_empty() && from == row.first => parts.push((row, None)),
            Some(from) => parts.push((row.part(from, row.last), None)),
            None => {}
        }
        parts
    }

    /// The rows in parts, each with what was said of all of its numbers.
    #[must_use]
    pub fn split_all(&self, rows: Vec<GapRow>) -> Vec<(GapRow, Option<Said>)> {
        rows.into_iter().flat_map(|row| self.split(row)).collect()
    }

    /// Which rows hold all that was acknowledged: none, those of these lanes, or all of them.
    #[must_use]
    pub fn filters(&self) -> Vec<Filter> {
        let lanes = self.lanes.keys().map(|Lane { view, stream, partition, producer, .. }| {
            [view, stream, partition, producer].map(String::as_str)
        });
        let lanes: BTreeSet<_> = lanes.collect();
        if lanes.len() > MOST_FILTERS {
            return vec![Filter::default()];
        }
        let filter = |names: [&str; 4]| {
            let [view, stream, partition, producer] = names.map(|name| Some(name.to_owned()));
            Filter { view, stream, partition, producer }
        };
        lanes.into_iter().map(filter).collect()
    }

    fn ranges(&self, row: &GapRow) -> Option<&[Range]> {
        if self.lanes.is_empty() {
            return None;
        }
        self.lanes.get(&Lane::of(row)).map(Vec::as_slice)
    }

    fn put(&mut self, new: Acknowledgement) {
        let Acknowledgement { lane, first, last, said } = new;
        self.clear(&lane, first, last);
        let ranges = self.lanes.entry(lane).or_default();
        let place = ranges.partition_point(|range| range.first < first);
        ranges.insert(place, Range { first, last, said });
        self.count += 1;
        self.revision += 1;
    }

    fn clear(&mut self, lane: &Lane, first: u64, last: u64) {
        let Some(ranges) = self.lanes.get_mut(lane) else { return };
        let before = ranges.len();
        let mut kept = Vec::with_capacity(before + 1);
        for range in ranges.drain(..) {
            if range.last < first || range.first > last {
                kept.push(range);
                continue;
            }
            if range.first < first {
                kept.push(Range { last: first - 1, ..range.clone() });
            }
            if range.last > last {
                kept.push(Range { first: last + 1, ..range });
            }
        }
        self.count = self.count + kept.len() - before;
        if kept.is_empty() {
            self.lanes.remove(lane);
        } else {
            *ranges = kept;
        }
    }
}

impl From<Vec<Acknowledgement>> for Acknowledgements {
    fn from(list: Vec<Acknowledgement>) -> Self {
        let mut all = Self::default();
        for one in list.into_iter().filter(|one| one.first <= one.last) {
            all.put(one);
        }
        all
    }
}

impl From<Acknowledgements> for Vec<Acknowledgement> {
    fn from(all: Acknowledgements) -> Self {
        let one = |(lane, ranges): (Lane, Vec<Range>)| {
            ranges.into_iter().map(move |Range { first, last, said }| Acknowledgement {
                lane: lane.clone(),
                first,
                last,
                said,
            })
        };
        all.lanes.into_iter().flat_map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(first: u64, last: u64) -> GapRow {
        let text = |text: &str| text.to_owned();
        let whole = GapRow {
            id: 0,
            age: 0,
            view: text("log"),
            stream: text("orders"),
            partition: text("3"),
            lane: text("3"),
            producer: text("web"),
            epoch: 1,
            first,
            last,
            state: None,
            before: None,
            after: None,
            says: None,
            seen_in: Vec::new(),
            since: 0,
            judged_at: None,
            recovered_at: None,
            at_end: false,
        };
        whole.part(first, last)
    }

    fn said(by: &str) -> Said {
        Said { by: by.to_owned(), note: String::new(), at: 1 }
    }

    fn parts(all: &Acknowledgements, row: GapRow) -> Vec<(u64, u64, Option<String>)> {
        let parts = all.split(row);
        parts.into_iter().map(|(row, said)| (row.first, row.last, said.map(|s| s.by))).collect()
    }

    #[test]
    fn what_is_lost_beside_them_later_is_not_acknowledged() {
        let mut all = Acknowledgements::default();
        all.add(&row(40, 46), said("ann")).unwrap();
        let ann = Some("ann".to_owned());
        assert_eq!(parts(&all, row(40, 46)), [(40, 46, ann.clone())]);
        let grown = [(38, 39, None), (40, 46, ann.clone()), (47, 50, None)];
        assert_eq!(parts(&all, row(38, 50)), grown);
        assert_eq!(parts(&all, row(42, 43)), [(42, 43, ann)]);
        assert_eq!(parts(&all, row(47, 47)), [(47, 47, None)]);
        let other = GapRow { epoch: 2, ..row(40, 46) };
        assert_eq!(parts(&all, other), [(40, 46, None)]);
        assert_eq!(all.split(row(38, 50))[1].0.id, row(40, 40).id);
    }

    #[test]
    fn the_newest_word_holds_and_can_be_taken_back() {
        let mut all = Acknowledgements::default();
        all.add(&row(0, 9), said("ann")).unwrap();
        all.add(&row(4, 5), said("bob")).unwrap();
        let [ann, bob] = ["ann", "bob"].map(|name| Some(name.to_owned()));
        let both = [(0, 3, ann.clone()), (4, 5, bob), (6, 9, ann.clone())];
        assert_eq!(parts(&all, row(0, 9)), both);
        assert_eq!(all.len(), 3);
        all.remove(&row(4, 5));
        assert_eq!(parts(&all, row(0, 9)), [(0, 3, ann.clone()), (4, 5, None), (6, 9, ann)]);
        all.remove(&row(0, u64::MAX));
        assert!(all.is_empty());
        assert_eq!(all.filters(), []);
    }

    #[test]
    fn the_whole_range_of_numbers_fits() {
        let mut all = Acknowledgements::default();
        all.add(&row(0, u64::MAX), said("ann")).unwrap();
        assert_eq!(parts(&all, row(0, u64::MAX)), [(0, u64::MAX, Some("ann".to_owned()))]);
    }

    #[test]
    fn as_json_it_is_a_list_and_comes_back_as_it_was() {
        let mut all = Acknowledgements::default();
        all.add(&row(40, 46), said("ann")).unwrap();
        all.add(&row(50, 50), said("bob")).unwrap();
        let json = serde_json::to_value(&all).unwrap();
        let first = serde_json::json!({"view":"log","stream":"orders","partition":"3","lane":"3",
            "producer":"web","epoch":1,"first":40,"last":46,"by":"ann","note":"","at":1});
        assert_eq!(json[0], first);
        let back: Acknowledgements = serde_json::from_value(json).unwrap();
        assert_eq!((back.len(), back.lanes), (all.len(), all.lanes));
    }
}
