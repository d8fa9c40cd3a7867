//! Rows for people and programs, built when they are asked for (contracts §6).

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cell::Cell;
use crate::checker::{Checker, Stream};
use crate::context::{Near, Place};
use crate::lane::NONE;
use crate::report::{
    DuplicateRow, Filter, GapRow, LaneRow, LedgerRow, Neighbour, PartitionRow, StreamRow,
};
use crate::totals::Totals;
use crate::verdict::{Change, State};

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
        let mut names = BTreeSet::new();
        for cell in &self.cells {
            for view in 0..cell.views.len() {
                cell.producers(view, &mut names);
            }
        }
        totals.producers = names.len() as u64;
        totals
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
                    cell.producers(view, &mut names);
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

    /// Findings whose state (`None`: recovered) is wanted, newest first, below the age `before`.
    /// At most `limit`, but rows of one age are not torn apart.
    pub fn gaps(
        &mut self,
        filter: &Filter,
        wanted: &dyn Fn(Option<State>) -> bool,
        before: Option<u64>,
        limit: usize,
    ) -> Vec<GapRow> {
        self.settle_all();
        let mut rows = Vec::new();
        for cell in &self.cells {
            let stream = &self.streams[cell.stream as usize];
            if !filter.takes_partition(&cell.label) {
                continue;
            }
            for (view, held) in cell.views.iter().enumerate() {
                if !filter.takes(&held.name, &stream.name) {
                    continue;
                }
                for lane in 0..held.lanes.len() {
                    if held.lanes[lane].present() && filter.takes_producer(cell.identity(lane).0) {
                        self.lane_gaps(cell, view, lane, wanted, &mut rows);
                    }
                }
            }
        }
        if wanted(None) {
            rows.extend(self.recovered_rows(filter));
        }
        rows.retain(|row| before.is_none_or(|before| row.age < before));
        rows.sort_by_key(|row| core::cmp::Reverse((row.age, row.id, row.first)));
        let page = rows.get(limit.saturating_sub(1)).map_or(0, |row| row.age);
        rows.retain(|row| row.age >= page);
        rows
    }

    /// Repeats, newest first, below the age `before`, at most `limit`.
    pub fn duplicates(
        &mut self,
        filter: &Filter,
        before: Option<u64>,
        limit: usize,
    ) -> Vec<DuplicateRow> {
        let newest_first = self.ctx.duplicates.iter().rev();
        newest_first
            .filter(|row| before.is_none_or(|before| row.age < before))
            .filter_map(|row| {
                let named = self.named(row.place);
                let read_from = &self.cells[row.cell as usize];
                let takes = filter.takes(named.view, named.stream)
                    && filter.takes_partition(&read_from.label)
                    && filter.takes_producer(named.producer);
                if !takes {
                    return None;
                }
                let span = self.cells[row.place.cell as usize].span;
                let memory = read_from.log.map(|log| &read_from.views[log].positions.memory);
                let lane = crate::lane::LaneRef::new(row.place.lane, span);
                let earlier = memory.and_then(|memory| memory.find(lane, row.seq));
                Some(DuplicateRow {
                    age: row.age,
                    view: named.view.into(),
                    stream: named.stream.into(),
                    partition: read_from.label.clone(),
                    lane: named.lane.into(),
                    producer: named.producer.into(),
                    epoch: named.epoch,
                    seq: row.seq,
                    kind: row.kind,
                    position: some(row.position),
                    at: row.at,
                    time: some(row.time),
                    earlier: earlier.filter(|&earlier| earlier != row.position),
                })
            })
            .take(limit)
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
            totals += &row.totals;
            cell.producers(view, &mut names);
            partitions.push(row);
        }
        totals.producers = names.len() as u64;
        partitions.sort_by(|a: &PartitionRow, b| order(&a.partition).cmp(&order(&b.partition)));
        (!partitions.is_empty()).then(|| StreamRow {
            view: stream.views[view].clone(),
            stream: stream.name.clone(),
            totals,
            partitions,
        })
    }

    fn lane_gaps(
        &self,
        cell: &Cell,
        view: usize,
        lane: usize,
        wanted: &dyn Fn(Option<State>) -> bool,
        rows: &mut Vec<GapRow>,
    ) {
        let held = &cell.views[view].lanes[lane];
        let mut runs: Vec<(State, u64, u64, u64, bool)> = Vec::new();
        if held.floored()
            && held.first > 0
            && let Some(reason) = held.base_reason()
        {
            runs.push((State::Unknown(reason), 0, held.first - 1, held.first_at, false));
        }
        for hole in held.extra.iter().flat_map(|extra| extra.gaps.iter()) {
            match runs.last_mut() {
                Some((state, _, last, _, at_end))
                    if *state == hole.state && *last + 1 == hole.first =>
                {
                    *last = hole.last;
                    *at_end |= hole.fact.at_end();
                }
                _ => {
                    runs.push((hole.state, hole.first, hole.last, hole.opened, hole.fact.at_end()));
                }
            }
        }
        let place = cell.place(view, lane);
        for (state, first, last, opened, at_end) in runs {
            if state == State::LostInLog || !wanted(Some(state)) {
                continue;
            }
            let lost = matches!(state, State::Lost(_));
            let mut row = self.gap_row(place, first, last, opened);
            row.state = Some(state);
            row.judged_at = row.judged_at.filter(|_| lost);
            row.at_end = at_end && lost;
            let ledger = cell.lanes[lane].ledger.as_deref();
            row.says = ledger.and_then(|ledger| Some((ledger.says(first).0?, ledger.newest_at())));
            if lost && cell.log == Some(view) {
                row.seen_in = cell.seen_in(view, lane, first, last);
            }
            rows.push(row);
        }
    }

    fn recovered_rows(&self, filter: &Filter) -> Vec<GapRow> {
        let rows = self.ctx.recovered.iter().map(|recovered| {
            let mut row =
                self.gap_row(recovered.place, recovered.first, recovered.last, recovered.since);
            row.judged_at = recovered.judged_at;
            row.recovered_at = Some(recovered.at);
            row
        });
        rows.filter(|row| {
            filter.takes(&row.view, &row.stream)
                && filter.takes_partition(&row.partition)
                && filter.takes_producer(&row.producer)
        })
        .collect()
    }

    fn gap_row(&self, place: Place, first: u64, last: u64, opened: u64) -> GapRow {
        let named = self.named(place);
        let evidence = self.ctx.evidence(place, first).map(|(_, evidence)| *evidence);
        let since = evidence.map_or(opened, |evidence| evidence.since);
        let id = named.digest(first);
        GapRow {
            id,
            age: since.saturating_mul(1 << 20) | id & 0xf_ffff,
            view: named.view.into(),
            stream: named.stream.into(),
            partition: named.partition.into(),
            lane: named.lane.into(),
            producer: named.producer.into(),
            epoch: named.epoch,
            first,
            last,
            state: None,
            before: evidence.and_then(|evidence| self.neighbour(evidence.before?)),
            after: evidence.and_then(|evidence| self.neighbour(evidence.after?)),
            says: None,
            seen_in: Vec::new(),
            since,
            judged_at: evidence.and_then(|evidence| evidence.judged_at),
            recovered_at: None,
            at_end: false,
        }
    }

    fn neighbour(&self, near: Near) -> Option<Neighbour> {
        Some(Neighbour {
            seq: near.seq,
            partition: self.cells.get(near.cell as usize)?.label.clone(),
            position: some(near.position),
            at: near.at,
            time: some(near.time),
        })
    }

    fn named(&self, place: Place) -> Named<'_> {
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
struct Named<'a> {
    view: &'a str,
    stream: &'a str,
    partition: &'a str,
    producer: &'a str,
    epoch: u64,
    lane: &'a str,
}

impl Named<'_> {
    /// FNV-1a of the names and the number: the same in every run.
    fn digest(&self, first: u64) -> u64 {
        let texts = [self.view, self.stream, self.partition, self.producer, self.lane];
        let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
        let numbers = self.epoch.to_le_bytes().into_iter().chain(first.to_le_bytes());
        bytes.chain(numbers).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

impl Cell {
    /// Whether there is anything to say of this cell in a view.
    fn has_row(&self, view: usize) -> bool {
        let held = &self.views[view];
        held.watched.is_some() || held.totals != Totals::default() || held.rest != Totals::default()
    }

    fn partition_row(&self, view: usize, filter: &Filter, lanes: bool) -> PartitionRow {
        let held = &self.views[view];
        let mut names = BTreeSet::new();
        self.producers(view, &mut names);
        let mut totals = held.totals;
        totals.producers = names.len() as u64;
        let rows = if lanes {
            let all = (0..held.lanes.len()).filter(|&lane| held.lanes[lane].present());
            all.filter(|&lane| filter.takes_producer(self.identity(lane).0))
                .filter_map(|lane| self.lane_row(view, lane))
                .collect()
        } else {
            Vec::new()
        };
        PartitionRow {
            partition: self.label.clone(),
            watched: held.watched,
            position: held.positions.observed.max(),
            end: held.end_position,
            totals,
            rest: held.rest,
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

    /// Adds digests of the producers' names that have a row in a view.
    fn producers(&self, view: usize, names: &mut BTreeSet<u64>) {
        for (lane, held) in self.views[view].lanes.iter().enumerate() {
            if held.present() {
                names.insert(self.digest_of(self.identity(lane).0.as_bytes()));
            }
        }
    }

    /// Views that have seen any of what the log lost.
    fn seen_in(&self, log: usize, lane: usize, first: u64, last: u64) -> Vec<String> {
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

fn some(value: u64) -> Option<u64> {
    (value != NONE).then_some(value)
}

/// Partitions by number, then by label.
fn order(label: &str) -> (bool, u64, &str) {
    label.parse().map_or((true, 0, label), |number| (false, number, label))
}
