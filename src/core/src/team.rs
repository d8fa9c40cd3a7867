//! Lanes `*` of a stream whose partitions several checkers share: what the others tell the one that
//! judges them.
//!
//! A partition's owner reads every message of it, and passes on those of lanes `*` together with
//! what befell the partition: its watch, its ends, its cuts, its time. The lanes' owner keeps a
//! shadow of the partition for them. It holds no lane of its own and is in no row; the partition's
//! counts stay with its owner. What one checker passes on must be accepted in its order, that of
//! several in any.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::checker::{Checker, Observation, Slot};
use crate::lane::LaneRef;
use crate::report::Watched;
use crate::share::Share;
use crate::stamp;
use crate::verdict::{Reason, Verdict};
use crate::watch::Watching;

/// What a partition's owner tells the owner of its stream's lanes `*`.
#[derive(Clone, Debug)]
pub struct Passed {
    place: Arc<Named>,
    what: What,
}

/// What one checker tells all others.
#[derive(Clone, Debug)]
pub struct News {
    stream: String,
    of: NewsOf,
}

#[derive(Clone, Debug)]
enum NewsOf {
    /// There is such a view of the stream; what only a ledger knows is missing in it, too.
    View(String),
    /// Whether the stream's lanes `*` miss a number; then ends are wanted of all its partitions.
    Misses(bool),
}

/// A partition in a view.
#[derive(Debug)]
pub(crate) struct Named {
    view: String,
    stream: String,
    partition: String,
}

/// Times are those of the partition's view.
#[derive(Clone, Debug)]
enum What {
    Message(Message),
    Watched { watching: Watching, now: WatchNow },
    Ended { at: u64, now: u64 },
    Cut { position: u64, at: u64 },
    Time(u64),
}

#[derive(Clone, Debug)]
struct Message {
    stamp: Box<[u8]>,
    position: Option<u64>,
    at: u64,
    time: Option<u64>,
    redelivered: Option<bool>,
    now: u64,
    opened: u64,
}

/// How a partition is watched now.
#[derive(Clone, Copy, Debug)]
struct WatchNow {
    watched: Option<Watched>,
    committed: bool,
    unordered: bool,
    last_end: Option<u64>,
    paused: bool,
    broken: Option<(u64, Reason)>,
    clock: Option<u64>,
}

impl Passed {
    /// Which of `of` checkers is to accept it.
    #[must_use]
    pub fn to(&self, of: usize) -> usize {
        Share::owner(&self.place.stream, stamp::SPAN, of)
    }
}

impl Checker {
    /// What is to be passed on since the last call, in order.
    pub fn take_passed(&mut self) -> Vec<Passed> {
        core::mem::take(&mut self.passed)
    }

    /// Has the time of partitions passed on, where another checker judges lanes `*` that miss a
    /// number.
    pub fn pass_time(&mut self) {
        for index in 0..self.slots.len() {
            let Slot { cell, view } = self.slots[index];
            let stream = self.cells[cell as usize].stream as usize;
            let Some(clock) = self.cells[cell as usize].views[view].clock() else { continue };
            if self.streams[stream].misses && self.told[index].1 < Some(clock) {
                self.told[index].1 = Some(clock);
                self.pass_on(cell, view, What::Time(clock));
            }
        }
    }

    /// What all the others are to [hear](Self::hear), since the last call.
    pub fn take_news(&mut self) -> Vec<News> {
        let mut news = core::mem::take(&mut self.news);
        if self.settings.share == Share::default() {
            return news;
        }
        for stream in &mut self.streams {
            if stream.elsewhere {
                continue;
            }
            let span = stream.span.map(|span| &self.cells[span as usize]);
            let misses =
                span.is_some_and(|span| span.views.iter().any(|view| view.totals.missing > 0));
            if stream.misses != misses {
                stream.misses = misses;
                news.push(News { stream: stream.name.clone(), of: NewsOf::Misses(misses) });
            }
        }
        news
    }

    /// Takes another checker's news.
    pub fn hear(&mut self, news: &News) {
        let stream = self.stream(&news.stream);
        match &news.of {
            NewsOf::View(view) => {
                self.view(stream, view);
            }
            NewsOf::Misses(misses) => {
                let stream = &mut self.streams[stream];
                stream.misses = *misses && stream.elsewhere;
            }
        }
    }

    /// Takes what another checker passed on.
    pub fn accept(&mut self, passed: &Passed) {
        let Named { view, stream, partition } = &*passed.place;
        let Some(id) = self.partition(view, stream, partition) else { return };
        let Slot { cell, view } = self.slots[id.0 as usize];
        match &passed.what {
            What::Message(message) => self.accept_message(cell, view, message),
            What::Watched { watching, now } => self.accept_watch(cell, view, *watching, now),
            What::Ended { at, now } => {
                let held = &mut self.cells[cell as usize].views[view];
                held.last_end = held.last_end.max(Some(*at));
                self.accept_time(cell, view, *now);
                self.ended_for_span(cell, view, *at);
            }
            What::Cut { position, at } => self.cut_at(cell, view, *position, *at),
            What::Time(now) => self.accept_time(cell, view, *now),
        }
    }

    fn accept_time(&mut self, cell: u32, view: usize, now: u64) {
        self.now = self.now.max(Some(now));
        let held = &mut self.cells[cell as usize].views[view];
        held.clock = held.clock.max(Some(now));
        if let Some(span) = self.span_of(cell) {
            self.cells[span].tick(view, now, &mut self.ctx);
        }
    }

    fn accept_watch(&mut self, cell: u32, view: usize, watching: Watching, now: &WatchNow) {
        let place = self.cells[cell as usize].place(view, 0);
        let held = &mut self.cells[cell as usize].views[view];
        held.watched = now.watched;
        (held.committed, held.unordered) = (now.committed, now.unordered);
        (held.last_end, held.paused, held.broken) = (now.last_end, now.paused, now.broken);
        held.clock = held.clock.max(now.clock);
        // Only a topic that was made anew is paused and read from its start.
        if watching == Watching::Paused && now.watched.is_some_and(|watched| watched.from_start) {
            held.positions.anew();
            self.ctx.unplace(place.cell, place.view, 0);
        }
        self.promise(cell, view);
        self.spread(cell, view, watching);
    }

    fn accept_message(&mut self, cell: u32, view: usize, message: &Message) {
        let &Message { position, at, time, redelivered, now, opened, .. } = message;
        self.accept_time(cell, view, now);
        let Some((prefix, seq)) = stamp::split(&message.stamp) else { return };
        let stream = self.cells[cell as usize].stream as usize;
        let home = self.cell(stream, stamp::SPAN);
        let lane = home.and_then(|home| self.lane(home, prefix));
        // Without room for one more lane it is counted where it was read, and not judged.
        let Some(lane) = lane.and_then(|lane| u32::try_from(lane).ok()) else { return };
        let observation =
            Observation { position, at, time, stamp: Some(&message.stamp), redelivered };
        self.take(cell, view, &observation, LaneRef::new(lane, true), seq, opened);
    }

    /// Has the others hear of a view that is new here.
    pub(crate) fn note_view(&mut self, stream: usize, view: &str) {
        if self.settings.share != Share::default() {
            let stream = self.streams[stream].name.clone();
            self.news.push(News { stream, of: NewsOf::View(view.into()) });
        }
    }

    /// Whether another checker judges the lanes `*` of this partition's stream.
    #[inline]
    pub(crate) fn elsewhere(&self, cell: u32) -> bool {
        self.streams[self.cells[cell as usize].stream as usize].elsewhere
    }

    /// A message of a lane `*` that another checker judges. Its number is remembered where it
    /// stood, so that a cut is noticed by it as by any other.
    pub(crate) fn pass_message(
        &mut self,
        cell: u32,
        view: usize,
        message: &Observation<'_>,
        (lane, seq): (LaneRef, u64),
        opened: u64,
    ) -> Verdict {
        let again = match message.position {
            Some(position) => self.place(cell, view, position, Some((lane, seq))),
            None => false,
        };
        let held = &mut self.cells[cell as usize].views[view];
        let now = held.now();
        if let Some(position) = message.position.filter(|_| held.is_log && !again) {
            held.positions.memory.note(position, lane, seq, false);
            held.positions.memory.bound(self.ctx.runs_each);
        }
        let &Observation { position, at, time, stamp, redelivered } = message;
        let stamp = stamp.unwrap_or_default().into();
        let message = Message { stamp, position, at, time, redelivered, now, opened };
        self.pass_on(cell, view, What::Message(message));
        Verdict::Elsewhere
    }

    pub(crate) fn pass_watch(&mut self, cell: u32, view: usize, watching: Watching) {
        let held = &self.cells[cell as usize].views[view];
        let now = WatchNow {
            watched: held.watched,
            committed: held.committed,
            unordered: held.unordered,
            last_end: held.last_end,
            paused: held.paused,
            broken: held.broken,
            clock: held.clock(),
        };
        self.pass_on(cell, view, What::Watched { watching, now });
    }

    pub(crate) fn pass_end(&mut self, cell: u32, view: usize, at: u64) {
        let now = self.cells[cell as usize].views[view].now();
        self.pass_on(cell, view, What::Ended { at, now });
    }

    pub(crate) fn pass_cut(&mut self, cell: u32, view: usize, position: u64, at: u64) {
        let at = self.cells[cell as usize].views[view].now().max(at);
        self.pass_on(cell, view, What::Cut { position, at });
    }

    fn pass_on(&mut self, cell: u32, view: usize, what: What) {
        let Some(&slot) = self.slot_of.get(&(cell, view)) else { return };
        let own = &self.cells[cell as usize];
        let named = || {
            Arc::new(Named {
                view: own.views[view].name.clone(),
                stream: self.streams[own.stream as usize].name.clone(),
                partition: own.label.clone(),
            })
        };
        let place = self.told[slot as usize].0.get_or_insert_with(named).clone();
        self.passed.push(Passed { place, what });
    }
}
