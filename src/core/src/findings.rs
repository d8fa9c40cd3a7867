//! Rows of findings: gaps and repeats (contracts §6).

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::cell::Cell;
use crate::checker::Checker;
use crate::context::{Near, Place};
use crate::lane::LaneRef;
use crate::report::{DuplicateRow, Filter, GapRow, Neighbour};
use crate::rows::{Named, some};
use crate::verdict::State;

/// Numbers of a lane that are one row.
struct Finding {
    place: Place,
    first: u64,
    last: u64,
    opened: u64,
    of: FindingOf,
}

enum FindingOf {
    /// Judged because the recording was said to be whole, or not.
    Unseen {
        state: State,
        at_end: bool,
    },
    Recovered {
        judged_at: Option<u64>,
        at: u64,
    },
}

impl Checker {
    /// Findings whose state (`None`: recovered) is wanted, newest first, below the age `before`.
    /// At most `limit`, but rows of one age are not torn apart. No more than these are held.
    pub fn gaps(
        &mut self,
        filter: &Filter,
        wanted: &dyn Fn(Option<State>) -> bool,
        before: Option<u64>,
        limit: usize,
    ) -> Vec<GapRow> {
        self.settle_all();
        let takes = |age: u64| before.is_none_or(|before| age < before);
        let mut page = 0;
        if limit < usize::MAX {
            // The age of the last row there is room for.
            let (most, mut newest) = (limit.max(1), BinaryHeap::new());
            self.each_finding(filter, wanted, &mut |finding, named| {
                let age = finding.age(named);
                if takes(age) && newest.len() < most {
                    newest.push(Reverse(age));
                } else if takes(age)
                    && let Some(mut oldest) = newest.peek_mut()
                    && age > oldest.0
                {
                    *oldest = Reverse(age);
                }
            });
            if newest.len() == most {
                page = newest.peek().map_or(0, |oldest| oldest.0);
            }
        }
        let mut rows = Vec::new();
        self.each_finding(filter, wanted, &mut |finding, named| {
            let age = finding.age(named);
            if age >= page && takes(age) {
                rows.push(self.gap_row(finding, named));
            }
        });
        rows.sort_by_key(|row: &GapRow| Reverse((row.age, row.id, row.first)));
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

    /// Visits all that is a row.
    fn each_finding(
        &self,
        filter: &Filter,
        wanted: &dyn Fn(Option<State>) -> bool,
        visit: &mut dyn FnMut(&Finding, &Named<'_>),
    ) {
        for cell in self.cells.iter().filter(|cell| filter.takes_partition(&cell.label)) {
            let stream = &self.streams[cell.stream as usize];
            for (view, held) in cell.views.iter().enumerate() {
                if !filter.takes(&held.name, &stream.name) {
                    continue;
                }
                for lane in 0..held.lanes.len() {
                    if held.lanes[lane].present() && filter.takes_producer(cell.identity(lane).0) {
                        self.each_gap(cell, view, lane, wanted, visit);
                    }
                }
            }
        }
        for recovered in self.ctx.recovered.rows.iter().filter(|_| wanted(None)) {
            let named = self.named(recovered.place);
            if filter.takes(named.view, named.stream)
                && filter.takes_partition(named.partition)
                && filter.takes_producer(named.producer)
            {
                let (judged_at, at) = (recovered.judged_at, recovered.at);
                let finding = Finding {
                    place: recovered.place,
                    first: recovered.first,
                    last: recovered.last,
                    opened: recovered.since,
                    of: FindingOf::Recovered { judged_at, at },
                };
                visit(&finding, &named);
            }
        }
    }

    /// Visits a lane's gaps: neighbours in one state are one.
    fn each_gap(
        &self,
        cell: &Cell,
        view: usize,
        lane: usize,
        wanted: &dyn Fn(Option<State>) -> bool,
        visit: &mut dyn FnMut(&Finding, &Named<'_>),
    ) {
        let held = &cell.views[view].lanes[lane];
        let place = cell.place(view, lane);
        let named = self.named(place);
        let below = held.base_reason().filter(|_| held.floored() && held.first > 0);
        let below =
            below.map(|reason| (State::Unknown(reason), 0, held.first - 1, held.first_at, false));
        let holes = held.extra.iter().flat_map(|extra| extra.gaps.iter());
        let holes =
            holes.map(|hole| (hole.state, hole.first, hole.last, hole.opened, hole.fact.at_end()));
        let mut pieces = below.into_iter().chain(holes).peekable();
        while let Some((state, first, mut last, opened, mut at_end)) = pieces.next() {
            while let Some(next) = pieces.next_if(|next| next.0 == state && next.1 == last + 1) {
                last = next.2;
                at_end |= next.4;
            }
            if state != State::LostInLog && wanted(Some(state)) {
                let of = FindingOf::Unseen { state, at_end };
                visit(&Finding { place, first, last, opened, of }, &named);
            }
        }
    }

    fn gap_row(&self, finding: &Finding, named: &Named<'_>) -> GapRow {
        let &Finding { place, first, last, opened, ref of } = finding;
        let evidence = self.ctx.evidence(place, first).map(|(_, evidence)| *evidence);
        let upper = self.ctx.evidence(place, last).map(|(_, evidence)| *evidence);
        let mut row = GapRow {
            id: named.digest(first),
            age: finding.age(named),
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
            since: opened,
            judged_at: None,
            recovered_at: None,
            at_end: false,
        };
        match *of {
            FindingOf::Recovered { judged_at, at } => {
                (row.judged_at, row.recovered_at) = (judged_at, Some(at));
            }
            FindingOf::Unseen { state, at_end } => {
                let cell = &self.cells[place.cell as usize];
                let (view, lane) = (usize::from(place.view), place.lane as usize);
                row.state = Some(state);
                let ledger = cell.lanes[lane].ledger.as_deref();
                row.says =
                    ledger.and_then(|ledger| Some((ledger.says(first).0?, ledger.newest_at())));
                if matches!(state, State::Lost(_)) {
                    row.judged_at = evidence.and_then(|evidence| evidence.judged_at);
                    row.at_end = at_end;
                    if cell.log == Some(view) {
                        row.seen_in = cell.seen_in(view, lane, first, last);
                    }
                }
            }
        }
        row
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

impl Finding {
    /// Orders rows: a younger one has a greater one.
    fn age(&self, named: &Named<'_>) -> u64 {
        self.opened.saturating_mul(1 << 20) | named.digest(self.first) & 0xf_ffff
    }
}
