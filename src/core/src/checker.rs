//! The checker: observations and ledger records in, verdicts and counts out.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cell::{self, Cell};
use crate::context::Context;
use crate::lane::{LaneRef, NONE};
use crate::ledger::{LedgerError, LedgerRecord};
use crate::memory::{CutMemory, ReadTimes};
use crate::mutants::{Mutant, broken};
use crate::note::Reading;
use crate::retire::Retired;
use crate::settings::{Settings, StreamSettings};
use crate::stamp::{self, Stamp, StampError};
use crate::verdict::{Cause, Verdict};
use crate::view::Watch;
use crate::watch::Watching;

/// One partition of one stream in one view; found once, then used for every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId(u32);

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

/// A stream: its cells' places among all, and its views' names in the order of every cell.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: String,
    settings: StreamSettings,
    origins: Vec<u32>,
    /// By label; `*` is one of them.
    pub(crate) cells: BTreeMap<String, u32>,
    pub(crate) views: Vec<String>,
    span: Option<u32>,
    parts: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    cell: u32,
    view: usize,
}

/// A record whose time of arrival is the first line's, which has not come yet.
#[derive(Debug)]
struct Early {
    text: (String, String, String),
    record: LedgerRecord<'static>,
}

/// Judges any number of streams, partitions and views.
#[derive(Debug)]
pub struct Checker {
    pub(crate) settings: Settings,
    pub(crate) ctx: Context,
    configured: BTreeMap<String, StreamSettings>,
    names: BTreeMap<String, u32>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) cells: Vec<Cell>,
    slots: Vec<Slot>,
    slot_of: BTreeMap<(u32, usize), u32>,
    now: Option<u64>,
    early: Vec<Early>,
    lanes: usize,
    evictions: u64,
    retired: Retired,
    /// Where the sweep goes on: a cell, and a lane in it.
    hand: (usize, usize),
    logs: usize,
}

/// Due gaps that one message judges on its way; the rest are judged with the next ones, or when
/// they are asked for.
const DUE_SLICE: usize = 64;
/// Lanes that are evicted together, so that what refers to them is searched once.
const EVICTION_BATCH: usize = 1_024;

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
            cells: Vec::new(),
            slots: Vec::new(),
            slot_of: BTreeMap::new(),
            now: None,
            early: Vec::new(),
            lanes: 0,
            evictions: 0,
            retired: Retired::default(),
            hand: (0, 0),
            logs: 0,
        }
    }

    /// Settings of one stream; they hold for a stream that is not known yet.
    pub fn configure(&mut self, stream: &str, settings: StreamSettings) {
        self.configured.insert(stream.into(), settings);
    }

    /// A partition of a stream in a view. `None`: [`crate::Limits::partitions`] are known.
    pub fn partition(&mut self, view: &str, stream: &str, partition: &str) -> Option<PartitionId> {
        let stream = self.stream(stream);
        let cell = self.cell(stream, partition)?;
        let view = self.view(stream, view);
        if let Some(&known) = self.slot_of.get(&(cell, view)) {
            return Some(PartitionId(known));
        }
        if self.slots.len() >= self.settings.limits.partitions {
            return None;
        }
        let index = u32::try_from(self.slots.len()).ok()?;
        self.slots.push(Slot { cell, view });
        self.slot_of.insert((cell, view), index);
        self.logs += usize::from(self.cells[cell as usize].log == Some(view));
        let runs = self.settings.limits.cut_memory_bytes / CutMemory::RUN_BYTES;
        self.ctx.runs_each = (runs / self.logs.max(1)).max(1);
        let steps = self.settings.limits.read_times_bytes / ReadTimes::STEP_BYTES;
        self.ctx.steps_each = (steps / self.logs.max(1)).max(4);
        Some(PartitionId(index))
    }

    /// A message. What is due by its time is judged first, then it is taken in.
    #[inline]
    pub fn observe(&mut self, id: PartitionId, message: &Observation<'_>) -> Verdict {
        match self.observe_in_order(id, message) {
            Some(verdict) => verdict,
            None => self.observe_any(id, message),
        }
    }

    /// What nearly every message is: the next number of a known lane at the next position of a
    /// log that no group watches, with nothing due. It does what [`Self::observe_any`] would do,
    /// looking every record up once. `None`: it is something else, and nothing was changed.
    #[inline]
    fn observe_in_order(&mut self, id: PartitionId, message: &Observation<'_>) -> Option<Verdict> {
        let slot = self.slots.get(id.0 as usize)?;
        let cell = self.cells.get_mut(slot.cell as usize)?;
        if cell.views.len() != 1 || cell.spanned || !self.early.is_empty() {
            return None;
        }
        let (prefix, seq) = stamp::split(message.stamp?)?;
        let lane = cell.find(prefix)?;
        let view = cell.views.first_mut()?;
        let position = message.position?;
        if !view.reads_on(position, message.at) {
            return None;
        }
        let held = view.lanes.get_mut(lane)?;
        if !held.expects(seq, view.pauses) {
            return None;
        }
        held.advance(position, message.at, message.time.unwrap_or(NONE));
        if view.read_on(message.at) {
            view.positions.times.bound(self.ctx.steps_each);
            self.now = self.now.max(Some(message.at));
        }
        let lane = LaneRef::new(u32::try_from(lane).ok()?, false);
        view.positions.memory.note(position, lane, seq, false);
        view.positions.memory.bound(self.ctx.runs_each);
        Some(Verdict::New)
    }

    fn observe_any(&mut self, id: PartitionId, message: &Observation<'_>) -> Verdict {
        let Slot { cell, view } = self.line(id, message.at);
        let verdict = self.observe_slowly(cell, view, message);
        let cell = &mut self.cells[cell as usize];
        cell.views[view].arm(cell.grace, message.position);
        verdict
    }

    fn observe_slowly(&mut self, cell: u32, view: usize, message: &Observation<'_>) -> Verdict {
        let index = cell as usize;
        let held = &self.cells[index].views[view];
        if held.watched.is_none() || held.start_open || held.undecided.is_some() {
            self.settle(cell, view, message.position, message.at, false);
        }
        let opened = self.advance_clock(cell, view, message);
        let (lane, seq) = match self.classify(cell, view, message.stamp) {
            Ok(found) => found,
            Err(verdict) => {
                self.unjudged_position(cell, view, message.position);
                return verdict;
            }
        };
        self.take(cell, view, message, lane, seq, opened)
    }

    /// A `watch` line.
    pub fn watch(&mut self, id: PartitionId, watch: &Watch) {
        let Slot { cell, view } = self.line(id, watch.at);
        let watching = self.cells[cell as usize].watch(view, watch, &mut self.ctx);
        self.spread(cell, view, watching);
    }

    /// An `end` line; `position` is the log's end.
    pub fn end(&mut self, id: PartitionId, position: Option<u64>, at: u64) {
        let Slot { cell, view } = self.line(id, at);
        self.settle(cell, view, position, at, true);
        let own = &mut self.cells[cell as usize];
        own.end(view, position, at, &mut self.ctx);
        let (part, now) = (own.part, own.views[view].now());
        if let Some(span) = self.span_of(cell) {
            self.cells[span].tick(view, now, &mut self.ctx);
            self.cells[span].part_ended(view, part, at, &mut self.ctx);
        }
    }

    /// A `cut` line.
    pub fn cut(&mut self, id: PartitionId, position: u64, at: u64) {
        let Slot { cell, view } = self.line(id, at);
        self.cut_at(cell, view, position, at);
    }

    /// An `absent` line: these positions, inclusive, hold nothing, and why.
    pub fn absent(&mut self, id: PartitionId, first: u64, last: u64, cause: Cause, at: u64) {
        let Slot { cell, view } = self.line(id, at);
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
        if let Some(at) = at {
            self.now = self.now.max(Some(at));
        }
        match at.or(self.now) {
            Some(arrived) => self.book(record, arrived),
            None => self.early.push(Early::new(record)),
        }
        Ok(())
    }

    /// Live: the ledger's channel was read to its end as of `at`. Offline checking never calls
    /// it; there the channel is always read to its end.
    pub fn ledger_read(&mut self, at: u64) {
        self.flush_all();
        self.ctx.ledger_read = self.ctx.ledger_read.max(Some(at));
        for cell in &mut self.cells {
            for view in 0..cell.views.len() {
                if !cell.views[view].waiting.is_empty() {
                    cell.look_again(view, &mut self.ctx);
                }
            }
        }
    }

    /// The switch went off: what is open in this partition, and what passes until its next
    /// watch, is unknown (paused).
    pub fn pause(&mut self, id: PartitionId, at: u64) {
        let Slot { cell, view } = self.line(id, at);
        let watching = self.cells[cell as usize].pause(view, at, &mut self.ctx);
        self.spread(cell, view, watching);
    }

    /// The recording is whole: an `end` of every watched partition, every grace over.
    pub fn complete(&mut self) {
        self.book_early(self.now.unwrap_or(0));
        self.flush_all();
        let at = self.now.unwrap_or(0);
        for slot in self.slots.clone() {
            self.settle(slot.cell, slot.view, None, at, true);
        }
        self.ctx.complete = true;
        for logs in [true, false] {
            for cell in &mut self.cells {
                for view in 0..cell.views.len() {
                    if (cell.log == Some(view)) != logs || !cell.is_watched(view) {
                        continue;
                    }
                    for span in cell.views[view].drain_missing() {
                        cell.judge(view, span, &mut self.ctx);
                    }
                    if !logs {
                        cell.views[view].lag = Some((u64::MAX, 0));
                        while cell.sweep_lag(view, usize::MAX, &mut self.ctx) {}
                    }
                }
            }
        }
    }

    /// Background work in slices of `budget` lanes: retires lanes that are done, goes on with
    /// what ends left behind. Whether there is more to do now.
    pub fn sweep(&mut self, now: u64, budget: usize) -> bool {
        let (cell, from) = self.hand;
        let Some(own) = self.cells.get_mut(cell) else {
            self.hand = (0, 0);
            return false;
        };
        own.flush();
        let mut more = false;
        for view in 0..own.views.len() {
            more |= own.sweep_lag(view, budget, &mut self.ctx);
        }
        let done: Vec<usize> = own
            .live(from, budget)
            .into_iter()
            .filter(|&lane| own.is_done(lane, now, &self.ctx))
            .collect();
        for &lane in &done {
            own.retire(lane, &mut self.retired, &self.ctx);
        }
        self.hand =
            if from + budget < own.lanes.len() { (cell, from + budget) } else { (cell + 1, 0) };
        self.forget(cell, &done);
        more || self.hand.1 > 0 || self.hand.0 < self.cells.len()
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

    /// Lanes that were evicted at the limit.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.evictions
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
        missing(cell as usize) || self.span_of(cell).is_some_and(missing)
    }

    /// Judges all that is due by now, however much it is.
    pub(crate) fn settle_all(&mut self) {
        self.book_early(self.now.unwrap_or(0));
        self.flush_all();
        for cell in &mut self.cells {
            for view in 0..cell.views.len() {
                while cell.run_due(view, usize::MAX, &mut self.ctx) {}
                while cell.sweep_lag(view, usize::MAX, &mut self.ctx) {}
            }
        }
    }

    /// Streams that a ledger speaks of and no view looks at.
    pub fn unwatched_streams(&mut self) -> Vec<String> {
        self.book_early(self.now.unwrap_or(0));
        let watched = |cell: &u32| {
            let cell = &self.cells[*cell as usize];
            (0..cell.views.len()).any(|view| cell.is_watched(view))
        };
        self.streams
            .iter()
            .filter(|stream| !stream.cells.values().any(watched))
            .map(|stream| stream.name.clone())
            .collect()
    }

    fn stream(&mut self, name: &str) -> usize {
        if let Some(&stream) = self.names.get(name) {
            return stream as usize;
        }
        let default = || self.settings.default_stream.clone();
        let settings = self.configured.get(name).cloned().unwrap_or_else(default);
        let names = core::iter::once(name).chain(settings.aliases.iter().map(String::as_str));
        let origins = names.map(stamp::origin).collect();
        self.names.insert(name.into(), u32::try_from(self.streams.len()).unwrap_or(u32::MAX));
        self.streams.push(Stream {
            name: name.into(),
            settings,
            origins,
            cells: BTreeMap::new(),
            views: Vec::new(),
            span: None,
            parts: 0,
        });
        self.streams.len() - 1
    }

    fn cell(&mut self, stream: usize, label: &str) -> Option<u32> {
        let owner = &mut self.streams[stream];
        if let Some(&cell) = owner.cells.get(label) {
            return Some(cell);
        }
        if self.cells.len() >= 2 * self.settings.limits.partitions {
            return None;
        }
        let index = u32::try_from(self.cells.len()).ok()?;
        let of = u32::try_from(stream).ok()?;
        let seed = self.settings.hash_seed;
        let mut cell = Cell::new(index, of, label, owner.parts, &owner.settings, seed);
        owner.parts += 1;
        for view in &owner.views {
            cell.add_view(view);
        }
        owner.cells.insert(label.into(), index);
        if cell.span {
            owner.span = Some(index);
        }
        let siblings: Vec<u32> =
            owner.cells.values().copied().filter(|&own| own != index).collect();
        cell.spanned = owner.span.is_some();
        self.cells.push(cell);
        if self.cells[index as usize].span {
            for sibling in siblings {
                self.cells[sibling as usize].spanned = true;
                for view in 0..self.streams[stream].views.len() {
                    self.watch_part(sibling, view);
                }
            }
        }
        Some(index)
    }

    fn view(&mut self, stream: usize, name: &str) -> usize {
        let owner = &mut self.streams[stream];
        if let Some(view) = owner.views.iter().position(|view| view == name) {
            return view;
        }
        owner.views.push(name.into());
        let view = owner.views.len() - 1;
        for &cell in owner.cells.values() {
            let cell = &mut self.cells[cell as usize];
            cell.flush();
            cell.add_view(name);
            for lane in 0..cell.lanes.len() {
                if let Some(arrived) = cell.lanes[lane].ledger.as_ref().map(|ledger| ledger.arrived)
                {
                    cell.announce(view, lane, arrived, &mut self.ctx);
                }
            }
        }
        view
    }

    fn span_of(&self, cell: u32) -> Option<usize> {
        let span = self.streams[self.cells[cell as usize].stream as usize].span?;
        (span != cell).then_some(span as usize)
    }

    /// A line's partition, and its time: the first one's is that of the records before it.
    fn line(&mut self, id: PartitionId, at: u64) -> Slot {
        if !self.early.is_empty() {
            self.book_early(at);
        }
        self.now = self.now.max(Some(at));
        let slot = self.slots[id.0 as usize];
        self.cells[slot.cell as usize].flush();
        slot
    }

    fn flush_all(&mut self) {
        for cell in &mut self.cells {
            cell.flush();
        }
    }

    fn book_early(&mut self, at: u64) {
        for early in core::mem::take(&mut self.early) {
            let (producer, stream, lane) = &early.text;
            self.book(&LedgerRecord { producer, stream, lane, ..early.record }, at);
        }
    }

    fn book(&mut self, record: &LedgerRecord<'_>, arrived: u64) {
        let stream = self.stream(record.stream);
        let Some(cell) = self.cell(stream, record.lane) else {
            return;
        };
        let prefix = cell::prefix(&Stamp {
            producer: record.producer,
            epoch: record.epoch,
            origin: self.streams[stream].origins[0],
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

    fn settle(&mut self, cell: u32, view: usize, position: Option<u64>, at: u64, end: bool) {
        let own = &mut self.cells[cell as usize];
        let watching = own.settle_watch(view, position, at, end, &mut self.ctx);
        self.spread(cell, view, watching);
    }

    /// Tells lane `*` what became of a partition's watch.
    fn spread(&mut self, cell: u32, view: usize, watching: Watching) {
        let Some(span) = self.span_of(cell) else {
            return;
        };
        let span = &mut self.cells[span];
        match watching {
            Watching::Unchanged => {}
            Watching::Began => self.watch_part(cell, view),
            Watching::Continued(from) => span.go_on(view, from, &mut self.ctx),
            Watching::Paused => {
                let at = self.cells[cell as usize].views[view].watched.map_or(0, |own| own.since);
                if let Some(span) = self.span_of(cell) {
                    self.cells[span].pause(view, at, &mut self.ctx);
                    self.set_part(cell, span, view);
                }
            }
        }
    }

    fn watch_part(&mut self, cell: u32, view: usize) {
        let (Some(span), Some(state)) =
            (self.span_of(cell), self.cells[cell as usize].part_state(view))
        else {
            return;
        };
        let part = self.cells[cell as usize].part;
        self.cells[span].part_watched(view, part, state, &mut self.ctx);
    }

    fn set_part(&mut self, cell: u32, span: usize, view: usize) {
        let own = &self.cells[cell as usize];
        let state = own.part_state(view).unwrap_or_default();
        let part = own.part;
        *self.cells[span].part_mut(view, part) = state;
    }

    /// Moves the view's clock and judges what is due. Gives the time from which the grace of gaps
    /// runs that this message opens.
    #[inline]
    fn advance_clock(&mut self, cell: u32, view: usize, message: &Observation<'_>) -> u64 {
        let own = &mut self.cells[cell as usize];
        let (mut earliest, mut latest) = (message.at, message.at);
        if own.log != Some(view)
            && let (Some(position), Some(log)) = (message.position, own.log)
        {
            let log = &own.views[log].positions;
            if log.covered.contains(position)
                && !broken(Mutant::SlowGroupLate)
                && let Some(times) = log.times.of(position)
            {
                (earliest, latest) = times;
            }
        }
        let held = &mut own.views[view];
        held.clock = held.clock.max(Some(earliest));
        held.last_at = held.last_at.max(Some(message.at));
        let now = held.now();
        if held.has_due(own.grace) {
            own.run_due(view, DUE_SLICE, &mut self.ctx);
        }
        if own.lags(view) {
            own.sweep_lag(view, DUE_SLICE, &mut self.ctx);
        }
        if let Some(span) = self.span_of(cell) {
            self.cells[span].tick(view, now, &mut self.ctx);
        }
        latest.max(now)
    }

    /// Whose stamp it is. `Err`: it is not judged; it has been counted.
    #[inline]
    fn classify(
        &mut self,
        cell: u32,
        view: usize,
        value: Option<&[u8]>,
    ) -> Result<(LaneRef, u64), Verdict> {
        let Some(value) = value else {
            self.observed(cell, view).absent += 1;
            return Err(Verdict::Unstamped);
        };
        if let Some((prefix, seq)) = stamp::split(value) {
            let (home, span) = if prefix.ends_with(b";*") {
                match self.span_of(cell) {
                    Some(home) => (home, true),
                    None => return self.classify_new(cell, view, value),
                }
            } else {
                (cell as usize, false)
            };
            if let Some(lane) = self.cells[home].find(prefix) {
                self.observed(cell, view).valid += 1;
                return Ok((LaneRef::new(u32::try_from(lane).unwrap_or(u32::MAX), span), seq));
            }
        }
        self.classify_new(cell, view, value)
    }

    fn classify_new(
        &mut self,
        cell: u32,
        view: usize,
        value: &[u8],
    ) -> Result<(LaneRef, u64), Verdict> {
        let own = &self.cells[cell as usize];
        let stamp = match Stamp::parse(value) {
            Ok(stamp) => stamp,
            Err(StampError::Unsupported) => {
                self.observed(cell, view).unsupported += 1;
                return Err(Verdict::Unsupported);
            }
            Err(StampError::Malformed) => {
                self.observed(cell, view).malformed += 1;
                return Err(Verdict::Malformed);
            }
        };
        let stream = own.stream as usize;
        if !self.streams[stream].origins.contains(&stamp.origin) || !stamp.lane_fits(&own.label) {
            self.observed(cell, view).foreign += 1;
            return Err(Verdict::Foreign);
        }
        self.observed(cell, view).valid += 1;
        let span = stamp.lane == stamp::SPAN;
        let home = if span { self.cell(stream, stamp::SPAN) } else { Some(cell) };
        let prefix = value.iter().rposition(|&byte| byte == b';').map_or(value, |at| &value[..at]);
        let lane = home.and_then(|home| self.lane(home, prefix));
        match lane.and_then(|lane| u32::try_from(lane).ok()) {
            Some(lane) => Ok((LaneRef::new(lane, span), stamp.seq)),
            None => {
                self.cells[cell as usize].views[view].rest.observed.valid += 1;
                Err(Verdict::Unjudged)
            }
        }
    }

    fn observed(&mut self, cell: u32, view: usize) -> &mut crate::totals::Observed {
        &mut self.cells[cell as usize].views[view].totals.observed
    }

    /// The lane with this prefix; made, if there is room.
    fn lane(&mut self, cell: u32, prefix: &[u8]) -> Option<usize> {
        if let Some(lane) = self.cells[cell as usize].find(prefix) {
            return Some(lane);
        }
        if self.lanes >= self.settings.limits.lanes {
            self.evict();
        }
        let own = &mut self.cells[cell as usize];
        if self.lanes >= self.settings.limits.lanes || own.live_lanes() >= LaneRef::MOST {
            return None;
        }
        let lane = own.create(prefix);
        self.lanes += 1;
        if let Some(next) = self.retired.revive(cell, own.digest(lane)) {
            for view in &mut own.views {
                let held = view.lane_mut(lane);
                (held.first, held.next) = (next, next);
                held.set_revived(true);
            }
        }
        Some(lane)
    }

    /// A message that is not judged has a position all the same.
    fn unjudged_position(&mut self, cell: u32, view: usize, position: Option<u64>) {
        let Some(position) = position else { return };
        let own = &self.cells[cell as usize];
        let held = &own.views[view];
        if held.is_log
            && held.positions.observed.contains(position)
            && own.differs(view, position, None)
        {
            let at = held.now();
            self.cut_at(cell, view, position, at);
        }
        self.read_position(cell, view, position);
    }

    #[inline]
    fn read_position(&mut self, cell: u32, view: usize, position: u64) {
        let held = &mut self.cells[cell as usize].views[view];
        let now = held.now();
        held.positions.read(position);
        held.positions.bound();
        if held.is_log {
            held.positions.times.note(position, now);
            held.positions.times.bound(self.ctx.steps_each);
        }
    }

    /// A valid number.
    #[inline]
    fn take(
        &mut self,
        cell: u32,
        view: usize,
        message: &Observation<'_>,
        lane: LaneRef,
        seq: u64,
        opened: u64,
    ) -> Verdict {
        let mut again = false;
        if let Some(position) = message.position {
            let own = &self.cells[cell as usize];
            let held = &own.views[view];
            again = held.positions.observed.contains(position);
            if again && held.is_log && own.differs(view, position, Some((lane, seq))) {
                let at = held.now();
                self.cut_at(cell, view, position, at);
                again = false;
            }
            self.read_position(cell, view, position);
        }
        let own = &self.cells[cell as usize];
        let read = Reading {
            seq,
            cell,
            part: own.part,
            position: message.position.unwrap_or(NONE),
            at: message.at,
            time: message.time.unwrap_or(NONE),
            opened,
            again,
            redelivered: message.redelivered,
        };
        let home =
            if lane.span() { self.span_of(cell).unwrap_or(cell as usize) } else { cell as usize };
        let verdict = self.cells[home].note(view, lane.index(), &read, &mut self.ctx);
        if let Some(position) = message.position
            && verdict != Verdict::Reread
        {
            let held = &mut self.cells[cell as usize].views[view];
            if held.is_log {
                let copy = matches!(verdict, Verdict::Repeated(_));
                held.positions.memory.note(position, lane, seq, copy);
                held.positions.memory.bound(self.ctx.runs_each);
            }
        }
        verdict
    }

    fn cut_at(&mut self, cell: u32, view: usize, position: u64, at: u64) {
        let gone = self.cells[cell as usize].cut(view, position);
        let span = self.span_of(cell);
        for gone in gone {
            let home = if gone.lane.span() { span } else { Some(cell as usize) };
            if let Some(home) = home {
                self.cells[home].unsee(view, &gone, at, &mut self.ctx);
            }
        }
    }

    /// Makes room: drops the lanes that are idle longest, as far as a sample tells.
    fn evict(&mut self) {
        self.flush_all();
        let total: usize = self.cells.iter().map(|cell| cell.lanes.len()).sum();
        let step = (total / 4_096).max(1);
        let mut ages = Vec::new();
        let mut skip = 0;
        for cell in &self.cells {
            let mut lane = skip;
            while lane < cell.lanes.len() {
                if cell.lanes[lane].key_len > 0 {
                    ages.push(cell.last_touched(lane));
                }
                lane += step;
            }
            skip = lane - cell.lanes.len();
        }
        let batch = EVICTION_BATCH.min(self.settings.limits.lanes / 16).max(1);
        let rank = (ages.len() * batch).div_ceil(self.lanes.max(1)).min(ages.len()).max(1) - 1;
        if ages.is_empty() {
            return;
        }
        let (_, &mut oldest, _) = ages.select_nth_unstable(rank);
        let now = self.now.unwrap_or(0);
        let mut left = batch;
        for index in 0..self.cells.len() {
            let cell = &mut self.cells[index];
            let mut dead = Vec::new();
            for lane in cell.live(0, usize::MAX) {
                if left == 0 {
                    break;
                }
                if cell.last_touched(lane) <= oldest {
                    cell.evict(lane, now, &mut self.ctx);
                    dead.push(lane);
                    left -= 1;
                }
            }
            self.evictions += dead.len() as u64;
            self.forget(index, &dead);
        }
    }

    /// Drops what still refers to lanes of a cell that are gone.
    fn forget(&mut self, cell: usize, dead: &[usize]) {
        if dead.is_empty() {
            return;
        }
        self.lanes -= dead.len();
        let span = self.cells[cell].span;
        let index = self.cells[cell].index;
        let is_dead = |lane: usize| dead.binary_search(&lane).is_ok();
        self.ctx.forget(|of, lane| of == index && is_dead(lane as usize));
        let stream = self.cells[cell].stream;
        let cells = self
            .cells
            .iter_mut()
            .filter(|other| other.index == index || (span && other.stream == stream));
        for other in cells {
            other.forget_positions(|lane| lane.span() == span && is_dead(lane.index()));
        }
    }
}

impl Early {
    fn new(record: &LedgerRecord<'_>) -> Self {
        let LedgerRecord { producer, stream, lane, .. } = *record;
        let text = (producer.into(), stream.into(), lane.into());
        let record = LedgerRecord { producer: "", stream: "", lane: "", ..record.clone() };
        Self { text, record }
    }
}
