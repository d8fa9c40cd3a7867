//! The names that a checker knows: streams, their partitions and views, and how a partition's
//! watch reaches its stream's lane `*`.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cell::Cell;
use crate::checker::{Checker, PartitionId, Slot};
use crate::lane::LaneRef;
use crate::memory::CutMemory;
use crate::read_times::ReadTimes;
use crate::settings::StreamSettings;
use crate::stamp;
use crate::view::Watch;
use crate::watch::Watching;

/// Ranges of positions that are told apart in a partition: at least, and at most.
const FEWEST_RANGES: usize = 64;
const MOST_RANGES: usize = 65_536;

/// A stream: its cells' places among all, and its views' names in the order of every cell.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: String,
    settings: StreamSettings,
    /// CRC-32 of its own name and of those that it mirrors.
    pub(crate) origins: Vec<u32>,
    /// By label; `*` is one of them.
    pub(crate) cells: BTreeMap<String, u32>,
    pub(crate) views: Vec<String>,
    pub(crate) span: Option<u32>,
    parts: usize,
    /// Another checker judges its lanes `*`.
    pub(crate) elsewhere: bool,
    /// Its lanes `*` miss a number, as was told last.
    pub(crate) misses: bool,
    /// Names came since it was saved.
    pub(crate) changed: bool,
}

impl Stream {
    pub(crate) fn configure(&mut self, settings: &StreamSettings) {
        let aliases = settings.aliases.iter().map(String::as_str);
        self.origins = core::iter::once(&*self.name).chain(aliases).map(stamp::origin).collect();
        self.settings = settings.clone();
    }
}

impl Checker {
    /// A partition of a stream in a view. `None`: [`crate::Limits::partitions`] are known, or
    /// [`crate::Limits::views`] of the stream.
    pub fn partition(&mut self, view: &str, stream: &str, partition: &str) -> Option<PartitionId> {
        let stream = self.stream_with_room(stream)?;
        let cell = self.cell(stream, partition)?;
        if !self.streams[stream].views.iter().any(|known| known == view) {
            if self.slots.len() >= self.settings.limits.partitions {
                self.reached.partitions += 1;
                return None;
            }
            if self.streams[stream].views.len() >= self.settings.limits.views {
                self.reached.views += 1;
                return None;
            }
            self.note_view(stream, view);
        }
        let view = self.view(stream, view);
        if let Some(&known) = self.slot_of.get(&(cell, view)) {
            return Some(PartitionId(known));
        }
        if self.slots.len() >= self.settings.limits.partitions {
            self.reached.partitions += 1;
            return None;
        }
        let index = u32::try_from(self.slots.len()).ok()?;
        self.slots.push(Slot { cell, view });
        self.slot_of.insert((cell, view), index);
        self.told.push((None, None));
        let own = &self.cells[cell as usize];
        self.logs += usize::from(own.log == Some(view) && !own.shadow);
        let runs = self.settings.limits.cut_memory_bytes / CutMemory::RUN_BYTES;
        self.ctx.runs_each = (runs / self.logs.max(1)).max(1);
        let steps = self.settings.limits.read_times_bytes / ReadTimes::STEP_BYTES;
        let ranges = self.settings.limits.ranges / self.slots.len();
        self.ctx.ranges_each = ranges.clamp(FEWEST_RANGES, MOST_RANGES);
        self.ctx.steps_each = (steps / self.logs.max(1)).max(4);
        Some(PartitionId(index))
    }

    /// The partitions that are held, each with the names of its view, of its stream, and its own.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionId, [&str; 3])> {
        let own = |slot: &Slot| !self.cells[slot.cell as usize].shadow;
        let named = |(id, &Slot { cell, view })| {
            let cell = &self.cells[cell as usize];
            let stream = &self.streams[cell.stream as usize].name;
            (PartitionId(id), [&*cell.views[view].name, stream, &cell.label])
        };
        (0..).zip(&self.slots).filter(move |(_, slot)| own(slot)).map(named)
    }

    /// How a partition is watched, but for where and when that began; `None`: it is not.
    #[must_use]
    pub fn watch_of(&self, id: PartitionId) -> Option<Watch> {
        let Slot { cell, view } = self.slots[id.0 as usize];
        let held = &self.cells[cell as usize].views[view];
        held.watched.map(|_| Watch {
            committed: held.committed,
            ordered: !held.unordered,
            ..Watch::default()
        })
    }

    /// The stream of this name; made, if there is room: a ledger may name any.
    pub(crate) fn stream_with_room(&mut self, name: &str) -> Option<usize> {
        let room = self.streams.len() < self.settings.limits.partitions;
        if room || self.names.contains_key(name) {
            return Some(self.stream(name));
        }
        self.reached.partitions += 1;
        None
    }

    pub(crate) fn stream(&mut self, name: &str) -> usize {
        if let Some(&stream) = self.names.get(name) {
            return stream as usize;
        }
        let default = || self.settings.default_stream.clone();
        let settings = self.configured.get(name).cloned().unwrap_or_else(default);
        self.names.insert(name.into(), u32::try_from(self.streams.len()).unwrap_or(u32::MAX));
        let mut stream = Stream {
            name: name.into(),
            settings: StreamSettings::default(),
            origins: Vec::new(),
            cells: BTreeMap::new(),
            views: Vec::new(),
            span: None,
            parts: 0,
            elsewhere: !self.settings.share.owns(name, stamp::SPAN),
            misses: false,
            changed: true,
        };
        stream.configure(&settings);
        self.streams.push(stream);
        self.streams.len() - 1
    }

    pub(crate) fn cell(&mut self, stream: usize, label: &str) -> Option<u32> {
        let owner = &mut self.streams[stream];
        if let Some(&cell) = owner.cells.get(label) {
            return Some(cell);
        }
        if self.cells.len() >= 2 * self.settings.limits.partitions {
            self.reached.partitions += 1;
            return None;
        }
        let index = u32::try_from(self.cells.len()).ok()?;
        let of = u32::try_from(stream).ok()?;
        let seed = self.settings.hash_seed;
        let mut cell = Cell::new(index, of, label, owner.parts, &owner.settings, seed);
        owner.parts += 1;
        owner.changed = true;
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
        cell.shadow = !self.settings.share.owns(&owner.name, label);
        self.cells.push(cell);
        if self.cells[index as usize].span {
            for sibling in siblings {
                self.cells[sibling as usize].spanned = true;
                for view in 0..self.streams[stream].views.len() {
                    self.watch_part(sibling, view);
                    let [span, part] = [index, sibling].map(|cell| cell as usize);
                    if let Some([span, part]) = self.cells.pair(span, part) {
                        span.catch_up_with(view, &part.views[view]);
                    }
                }
            }
        }
        Some(index)
    }

    pub(crate) fn view(&mut self, stream: usize, name: &str) -> usize {
        let owner = &mut self.streams[stream];
        if let Some(view) = owner.views.iter().position(|view| view == name) {
            return view;
        }
        owner.views.push(name.into());
        owner.changed = true;
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

    /// The lane with this prefix; made, if there is room.
    pub(crate) fn lane(&mut self, cell: u32, prefix: &[u8]) -> Option<usize> {
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

    pub(crate) fn span_of(&self, cell: u32) -> Option<usize> {
        let span = self.streams[self.cells[cell as usize].stream as usize].span?;
        (span != cell).then_some(span as usize)
    }

    /// Tells lane `*` what became of a partition's watch.
    pub(crate) fn spread(&mut self, cell: u32, view: usize, watching: Watching) {
        let Some(span) = self.span_of(cell) else {
            if self.elsewhere(cell) {
                self.pass_watch(cell, view, watching);
            }
            return;
        };
        let span = &mut self.cells[span];
        match watching {
            Watching::Unchanged => {}
            Watching::Began => self.watch_part(cell, view),
            Watching::Continued(from) => {
                span.go_on(view, from, &mut self.ctx);
                span.pass(view, None, &mut self.ctx);
            }
            Watching::Paused => {
                let at = self.cells[cell as usize].views[view].watched.map_or(0, |own| own.since);
                if let Some(span) = self.span_of(cell) {
                    self.cells[span].pause(view, at, &mut self.ctx);
                    self.set_part(cell, span, view);
                }
            }
        }
    }

    /// What a view promises of a partition holds for lane `*` too.
    pub(crate) fn promise(&mut self, cell: u32, view: usize) {
        let Some(span) = self.span_of(cell) else { return };
        let stream = &self.streams[self.cells[cell as usize].stream as usize];
        let parts = || stream.cells.values().map(|&own| &self.cells[own as usize].views[view]);
        let watched = || parts().filter(|own| own.watched.is_some());
        let committed = watched().any(|own| own.committed);
        let unordered = watched().any(|own| own.unordered);
        let held = &mut self.cells[span].views[view];
        (held.committed, held.unordered) = (committed, unordered);
    }

    /// A partition was read to its end, for lane `*`.
    pub(crate) fn ended_for_span(&mut self, cell: u32, view: usize, at: u64) {
        let part = self.cells[cell as usize].part;
        if let Some(span) = self.span_of(cell) {
            self.cells[span].part_ended(view, part, at, &mut self.ctx);
        }
    }

    fn watch_part(&mut self, cell: u32, view: usize) {
        let (Some(span), Some(state)) =
            (self.span_of(cell), self.cells[cell as usize].part_state(view))
        else {
            return;
        };
        self.promise(cell, view);
        let part = self.cells[cell as usize].part;
        self.cells[span].part_watched(view, part, state, &mut self.ctx);
    }

    fn set_part(&mut self, cell: u32, span: usize, view: usize) {
        let own = &self.cells[cell as usize];
        let state = own.part_state(view).unwrap_or_default();
        let part = own.part;
        *self.cells[span].part_mut(view, part) = state;
    }
}
