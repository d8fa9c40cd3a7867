//! Rows of findings: gaps and repeats (contracts §6).

use alloc::vec::Vec;

use crate::cell::Cell;
use crate::checker::Checker;
use crate::context::{Near, Place};
use crate::lane::LaneRef;
use crate::report::{DuplicateRow, Filter, GapRow, Neighbour};
use crate::rows::some;
use crate::verdict::State;

impl Checker {
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
        for cell in self.cells.iter() {
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
        let newest_first = self.ctx.duplicates.rows.iter().rev();
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
                let lane = LaneRef::new(row.place.lane, span);
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
        let rows = self.ctx.recovered.rows.iter().map(|recovered| {
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
        let upper = self.ctx.evidence(place, last).map(|(_, evidence)| *evidence);
        let since = opened;
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
            after: upper.and_then(|evidence| self.neighbour(evidence.after?)),
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
}
