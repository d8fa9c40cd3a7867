//! A partition of a stream (or its cell `*`): the lanes found there, and every view of it.

use alloc::string::String;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::context::{Context, Place};
use crate::hole::Hole;
use crate::lane::{Lane, LaneView};
use crate::mutants::{Mutant, broken};
use crate::settings::StreamSettings;
use crate::stamp::{self, Stamp};
use crate::state::{Blocks, Names};
use crate::verdict::Reason;
use crate::view::View;

/// The views of all cells of a stream stand in one order, so an index names a view in each.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) index: u32,
    pub(crate) stream: u32,
    pub(crate) label: String,
    /// Lane `*`: the whole stream.
    pub(crate) span: bool,
    /// The stream has lanes `*`, which follow what this partition shows.
    pub(crate) spanned: bool,
    /// Another checker's partition, of which only lanes `*` are judged here.
    pub(crate) shadow: bool,
    /// Which of its stream's partitions this is.
    pub(crate) part: usize,
    pub(crate) grace: u64,
    pub(crate) skew: u64,
    hasher: FixedState,
    table: HashTable<u32>,
    pub(crate) keys: Vec<u8>,
    /// Bytes of keys whose lanes are gone.
    dead_keys: usize,
    pub(crate) lanes: Blocks<Lane>,
    pub(crate) free: Vec<u32>,
    pub(crate) names: Names,
    /// The lane that was found last, and its prefix's hash.
    last: (usize, u64),
    pub(crate) views: Vec<View>,
    /// The index of view `log`.
    pub(crate) log: Option<usize>,
    /// Something of it may have changed since it was saved.
    pub(crate) changed: bool,
}

impl Cell {
    pub(crate) fn new(
        index: u32,
        stream: u32,
        label: &str,
        part: usize,
        settings: &StreamSettings,
        seed: u64,
    ) -> Self {
        Self {
            index,
            stream,
            label: label.into(),
            span: label == stamp::SPAN,
            spanned: false,
            shadow: false,
            part,
            grace: settings.grace_ms,
            skew: settings.clock_skew_ms,
            hasher: FixedState::with_seed(seed),
            table: HashTable::new(),
            keys: Vec::new(),
            dead_keys: 0,
            lanes: Blocks::default(),
            free: Vec::new(),
            names: Names::default(),
            changed: true,
            last: (0, 0),
            views: Vec::new(),
            log: None,
        }
    }

    pub(crate) fn configure(&mut self, settings: &StreamSettings) {
        // What is read on knows when the next gap is due.
        self.flush();
        (self.grace, self.skew) = (settings.grace_ms, settings.clock_skew_ms);
    }

    pub(crate) fn add_view(&mut self, name: &str) {
        let is_log = name == "log";
        if is_log {
            self.log = Some(self.views.len());
        }
        self.views.push(View::new(name, is_log));
    }

    /// Brings the views' counts and positions up to date before they are looked at.
    pub(crate) fn flush(&mut self) {
        for view in &mut self.views {
            view.flush();
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "bounded by the limits of lanes and views")]
    pub(crate) fn place(&self, view: usize, lane: usize) -> Place {
        Place { cell: self.index, view: view as u16, lane: lane as u32 }
    }

    /// The lane with this prefix, if it is known.
    #[inline]
    pub(crate) fn find(&mut self, prefix: &[u8]) -> Option<usize> {
        let hash = hash(&self.hasher, prefix);
        let (last, last_hash) = self.last;
        if hash == last_hash && self.lanes.get(last).is_some_and(|lane| self.key_of(lane) == prefix)
        {
            return Some(last);
        }
        let found = self.table.find(hash, |&lane| self.key(lane as usize) == prefix)?;
        self.last = (*found as usize, hash);
        Some(self.last.0)
    }

    /// A new lane; its prefix must be canonical, and not known.
    pub(crate) fn create(&mut self, prefix: &[u8]) -> usize {
        debug_assert!(self.find(prefix).is_none(), "a lane twice");
        let key = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        let key_len = u8::try_from(prefix.len()).unwrap_or(u8::MAX);
        self.keys.extend_from_slice(prefix);
        let lane = Lane { key, key_len, ledger: None };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.names.note(slot as usize, &self.lanes, &self.keys);
                self.lanes[slot as usize] = lane;
                slot
            }
            None => {
                self.names.note(self.lanes.len(), &self.lanes, &self.keys);
                self.lanes.push(lane);
                u32::try_from(self.lanes.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let (keys, lanes, hasher) = (&self.keys, &self.lanes, &self.hasher);
        self.table.insert_unique(hash(hasher, prefix), slot, |&lane| {
            hash(hasher, lanes[lane as usize].prefix(keys))
        });
        slot as usize
    }

    /// Adds a lane that was known, or (without a name) a free place. Whether there is room for it.
    pub(crate) fn restore(&mut self, prefix: &[u8]) -> bool {
        let Ok(slot) = u32::try_from(self.lanes.len()) else { return false };
        let (Ok(key), Ok(key_len)) = (u32::try_from(self.keys.len()), u8::try_from(prefix.len()))
        else {
            return false;
        };
        self.keys.extend_from_slice(prefix);
        self.names.note(self.lanes.len(), &self.lanes, &self.keys);
        self.lanes.push(Lane { key, key_len, ledger: None });
        if prefix.is_empty() {
            self.free.push(slot);
        }
        true
    }

    /// All lanes were added: they can be found.
    pub(crate) fn finish_loading(&mut self) {
        let (keys, lanes, hasher) = (&self.keys, &self.lanes, &self.hasher);
        let of = |lane: usize| hash(hasher, lanes[lane].prefix(keys));
        self.table.clear();
        self.table.reserve(lanes.len(), |&lane| of(lane as usize));
        for lane in (0..lanes.len()).filter(|&lane| lanes[lane].key_len > 0) {
            let slot = u32::try_from(lane).unwrap_or(u32::MAX);
            self.table.insert_unique(of(lane), slot, |&lane| of(lane as usize));
        }
        self.free.reverse();
    }

    /// Frees a lane's slot. What all views hold of it must have been accounted for.
    pub(crate) fn free(&mut self, lane: usize) {
        let hash = hash(&self.hasher, self.key(lane));
        let slot = u32::try_from(lane).unwrap_or(u32::MAX);
        if let Ok(entry) = self.table.find_entry(hash, |&other| other == slot) {
            entry.remove();
        }
        self.dead_keys += usize::from(self.lanes[lane].key_len);
        self.names.note(lane, &self.lanes, &self.keys);
        self.lanes[lane] = Lane::default();
        self.free.push(slot);
        for view in &mut self.views {
            if let Some(held) = view.lanes.get_mut(lane) {
                *held = LaneView::default();
            }
        }
        if self.dead_keys > self.keys.len() / 2 {
            self.compact_keys();
        }
    }

    pub(crate) fn live_lanes(&self) -> usize {
        self.lanes.len() - self.free.len()
    }

    /// The lane's prefix: its stamps up to the last `;`.
    #[inline]
    pub(crate) fn key(&self, lane: usize) -> &[u8] {
        self.key_of(&self.lanes[lane])
    }

    pub(crate) fn digest(&self, lane: usize) -> u64 {
        hash(&self.hasher, self.key(lane))
    }

    pub(crate) fn digest_of(&self, prefix: &[u8]) -> u64 {
        hash(&self.hasher, prefix)
    }

    /// The lane's producer, epoch and label.
    pub(crate) fn identity(&self, lane: usize) -> (&str, u64, &str) {
        let mut fields = self.key(lane).split(|&byte| byte == b';').skip(1);
        let producer = fields.next().and_then(|field| core::str::from_utf8(field).ok());
        let epoch = fields.next().and_then(stamp::parse_epoch);
        let label = fields.nth(1).and_then(|field| core::str::from_utf8(field).ok());
        (producer.unwrap_or(""), epoch.unwrap_or(0), label.unwrap_or(""))
    }

    /// Whether numbers from 0 are expected (contracts §4, a lane's start), for a lane whose first
    /// observation is at `first_seen`.
    pub(crate) fn expects_zero(&self, view: usize, epoch: u64, first_seen: u64) -> bool {
        let began_after = |since: u64| {
            epoch > since.saturating_add(self.skew)
                && !broken(Mutant::EpochUnread)
                && (epoch <= first_seen.saturating_add(self.skew)
                    || broken(Mutant::FutureEpochRead))
        };
        let view = &self.views[view];
        if self.span {
            let mut watched = view.parts.iter().filter(|part| part.watched).peekable();
            return watched.peek().is_some()
                && watched.all(|part| part.from_start || began_after(part.since));
        }
        view.watched.is_some_and(|watched| watched.from_start || began_after(watched.since))
    }

    /// Why a lane that is not expected from zero cannot be judged below its first number.
    pub(crate) fn base_reason(&self, view: usize) -> Reason {
        let held = &self.views[view];
        let part_paused = held.parts.iter().any(|part| part.watched && part.paused);
        if part_paused || (held.paused && !self.span) { Reason::Paused } else { Reason::Joined }
    }

    /// Whether any view looks at this cell.
    pub(crate) fn is_watched(&self, view: usize) -> bool {
        let view = &self.views[view];
        view.watched.is_some() || view.parts.iter().any(|part| part.watched)
    }

    /// Gives the lane a row in this view.
    pub(crate) fn appear(&mut self, view: usize, lane: usize) {
        let without_ledger = self.lanes[lane].ledger.is_none();
        let view = &mut self.views[view];
        let breaks = view.breaks;
        let held = view.lane_mut(lane);
        if held.present() {
            return;
        }
        held.set_present(true);
        held.breaks = breaks;
        view.totals.lanes += 1;
        view.totals.lanes_without_ledger += u64::from(without_ledger);
    }

    /// Brings a lane up to date with the breaks and ends of its view.
    pub(crate) fn touch(&mut self, view: usize, lane: usize, ctx: &mut Context) {
        let held = &mut self.views[view];
        let breaks = held.breaks;
        let state = held.lane_mut(lane);
        if state.present() && state.breaks != breaks {
            state.breaks = breaks;
            state.set_awaiting(true);
            state.set_broken(true);
        }
        self.catch_up(view, lane, ctx);
    }

    /// Whether a group's end has left lanes to look at.
    #[inline]
    pub(crate) fn lags(&self, view: usize) -> bool {
        self.views[view].lag.is_some()
    }

    /// Takes one number out of the hole that it lies in, if it lies in one; gives back the number
    /// alone.
    pub(crate) fn take_one(&mut self, view: usize, lane: usize, number: u64) -> Option<Hole> {
        let held = &mut self.views[view];
        let (hole, rows) = held.lanes[lane].extra.as_mut()?.gaps.fill(number)?;
        held.totals.open_gaps = held.totals.open_gaps.saturating_add_signed(rows);
        Some(Hole { first: number, last: number, ..hole })
    }

    fn key_of(&self, lane: &Lane) -> &[u8] {
        lane.prefix(&self.keys)
    }

    fn compact_keys(&mut self) {
        let mut keys = Vec::with_capacity(self.keys.len() - self.dead_keys);
        for lane in self.lanes.unsaved_mut().iter_mut().filter(|lane| lane.key_len > 0) {
            let start = keys.len();
            keys.extend_from_slice(lane.prefix(&self.keys));
            lane.key = u32::try_from(start).unwrap_or(u32::MAX);
        }
        self.keys = keys;
        self.dead_keys = 0;
    }
}

/// The bytes alone: a slice's own hash would add its length.
#[inline]
fn hash(hasher: &FixedState, prefix: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(prefix);
    state.finish()
}

/// A stamp's own prefix, as it is written.
pub(crate) fn prefix(stamp: &Stamp<'_>) -> String {
    let mut text = alloc::format!("{stamp}");
    text.truncate(text.rfind(';').unwrap_or(0));
    text
}
