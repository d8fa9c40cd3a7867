//! One message on its way in: its time, its stamp, its position, and then its number.

use crate::checker::{Checker, Observation, PartitionId, Slot};
use crate::lane::{LaneRef, NONE};
use crate::mutants::{Mutant, broken};
use crate::note::Reading;
use crate::stamp::{self, Stamp, StampError};
use crate::totals::Observed;
use crate::verdict::Verdict;

/// Due gaps that one message judges on its way; the rest are judged with the next ones, or when
/// they are asked for.
const DUE_SLICE: usize = 64;

impl Checker {
    /// What nearly every message is: the next number of a known lane at the next position of a
    /// log that no group watches, with nothing due. It does what [`Self::observe_any`] would do,
    /// looking every record up once. `None`: it is something else, and nothing was changed.
    #[inline]
    pub(crate) fn observe_in_order(
        &mut self,
        id: PartitionId,
        message: &Observation<'_>,
    ) -> Option<Verdict> {
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
        if !held.expects(seq, view.breaks) {
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

    pub(crate) fn observe_any(&mut self, id: PartitionId, message: &Observation<'_>) -> Verdict {
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
                if let Some(position) = message.position {
                    self.place(cell, view, position, None);
                }
                return verdict;
            }
        };
        if lane.span() && self.elsewhere(cell) {
            return self.pass_message(cell, view, message, (lane, seq), opened);
        }
        self.take(cell, view, message, lane, seq, opened)
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
            if log.observed.contains(position)
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
        if core::mem::take(&mut own.views[view].told) {
            own.look_again(view, &mut self.ctx);
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
        let (prefix, _) = stamp::split(value).unwrap_or((value, 0));
        if span && self.streams[stream].elsewhere {
            // Whoever judges it finds its lane; here it only has to be told from another one.
            return Ok((LaneRef::far(self.cells[cell as usize].digest_of(prefix)), stamp.seq));
        }
        let home = if span { self.cell(stream, stamp::SPAN) } else { Some(cell) };
        let lane = home.and_then(|home| self.lane(home, prefix));
        match lane.and_then(|lane| u32::try_from(lane).ok()) {
            Some(lane) => Ok((LaneRef::new(lane, span), stamp.seq)),
            None => {
                self.cells[cell as usize].views[view].rest.observed.valid += 1;
                Err(Verdict::Unjudged)
            }
        }
    }

    fn observed(&mut self, cell: u32, view: usize) -> &mut Observed {
        &mut self.cells[cell as usize].views[view].totals.observed
    }

    /// Notes that a position was read, and with which number (`None`: with no valid one). Whether
    /// a record was read there before; another record there means that the log was cut back.
    #[inline]
    pub(crate) fn place(
        &mut self,
        cell: u32,
        view: usize,
        position: u64,
        record: Option<(LaneRef, u64)>,
    ) -> bool {
        let own = &self.cells[cell as usize];
        let held = &own.views[view];
        let mut again = held.positions.observed.contains(position);
        if again && held.is_log && own.differs(view, position, record) {
            let at = held.now();
            self.cut_at(cell, view, position, at);
            again = false;
        }
        self.read_position(cell, view, position, again);
        again
    }

    #[inline]
    fn read_position(&mut self, cell: u32, view: usize, position: u64, again: bool) {
        let held = &mut self.cells[cell as usize].views[view];
        let now = held.now();
        let forward = Some(position) > held.positions.highest_read();
        held.positions.read(position);
        held.positions.bound(self.ctx.ranges_each);
        // Read again, it keeps the time at which it was read first.
        if held.is_log && !again {
            held.positions.times.note(position, now, forward);
            held.positions.times.bound(self.ctx.steps_each);
        }
    }

    /// A valid number.
    #[inline]
    pub(crate) fn take(
        &mut self,
        cell: u32,
        view: usize,
        message: &Observation<'_>,
        lane: LaneRef,
        seq: u64,
        opened: u64,
    ) -> Verdict {
        let again = match message.position {
            Some(position) => self.place(cell, view, position, Some((lane, seq))),
            None => false,
        };
        let own = &self.cells[cell as usize];
        let read = Reading {
            seq,
            cell,
            part: own.part,
            position: message.position.unwrap_or(NONE),
            at: message.at,
            time: message.time.unwrap_or(NONE),
            clock: own.views[view].now(),
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

    pub(crate) fn cut_at(&mut self, cell: u32, view: usize, position: u64, at: u64) {
        if self.elsewhere(cell) {
            self.pass_cut(cell, view, position, at);
        }
        let gone = self.cells[cell as usize].cut(view, position, &mut self.ctx);
        let opened = self.cells[cell as usize].views[view].now().max(at);
        let span = self.span_of(cell);
        for gone in gone {
            let home = if gone.lane.span() { span } else { Some(cell as usize) };
            if let Some(home) = home {
                self.cells[home].unsee(view, &gone, opened, &mut self.ctx);
                if gone.lane.span() {
                    self.cells[home].pass(view, Some(gone.lane.index()), &mut self.ctx);
                }
            }
        }
    }
}
