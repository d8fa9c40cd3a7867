//! Rows for people and programs, built when they are asked for (contracts §6).

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cell::Cell;
use crate::checker::Checker;
use crate::context::Place;
use crate::lane::NONE;
use crate::report::{Filter, GapRow, LaneRow, LedgerRow, PartitionRow, StreamRow};
use crate::streams::Stream;
use crate::totals::Totals;
use crate::verdict::Change;

/// A change of state, and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRow {
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
    /// What changed.
    pub change: Change,
}

/// The counters of one partition in one view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsRow {
    /// The view.
    pub view: String,
    /// The stream.
    pub stream: String,
    /// The partition, or `*`.
    pub partition: String,
    /// The truth of now.
    pub totals: Totals,
    /// Entries into every state since the start: these never go down.
    pub entered: Totals,
    /// When the last message was read, in the view's time.
    pub last_at: Option<u64>,
}

impl Checker {
    /// The report's rows, all that is due judged first. With or without lanes.
    pub fn report(&mut self, filter: &Filter, lanes: bool) -> Vec<StreamRow> {
        self.settle_all();
        let mut rows = Vec::new();
        for stream in &self.streams {
            for (view, name) in stream.views.iter().enumerate() {
                if filter.takes(name, &stream.name)
                    && let Some(row) = self.stream_row(stream, view, filter, lanes)
                {
                    rows.push(row);
                }
            }
        }
        rows.sort_by(|a, b| (&a.stream, &a.view).cmp(&(&b.stream, &b.view)));
        rows
    }

    /// The sum over all streams and views.
    pub fn totals(&mut self) -> Totals {
        let mut totals = Totals::default();
        for row in self.report(&Filter::default(), false) {
            totals += &row.totals;
        }
        totals.producers = self.producers(&Filter::default()).len() as u64;
        totals
    }

    /// Digests of the names of all producers that have a lane there; a name has the same one in all
    /// checkers of one seed.
    #[must_use]
    pub fn producers(&self, filter: &Filter) -> BTreeSet<u64> {
        let mut names = BTreeSet::new();
        for cell in self.cells.iter() {
            let stream = &self.streams[cell.stream as usize].name;
            for (view, held) in cell.views.iter().enumerate() {
                if filter.takes(&held.name, stream) && filter.takes_partition(&cell.label) {
                    cell.producers(view, filter, &mut names);
                }
            }
        }
        names
    }

    /// The counters of every partition in every view.
    pub fn metrics(&mut self) -> Vec<MetricsRow> {
        self.settle_all();
        let mut rows = Vec::new();
        for stream in &self.streams {
            for &cell in stream.cells.values() {
                let cell = &self.cells[cell as usize];
                for view in (0..cell.views.len()).filter(|&view| cell.has_row(view)) {
                    let held = &cell.views[view];
                    let mut names = BTreeSet::new();
                    cell.producers(view, &Filter::default(), &mut names);
                    let totals = Totals { producers: names.len() as u64, ..held.totals };
                    rows.push(MetricsRow {
                        view: held.name.clone(),
                        stream: stream.name.clone(),
                        partition: cell.label.clone(),
                        totals,
                        entered: Totals { observed: totals.observed, ..held.entered },
                        last_at: held.last_at,
                    });
                }
            }
        }
        rows
    }

    /// What changed since the last call, oldest first.
    pub fn drain_changes(&mut self) -> Vec<ChangeRow> {
        let changes = core::mem::take(&mut self.ctx.changes);
        changes
            .into_iter()
            .map(|(place, change)| {
                let named = self.named(place);
                ChangeRow {
                    view: named.view.into(),
                    stream: named.stream.into(),
                    partition: named.partition.into(),
                    lane: named.lane.into(),
                    producer: named.producer.into(),
                    epoch: named.epoch,
                    change,
                }
            })
            .collect()
    }

    fn stream_row(
        &self,
        stream: &Stream,
        view: usize,
        filter: &Filter,
        lanes: bool,
    ) -> Option<StreamRow> {
        let mut totals = Totals::default();
        let mut names = BTreeSet::new();
        let mut partitions = Vec::new();
        for &cell in stream.cells.values() {
            let cell = &self.cells[cell as usize];
            if !filter.takes_partition(&cell.label) || !cell.has_row(view) {
                continue;
            }
            let row = cell.partition_row(view, filter, lanes);
            if filter.producer.is_some() && row.totals.lanes == 0 {
                continue;
            }
            totals += &row.totals;
            cell.producers(view, filter, &mut names);
            partitions.push(row);
        }
        totals.producers = names.len() as u64;
        if partitions.is_empty() {
            return None;
        }
        let (view, stream) = (stream.views[view].clone(), stream.name.clone());
        let mut row = StreamRow { view, stream, totals, partitions };
        row.sort();
        Some(row)
    }

    pub(crate) fn named(&self, place: Place) -> Named<'_> {
        let cell = &self.cells[place.cell as usize];
        let (producer, epoch, lane) = cell.identity(place.lane as usize);
        Named {
            view: &cell.views[usize::from(place.view)].name,
            stream: &self.streams[cell.stream as usize].name,
            partition: &cell.label,
            producer,
            epoch,
            lane,
        }
    }
}

/// A lane's names, for its rows.
pub(crate) struct Named<'a> {
    pub(crate) view: &'a str,
    pub(crate) stream: &'a str,
    pub(crate) partition: &'a str,
    pub(crate) producer: &'a str,
    pub(crate) epoch: u64,
    pub(crate) lane: &'a str,
}

impl Named<'_> {
    /// FNV-1a of the names and the number: the same in every run.
    pub(crate) fn digest(&self, first: u64) -> u64 {
        let texts = [self.view, self.stream, self.partition, self.producer, self.lane];
        let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
        let numbers = self.epoch.to_le_bytes().into_iter().chain(first.to_le_bytes());
        bytes.chain(numbers).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

impl GapRow {
    /// These of its numbers as a row of their own, with the id that such a row has.
    #[must_use]
    pub fn part(&self, first: u64, last: u64) -> Self {
        let Self { view, stream, partition, producer, epoch, lane, .. } = self;
        let named = Named { view, stream, partition, producer, epoch: *epoch, lane };
        Self { id: named.digest(first), first, last, ..self.clone() }
    }
}

impl Cell {
    /// Whether there is anything to say of this cell in a view.
    fn has_row(&self, view: usize) -> bool {
        let held = &self.views[view];
        !self.shadow
            && (held.watched.is_some()
                || held.totals != Totals::default()
                || held.rest != Totals::default())
    }

    fn partition_row(&self, view: usize, filter: &Filter, lanes: bool) -> PartitionRow {
        let held = &self.views[view];
        let chosen = (0..held.lanes.len()).filter(|&lane| {
            held.lanes[lane].present() && filter.takes_producer(self.identity(lane).0)
        });
        let (mut totals, rest) = match &filter.producer {
            None => (held.totals, held.rest),
            // What was retired is not told apart any more: it is in no producer's sum.
            Some(_) => {
                let mut totals = Totals::default();
                let of = |lane| self.lane_totals(view, lane);
                chosen.clone().filter_map(of).for_each(|lane| totals += &lane);
                (totals, Totals::default())
            }
        };
        let mut names = BTreeSet::new();
        self.producers(view, filter, &mut names);
        totals.producers = names.len() as u64;
        let rows = if lanes {
            chosen.filter_map(|lane| self.lane_row(view, lane)).collect()
        } else {
            Vec::new()
        };
        PartitionRow {
            partition: self.label.clone(),
            watched: held.watched,
            position: held.positions.highest_read(),
            end: held.end_position,
            totals,
            rest,
            last_at: held.last_at,
            lanes: rows,
        }
    }

    fn lane_row(&self, view: usize, lane: usize) -> Option<LaneRow> {
        let totals = self.lane_totals(view, lane)?;
        let held = &self.views[view].lanes[lane];
        let (producer, epoch, label) = self.identity(lane);
        let ledger = self.lanes[lane].ledger.as_deref().map(|ledger| LedgerRow {
            next: ledger.newest_next(),
            pending: ledger.pending.count_in(0, u64::MAX),
            closed: ledger.closed,
            at: ledger.newest_at(),
        });
        Some(LaneRow {
            producer: producer.into(),
            epoch,
            lane: label.into(),
            base: held.base,
            first: held.first,
            next: held.extent(),
            last_at: some(held.last_at),
            ledger,
            clash: held.extra.as_ref().is_some_and(|extra| extra.clash),
            totals,
        })
    }

    /// Adds digests of the producers' names that are asked for and have a row in a view.
    fn producers(&self, view: usize, filter: &Filter, names: &mut BTreeSet<u64>) {
        for (lane, held) in self.views[view].lanes.iter().enumerate() {
            if !held.present() {
                continue;
            }
            let producer = self.identity(lane).0;
            if filter.takes_producer(producer) {
                names.insert(self.digest_of(producer.as_bytes()));
            }
        }
    }

    /// Views that have seen any of what the log lost.
    pub(crate) fn seen_in(&self, log: usize, lane: usize, first: u64, last: u64) -> Vec<String> {
        let mut out = Vec::new();
        for (_, held) in self.views.iter().enumerate().filter(|(view, _)| *view != log) {
            let Some(state) = held.lane(lane).filter(|state| state.seen()) else {
                continue;
            };
            let from = first.max(state.floor());
            let Some(to) = state.next.checked_sub(1).map(|highest| highest.min(last)) else {
                continue;
            };
            if from > to {
                continue;
            }
            let holes = state.extra.iter().flat_map(|extra| extra.gaps.overlapping(from, to));
            let unseen: u64 = holes.map(|hole| hole.last.min(to) - hole.first.max(from) + 1).sum();
            if unseen < to - from + 1 {
                out.push(held.name.clone());
            }
        }
        out
    }
}

/// A value that may be [`NONE`].
pub(crate) fn some(value: u64) -> Option<u64> {
    (value != NONE).then_some(value)
}
