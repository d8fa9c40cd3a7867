//! The checker: observations and ledger records in, verdicts and counts out.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::cell;
use crate::context::Context;
use crate::ledger::{LedgerError, LedgerRecord};
use crate::retire::Retired;
use crate::settings::{Reached, Settings, StreamSettings};
use crate::stamp::{self, Stamp};
use crate::state::{Cells, Saving};
use crate::streams::Stream;
use crate::team::{Named, News, Passed};
use crate::verdict::{Cause, Verdict};
use crate::view::Watch;
use crate::watch::Watching;

/// One partition of one stream in one view; found once, then used for every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId(pub(crate) u32);

/// Positions and times are 63 bits wide, as brokers' are, so that one more is always a number. A
/// position above is none, a time above is this one.
pub(crate) const MOST: u64 = i64::MAX as u64;

/// A position that a broker may have given.
fn position(position: Option<u64>) -> Option<u64> {
    position.filter(|&position| position <= MOST)
}

/// One message, as a view observed it (contracts §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observation<'a> {
    /// The broker's own offset, where it has one.
    pub position: Option<u64>,
    /// When it was observed, ms since the Unix epoch; the only clock.
    pub at: u64,
    /// The message's own time; shown, never judged by.
    pub time: Option<u64>,
    /// The stamp header's value; `None`: the message has none.
    pub stamp: Option<&'a [u8]>,
    /// The broker's own flag, where it has one.
    pub redelivered: Option<bool>,
}

/// Where a [`PartitionId`] leads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) cell: u32,
    pub(crate) view: usize,
}

/// A record whose time of arrival is the first line's, which has not come yet.
#[derive(Debug)]
pub(crate) struct Early {
    pub(crate) text: (String, String, String),
    pub(crate) record: LedgerRecord<'static>,
}

/// Judges any number of streams, partitions and views.
#[derive(Debug)]
pub struct Checker {
    pub(crate) settings: Settings,
    pub(crate) ctx: Context,
    pub(crate) configured: BTreeMap<String, StreamSettings>,
    pub(crate) names: BTreeMap<String, u32>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) cells: Cells,
    pub(crate) slots: Vec<Slot>,
    pub(crate) slot_of: BTreeMap<(u32, usize), u32>,
    pub(crate) now: Option<u64>,
    pub(crate) early: Vec<Early>,
    pub(crate) lanes: usize,
    pub(crate) reached: Reached,
    /// Ranges that the sweep has counted in its present round.
    pub(crate) counted: usize,
    pub(crate) retired: Retired,
    /// Where the sweep goes on: a cell, and a lane in it.
    pub(crate) hand: (usize, usize),
    pub(crate) logs: usize,
    /// What is to be passed on.
    pub(crate) passed: Vec<Passed>,
    pub(crate) news: Vec<News>,
    /// By slot: its names, and the time that was passed on last.
    pub(crate) told: Vec<(Option<Arc<Named>>, Option<u64>)>,
    pub(crate) saving: Saving,
}

impl Checker {
    /// A checker that has seen nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let ctx = Context::new(settings.limits.clone());
        Self {
            settings,
            ctx,
            configured: BTreeMap::new(),
            names: BTreeMap::new(),
            streams: Vec::new(),
            cells: Cells::default(),
            slots: Vec::new(),
            slot_of: BTreeMap::new(),
            now: None,
            early: Vec::new(),
            lanes: 0,
            reached: Reached::default(),
            counted: 0,
            retired: Retired::default(),
            hand: (0, 0),
            logs: 0,
            saving: Saving::default(),
            passed: Vec::new(),
            news: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Settings of one stream, from now on.
    pub fn configure(&mut self, stream: &str, settings: StreamSettings) {
        if let Some(&known) = self.names.get(stream) {
            let known = &mut self.streams[known as usize];
            known.configure(&settings);
            for &cell in known.cells.values() {
                self.cells[cell as usize].configure(&settings);
            }
        }
        self.configured.insert(stream.into(), settings);
    }

    /// Settings of all streams that have none of their own, from now on.
    pub fn configure_default(&mut self, settings: StreamSettings) {
        let names = self.streams.iter().map(|stream| &stream.name);
        let without: Vec<String> =
            names.filter(|name| !self.configured.contains_key(*name)).cloned().collect();
        for stream in without {
            self.configure(&stream, settings.clone());
            self.configured.remove(&stream);
        }
        self.settings.default_stream = settings;
    }

    /// A message. What is due by its time is judged first, then it is taken in.
    #[inline]
    pub fn observe(&mut self, id: PartitionId, message: &Observation<'_>) -> Verdict {
        match self.observe_in_order(id, message) {
            Some(verdict) => verdict,
            None => {
                let (position, at) = (position(message.position), message.at.min(MOST));
                self.observe_any(id, &Observation { position, at, ..*message })
            }
        }
    }

    /// A `watch` line.
    pub fn watch(&mut self, id: PartitionId, watch: &Watch) {
        let watch = Watch { position: position(watch.position), at: watch.at.min(MOST), ..*watch };
        let Slot { cell, view } = self.line(id, watch.at);
        let watching = self.cells[cell as usize].watch(view, &watch, &mut self.ctx);
        self.promise(cell, view);
        self.spread(cell, view, watching);
    }

    /// An `end` line; `end` is the log's.
    pub fn end(&mut self, id: PartitionId, end: Option<u64>, at: u64) {
        let (position, at) = (position(end), at.min(MOST));
        let Slot { cell, view } = self.line(id, at);
        self.settle(cell, view, position, at, true);
        let own = &mut self.cells[cell as usize];
        own.end(view, position, at, &mut self.ctx);
        let now = own.views[view].now();
        if let Some(span) = self.span_of(cell) {
            self.cells[span].tick(view, now, &mut self.ctx);
            self.ended_for_span(cell, view, at);
        } else if self.elsewhere(cell) {
            self.pass_end(cell, view, at);
        }
    }

    /// A `cut` line.
    pub fn cut(&mut self, id: PartitionId, position: u64, at: u64) {
        let at = at.min(MOST);
        let Slot { cell, view } = self.line(id, at);
        self.cut_at(cell, view, position.min(MOST), at);
    }

    /// An `absent` line: these positions, inclusive, hold nothing, and why.
    pub fn absent(&mut self, id: PartitionId, first: u64, last: u64, cause: Cause, at: u64) {
        let Slot { cell, view } = self.line(id, at.min(MOST));
        let last = last.min(MOST);
        if first <= last {
            self.cells[cell as usize].absent(view, first, last, cause, &mut self.ctx);
        }
    }

    /// A ledger record. `at` is its time of arrival; `None` (offline): the highest `at` of all
    /// lines so far, or the first one's where none came yet.
    pub fn ledger(
        &mut self,
        record: &LedgerRecord<'_>,
        at: Option<u64>,
    ) -> Result<(), LedgerError> {
        record.validate()?;
        let at = at.map(|at| at.min(MOST));
        if let Some(at) = at {
            self.now = self.now.max(Some(at));
        }
        match at.or(self.now) {
            Some(arrived) => self.book(record.stream, record, arrived),
            None => self.early.push(Early::new(record)),
        }
        Ok(())
    }

    /// A record that arrived at `at`, of a lane that is judged in another stream than the record's,
    /// which has that as an alias: where two clusters have a topic of one name, only who read the
    /// record knows whose it is. (A mirror is not to be told, since it lags behind.)
    pub fn ledger_in(
        &mut self,
        stream: &str,
        record: &LedgerRecord<'_>,
        at: u64,
    ) -> Result<(), LedgerError> {
        record.validate()?;
        let at = at.min(MOST);
        self.now = self.now.max(Some(at));
        self.book(stream, record, at);
        Ok(())
    }

    /// The process that checks was away until `at` and goes on where it was: what is missing gets its
    /// whole grace anew.
    pub fn resume(&mut self, at: u64) {
        for cell in self.cells.iter_mut() {
            for view in 0..cell.views.len() {
                cell.go_on(view, at, &mut self.ctx);
            }
        }
    }

    /// Live: the ledger's channel was read to its end as of `at`. Offline checking never calls
    /// it; there the channel is always read to its end.
    pub fn ledger_read(&mut self, at: u64) {
        self.flush_all();
        self.ctx.ledger_read = self.ctx.ledger_read.max(Some(at.min(MOST)));
        for cell in self.cells.unsaved_mut() {
            for view in 0..cell.views.len() {
                if !cell.views[view].waiting.is_empty() {
                    cell.changed = true;
                    cell.look_again(view, &mut self.ctx);
                }
            }
        }
    }

    /// The switch went off: what is open in this partition, and what passes until its next
    /// watch, is unknown (paused).
    pub fn pause(&mut self, id: PartitionId, at: u64) {
        let at = at.min(MOST);
        let Slot { cell, view } = self.line(id, at);
        let watching = self.cells[cell as usize].pause(view, at, &mut self.ctx);
        self.spread(cell, view, watching);
    }

    /// The recording is whole: an `end` of every watched partition, every grace over.
    pub fn complete(&mut self) {
        self.book_early(self.now.unwrap_or(0));
        self.flush_all();
        let at = self.now.unwrap_or(0);
        for Slot { cell, view } in self.slots.clone() {
            if self.cells[cell as usize].views[view].watched.is_some() {
                self.settle(cell, view, None, at, true);
            }
        }
        self.ctx.complete = true;
        for logs in [true, false] {
            for cell in self.cells.iter_mut() {
                for view in 0..cell.views.len() {
                    if (cell.log == Some(view)) != logs || !cell.is_watched(view) {
                        continue;
                    }
                    if !logs {
                        cell.views[view].lag = Some((u64::MAX, 0));
                        while cell.sweep_lag(view, usize::MAX, &mut self.ctx) {}
                    }
                    for span in cell.views[view].drain_missing() {
                        cell.judge(view, span, &mut self.ctx);
                    }
                }
            }
        }
    }

    /// The highest `at` of all lines so far.
    #[must_use]
    pub fn now(&self) -> Option<u64> {
        self.now
    }

    /// Lanes that are held.
    #[must_use]
    pub fn lane_count(&self) -> usize {
        self.lanes
    }

    /// How often each limit was reached.
    #[must_use]
    pub fn reached(&self) -> Reached {
        let Context { duplicates, recovered, evidence_forgotten, .. } = &self.ctx;
        Reached {
            changes: self.changes_dropped(),
            duplicates: duplicates.list.all_dropped(),
            evidence: evidence_forgotten + recovered.list.all_dropped(),
            ..self.reached
        }
    }

    /// Changes that were not kept because nobody drained them.
    #[must_use]
    pub fn changes_dropped(&self) -> u64 {
        self.ctx.changes_dropped
    }

    /// Whether this partition has anything that an `end` could judge.
    #[must_use]
    pub fn wants_end(&self, id: PartitionId) -> bool {
        let Slot { cell, view } = self.slots[id.0 as usize];
        let missing = |cell: usize| self.cells[cell].views[view].totals.missing > 0;
        let stream = &self.streams[self.cells[cell as usize].stream as usize];
        missing(cell as usize)
            || self.span_of(cell).is_some_and(missing)
            || (stream.elsewhere && stream.misses)
    }

    /// Judges all that is due by now, however much it is.
    pub(crate) fn settle_all(&mut self) {
        self.flush_all();
        for cell in self.cells.unsaved_mut() {
            for view in 0..cell.views.len() {
                let held = &cell.views[view];
                cell.changed |= held.has_due(cell.grace) || held.lag.is_some();
                while cell.run_due(view, usize::MAX, &mut self.ctx) {}
                while cell.sweep_lag(view, usize::MAX, &mut self.ctx) {}
            }
        }
    }

    /// The streams that are known, and whether any view looks at them; else only a ledger speaks of
    /// them.
    #[must_use]
    pub fn watched_streams(&self) -> BTreeMap<String, bool> {
        let watched = |cell: &u32| {
            let cell = &self.cells[*cell as usize];
            (0..cell.views.len()).any(|view| cell.is_watched(view))
        };
        let early = self.early.iter().map(|early| (early.text.1.clone(), false));
        let known = self.streams.iter().filter(|stream| !stream.cells.is_empty());
        let known = known.map(|stream| (stream.name.clone(), stream.cells.values().any(watched)));
        early.chain(known).collect()
    }

    /// Streams that a ledger speaks of and no view looks at.
    #[must_use]
    pub fn unwatched_streams(&self) -> Vec<String> {
        let streams = self.watched_streams().into_iter();
        streams.filter(|(_, watched)| !watched).map(|(stream, _)| stream).collect()
    }

    /// Whether this checker is the one that judges a partition's lanes, or of `*` a stream's.
    #[must_use]
    pub fn owns(&self, stream: &str, partition: &str) -> bool {
        self.settings.share.owns(stream, partition)
    }

    /// A line's partition, and its time: the first one's is that of the records before it.
    pub(crate) fn line(&mut self, id: PartitionId, at: u64) -> Slot {
        if !self.early.is_empty() {
            self.book_early(at);
        }
        self.now = self.now.max(Some(at));
        let slot = self.slots[id.0 as usize];
        self.cells[slot.cell as usize].flush();
        slot
    }

    pub(crate) fn flush_all(&mut self) {
        for cell in self.cells.unsaved_mut() {
            cell.flush();
        }
    }

    pub(crate) fn book_early(&mut self, at: u64) {
        for early in core::mem::take(&mut self.early) {
            let (producer, stream, lane) = &early.text;
            self.book(stream, &LedgerRecord { producer, stream, lane, ..early.record }, at);
        }
    }

    fn book(&mut self, stream: &str, record: &LedgerRecord<'_>, arrived: u64) {
        let bounded = record.bounded();
        self.reached.record_ranges += u64::from(bounded.is_some());
        let record = bounded.as_ref().unwrap_or(record);
        let stream = self.stream_with_room(stream);
        let Some(cell) = stream.and_then(|stream| self.cell(stream, record.lane)) else {
            return;
        };
        let prefix = cell::prefix(&Stamp {
            producer: record.producer,
            epoch: record.epoch,
            origin: stamp::origin(record.stream),
            lane: record.lane,
            seq: 0,
        });
        let Some(lane) = self.lane(cell, prefix.as_bytes()) else {
            return;
        };
        let cell = &mut self.cells[cell as usize];
        cell.flush();
        cell.ledger(lane, record, arrived, &mut self.ctx);
    }

    pub(crate) fn settle(
        &mut self,
        cell: u32,
        view: usize,
        position: Option<u64>,
        at: u64,
        end: bool,
    ) {
        let own = &mut self.cells[cell as usize];
        let watching = own.settle_watch(view, position, at, end, &mut self.ctx);
        if watching != Watching::Unchanged {
            self.spread(cell, view, watching);
        }
    }
}

impl Early {
    pub(crate) fn new(record: &LedgerRecord<'_>) -> Self {
        let LedgerRecord { producer, stream, lane, .. } = *record;
        let text = (producer.into(), stream.into(), lane.into());
        let record = LedgerRecord { producer: "", stream: "", lane: "", ..record.clone() };
        Self { text, record }
    }
}
