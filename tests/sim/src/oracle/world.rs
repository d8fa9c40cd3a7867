//! Line by line, as contracts §3 has it: first the clock of the partition moves and what is due is
//! judged, then the line takes effect.

use std::collections::BTreeMap;

use super::book::Book;
use super::fate::{Fate, Unsure};
use super::lane::{Base, Copy, Gap, Lane, Repeat};
use super::part::{Part, Read, Undecided, Watch};
use crate::line::{Entry, LOG, LaneKey, Line, Mark, Name, Place, SPAN};

/// What a message turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// No stamp that is judged here.
    NotCounted,
    /// It was not known, or not judged, to be missing.
    Seen,
    /// Missing, and came before it was judged.
    Reordered,
    /// It had been judged lost.
    Recovered,
    /// Seen before.
    Repeated(Repeat),
    /// The checker's own second reading.
    Reread,
}

/// Where one looks from: a view of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) parts: BTreeMap<Name, Part>,
    pub(super) lanes: BTreeMap<LaneKey, Lane>,
}

impl View {
    /// The partitions that a lane can be seen in.
    pub(super) fn parts_of(&self, key: LaneKey) -> impl Iterator<Item = &Part> {
        self.parts
            .iter()
            .filter(move |(name, _)| key.label == SPAN || key.label == **name)
            .map(|(_, part)| part)
    }
}

/// The plain truth.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    pub(super) grace: u64,
    pub(super) skew: u64,
    /// The highest `at` of all lines.
    now: Option<u64>,
    /// Records that came before any line with a time.
    early: Vec<Entry>,
    pub(super) books: BTreeMap<LaneKey, Book>,
    pub(super) views: BTreeMap<(Name, Name), View>,
    /// The recording is whole: every grace is over.
    pub(super) whole: bool,
}

impl Oracle {
    /// A checker with this grace and clock skew, in ms.
    #[must_use]
    pub fn new(grace: u64, skew: u64) -> Self {
        Self { grace, skew, ..Self::default() }
    }

    /// Takes one line; a message's meaning is given back.
    pub fn apply(&mut self, line: &Line) -> Option<Sight> {
        if let Some(at) = line.at() {
            if self.now.is_none() {
                for entry in std::mem::take(&mut self.early) {
                    self.ledger(entry, at);
                }
            }
            self.now = self.now.max(Some(at));
        }
        match line {
            Line::Message { place, position, at, mark, redelivered } => {
                return Some(self.message(*place, *position, *at, *mark, *redelivered));
            }
            Line::Ledger(entry) => match self.now {
                Some(now) => self.ledger(entry.clone(), now),
                None => self.early.push(entry.clone()),
            },
            Line::Watch { .. } => self.watch(line),
            Line::End { place, position, at } => self.end(*place, *position, *at),
            Line::Cut { place, position, at } => {
                self.place(*place);
                self.cut(*place, *position, *at);
            }
            Line::Absent { place, first, last, why, .. } => {
                let part = self.place(*place);
                part.named.extend((*first..=*last).map(|position| (position, *why)));
                self.explain_all(*place);
            }
        }
        None
    }

    /// The recording is whole: an end of every watched partition, every grace over.
    pub fn complete(&mut self) {
        self.whole = true;
        let mut places: Vec<Place> = Vec::new();
        for (&(view, stream), eyes) in &self.views {
            for (&partition, _) in eyes.parts.iter().filter(|(_, part)| part.is_watched()) {
                places.push(Place { view, stream, partition });
            }
        }
        // The log first: what it has lost has no state in a group.
        places.sort_by_key(|place| place.view != LOG);
        for &place in &places {
            self.decide(place, None);
        }
        for view_is_log in [true, false] {
            for &place in places.iter().filter(|place| (place.view == LOG) == view_is_log) {
                self.judge(place);
                self.lag(place, None);
                self.judge(place);
                self.explain_all(place);
            }
        }
    }

    // --- one line each ---------------------------------------------------------------------

    fn message(
        &mut self,
        place: Place,
        position: Option<u64>,
        at: u64,
        mark: Mark,
        flag: Option<bool>,
    ) -> Sight {
        let time = self.log_time(place, position).unwrap_or(at);
        let part = self.place(place);
        match &mut part.watch {
            None => self.first_watch(place, false, position, at, false, true),
            Some(_) if part.undecided.is_some() => self.decide(place, position),
            Some(watch) if watch.begin.is_none() => {
                watch.begin = position;
                watch.start &= position.is_none_or(|p| p == 0);
            }
            Some(_) => {}
        }
        self.move_clock(place, time);
        let part = self.place(place);
        let observed = &mut part.observed;
        let what = match mark {
            Mark::None => {
                observed.absent += 1;
                None
            }
            Mark::Malformed(_) => {
                observed.malformed += 1;
                None
            }
            Mark::Unsupported(_) => {
                observed.unsupported += 1;
                None
            }
            Mark::Foreign(..) => {
                observed.foreign += 1;
                None
            }
            Mark::Of(key, n) => {
                observed.valid += 1;
                Some((key, n))
            }
        };
        let read = Read { what, at: part.clock };
        let before = position.and_then(|p| part.reads.get(&p).copied());
        if let (Some(before), Some(position)) = (before, position)
            && before.what != what
        {
            if place.view == LOG {
                let clock = part.clock;
                self.cut(place, position, clock);
            } else {
                part.reads.remove(&position);
            }
        }
        if let Some(position) = position {
            self.place(place).read(position, read);
        }
        let sight = match what {
            Some((key, n)) => {
                let again = before.is_some_and(|before| before.what == what);
                self.see(place, key, n, position, flag, again)
            }
            None => Sight::NotCounted,
        };
        self.mark_past(place);
        sight
    }

    fn ledger(&mut self, entry: Entry, arrival: u64) {
        let key = entry.lane;
        let book = self.books.entry(key).or_default();
        let mut pending = book.pending();
        book.add(entry, arrival);
        pending.extend(book.pending());
        let views: Vec<(Name, Name)> = self.views.keys().copied().collect();
        for at in views.into_iter().filter(|(_, stream)| *stream == key.stream) {
            self.announce(at, key, arrival);
            let book = &self.books[&key];
            let Some(lane) = self.views.get_mut(&at).and_then(|eyes| eyes.lanes.get_mut(&key))
            else {
                continue;
            };
            for n in &pending {
                // Called pending again, what had been given up waits for its answer.
                let again = book.is_pending(*n);
                if let Some(gap) = lane.gaps.get_mut(n)
                    && (!gap.judged || again)
                {
                    gap.judged = false;
                    gap.restart(gap.opened.max(arrival));
                }
            }
            let eyes = &self.views[&at];
            let lane = &eyes.lanes[&key];
            let no_more: Vec<u64> = lane
                .gaps
                .iter()
                .filter(|&(&n, gap)| !Self::is_past(eyes, lane, n, gap))
                .map(|(&n, _)| n)
                .collect();
            let lane = self.views.get_mut(&at).and_then(|eyes| eyes.lanes.get_mut(&key));
            for (n, gap) in lane.into_iter().flat_map(|lane| &mut lane.gaps) {
                if no_more.contains(n) {
                    gap.past = None;
                }
            }
        }
    }

    /// Numbers that the ledger says were taken and that this view has not come to.
    fn announce(&mut self, at: (Name, Name), key: LaneKey, arrival: u64) {
        let eyes = &self.views[&at];
        let unsure = self.tail_unsure(eyes, key, arrival);
        let taken = self.books[&key].taken();
        let Some(eyes) = self.views.get_mut(&at) else { return };
        let lane = eyes.lanes.entry(key).or_default();
        for n in lane.next()..taken {
            let gap = Gap { unsure, ..Gap::new(arrival, true) };
            lane.gaps.insert(n, gap);
        }
    }

    fn watch(&mut self, line: &Line) {
        let &Line::Watch { place, start, position, at, committed, handover, ordered } = line else {
            return;
        };
        let part = self.place(place);
        let Some(watch) = &mut part.watch else {
            self.first_watch(place, start, position, at, committed, ordered);
            return;
        };
        (watch.committed, watch.ordered) = (committed, ordered);
        part.undecided = None;
        match position {
            _ if handover && place.view != LOG => self.go_on(place, position, at),
            Some(0) if start => self.pause(place, true, position, at),
            Some(p) if part.goes_on_at(p) => self.go_on(place, position, at),
            Some(_) => self.pause(place, false, position, at),
            None => part.undecided = Some(Undecided { start, at }),
        }
    }

    fn end(&mut self, place: Place, position: Option<u64>, at: u64) {
        if !self.place(place).is_watched() {
            self.first_watch(place, false, position, at, false, true);
        }
        let part = self.place(place);
        if let (Some(undecided), Some(position)) = (part.undecided, position) {
            part.undecided = None;
            if part.goes_on_at(position) {
                self.go_on(place, None, undecided.at);
            } else {
                self.pause(place, false, None, undecided.at);
            }
        } else {
            self.decide(place, None);
        }
        self.move_clock(place, at);
        let part = self.place(place);
        part.end_at = part.end_at.max(Some(at));
        if let Some(position) = position {
            part.read_to(position);
        }
        self.mark_past(place);
        self.judge(place);
        self.lag(place, Some(at));
        self.explain_all(place);
    }

    fn cut(&mut self, place: Place, position: u64, at: u64) {
        let part = self.place(place);
        part.cut(position);
        let opened = part.clock.max(at);
        let is_log = place.view == LOG;
        part.cuts += u64::from(is_log);
        for lane in self.eyes(place).lanes.values_mut() {
            if is_log {
                for n in lane.cut(place.partition, position) {
                    lane.gaps.insert(n, Gap { gone: true, ..Gap::new(opened, false) });
                }
                continue;
            }
            for copies in lane.copies.values_mut() {
                let gone = |copy: &Copy| {
                    copy.partition == place.partition
                        && copy.position.is_some_and(|p| p >= position)
                };
                for copy in copies.iter_mut().filter(|copy| gone(copy)) {
                    copy.position = None;
                }
            }
        }
        self.mark_past(place);
    }

    // --- watching --------------------------------------------------------------------------

    fn first_watch(
        &mut self,
        place: Place,
        start: bool,
        position: Option<u64>,
        at: u64,
        committed: bool,
        ordered: bool,
    ) {
        let start = start && position.is_none_or(|p| p == 0);
        let part = self.place(place);
        part.watch =
            Some(Watch { start, since: at, paused: false, begin: position, committed, ordered });
        part.run = position;
        if !start {
            self.blind(place, at, Unsure::Joined, true);
        }
        self.expect_unseen(place, at);
    }

    /// Lanes that only the ledger knows, in a partition that is watched now.
    fn expect_unseen(&mut self, place: Place, at: u64) {
        let keys: Vec<LaneKey> = self.eyes(place).lanes.keys().copied().collect();
        for key in keys.into_iter().filter(|key| key.label == place.partition) {
            let arrival = self.books.get(&key).map_or(at, |book| book.last_arrival);
            let eyes = &self.views[&(place.view, place.stream)];
            let expected = self.tail_unsure(eyes, key, arrival).is_none();
            let lane = self.lane_mut(place, key);
            if lane.highest.is_none() && expected {
                for gap in lane.gaps.values_mut() {
                    gap.unsure = None;
                    gap.restart(at.max(arrival));
                }
            }
        }
    }

    /// A second watch without a position shows at the first record where it goes on.
    fn decide(&mut self, place: Place, position: Option<u64>) {
        let part = self.place(place);
        let Some(undecided) = part.undecided.take() else { return };
        match position {
            Some(0) if undecided.start => self.pause(place, true, position, undecided.at),
            Some(p) if part.goes_on_at(p) => self.go_on(place, position, undecided.at),
            None if undecided.start => self.pause(place, true, Some(0), undecided.at),
            _ => self.pause(place, false, position, undecided.at),
        }
    }

    /// Nothing was left out: the grace of open gaps starts anew.
    fn go_on(&mut self, place: Place, position: Option<u64>, at: u64) {
        let opened = self.log_time(place, position).unwrap_or(at);
        for (key, n) in self.gaps_at(place) {
            if self.fate(place.view, key, n) == Some(Fate::Missing)
                && let Some(gap) = self.lane_mut(place, key).gaps.get_mut(&n)
            {
                gap.restart(gap.opened.max(opened));
            }
        }
        self.place(place).run = position;
        self.mark_past(place);
    }

    fn pause(&mut self, place: Place, anew: bool, position: Option<u64>, at: u64) {
        self.blind(place, at, Unsure::Paused, false);
        let part = self.place(place);
        if anew {
            part.forget_positions();
            let partition = place.partition;
            let lanes = self.eyes(place).lanes.values_mut();
            for copy in lanes.flat_map(|lane| lane.copies.values_mut()).flatten() {
                copy.position = copy.position.filter(|_| copy.partition != partition);
            }
        }
        let part = self.place(place);
        part.run = position;
        if let Some(watch) = &mut part.watch {
            (watch.start, watch.since, watch.begin) = (anew, at, position);
            watch.paused = !anew;
        }
    }

    /// Messages may have passed unseen: open gaps cannot be judged, nor what comes first after.
    fn blind(&mut self, place: Place, at: u64, unsure: Unsure, only_span: bool) {
        let until = at + self.grace;
        for (key, n) in self.gaps_at(place) {
            if only_span && key.label != SPAN {
                continue;
            }
            let open = self.fate(place.view, key, n) == Some(Fate::Missing);
            if let Some(gap) = self.lane_mut(place, key).gaps.get_mut(&n)
                && open
            {
                gap.unsure = Some(unsure);
            }
        }
        for (key, lane) in &mut self.eyes(place).lanes {
            let here = key.label == place.partition && !only_span;
            if here || key.label == SPAN {
                lane.blind = Some(unsure);
                lane.tender = Some((until, unsure));
            }
        }
    }

    // --- numbers ---------------------------------------------------------------------------

    fn see(
        &mut self,
        place: Place,
        key: LaneKey,
        n: u64,
        position: Option<u64>,
        flag: Option<bool>,
        again: bool,
    ) -> Sight {
        let clock = self.place(place).clock;
        let since = self.place(place).watch.as_ref().map_or(0, |w| w.since);
        let grace = self.grace;
        let was = self.fate(place.view, key, n);
        let waiting =
            if was == Some(Fate::Seen) { Vec::new() } else { self.groups_waiting(place, key, n) };
        let base = self.base_at(&self.views[&(place.view, place.stream)], key, clock);
        let copy = Copy { partition: place.partition, position };

        let lane = self.eyes(place).lanes.entry(key).or_default();
        lane.observed += 1;
        lane.last_at = lane.last_at.max(Some(clock));
        let shown = lane.shown.entry(place.partition).or_insert(n);
        *shown = n.max(*shown);
        if was == Some(Fate::Seen) {
            let same = lane.copies[&n].contains(&copy) && position.is_some();
            lane.copies.entry(n).or_default().push(copy);
            let repeat = match (flag, position) {
                _ if place.view == LOG && again => return Sight::Reread,
                (Some(true), _) => Repeat::Redelivered,
                (Some(false), _) => Repeat::Resent,
                (None, Some(_)) if same => Repeat::Redelivered,
                (None, Some(_)) => Repeat::Resent,
                (None, None) => Repeat::Undetermined,
            };
            lane.repeat(n, repeat);
            return Sight::Repeated(repeat);
        }

        let highest = lane.highest;
        if highest.is_none_or(|h| n > h) {
            lane.rise(n, base, clock, since + grace);
        }
        let gap = lane.gaps.remove(&n);
        lane.copies.entry(n).or_default().push(copy);
        // What the ledger announced ahead and now comes in its turn is just seen.
        let below = highest.is_some_and(|h| n < h)
            || gap.as_ref().is_some_and(|gap| !gap.tail && highest == Some(n));
        let in_time = gap.is_some_and(|gap| clock <= gap.opened + grace);
        let sight = match was {
            Some(Fate::Lost(_)) => Sight::Recovered,
            Some(Fate::Missing) if below => Sight::Reordered,
            Some(_) if below && in_time => Sight::Reordered,
            _ => Sight::Seen,
        };
        lane.recovered += u64::from(sight == Sight::Recovered);
        lane.reordered += u64::from(sight == Sight::Reordered);
        for view in waiting {
            let group = Place { view, ..place };
            if let Some(gap) = self.lane_mut(group, key).gaps.get_mut(&n) {
                gap.judged = false;
                gap.restart(clock);
            }
        }
        self.explain(place, key);
        sight
    }

    /// Groups in whose view the number waits for what the log has just shown.
    fn groups_waiting(&self, place: Place, key: LaneKey, n: u64) -> Vec<Name> {
        let groups = self.views.keys().filter(|(_, stream)| *stream == place.stream);
        groups
            .map(|&(view, _)| view)
            .filter(|&view| place.view == LOG && view != LOG)
            .filter(|&view| {
                matches!(self.fate(view, key, n), Some(Fate::Missing | Fate::LostInLog))
            })
            .collect()
    }

    /// A group has read to the end: what the log showed above its highest number was not handed
    /// over. `None`: the recording is whole.
    fn lag(&mut self, place: Place, end: Option<u64>) {
        if place.view == LOG {
            return;
        }
        let Some(log) = self.views.get(&(LOG, place.stream)) else { return };
        let eyes = &self.views[&(place.view, place.stream)];
        let part = &eyes.parts[&place.partition];
        let mut late: Vec<(LaneKey, u64)> = Vec::new();
        for (&key, shown) in &log.lanes {
            if key.label != place.partition && key.label != SPAN {
                continue;
            }
            let lane = eyes.lanes.get(&key);
            let highest = lane.and_then(|lane| lane.highest);
            let has_footing = match highest {
                Some(_) => true,
                None => self.base_at(eyes, key, part.clock) == Base::Zero,
            };
            let blind = lane.is_some_and(|lane| lane.blind.is_some());
            // Lane `*` may come in any partition, so that all must have been read to the end.
            let end = if key.label == SPAN && end.is_some() {
                eyes.parts.values().filter(|p| p.is_watched()).map(|p| p.end_at).min().flatten()
            } else {
                end
            };
            let has_ended = self.whole || end.is_some() && end >= shown.last_at;
            if !has_footing || blind || !has_ended {
                continue;
            }
            late.extend(
                shown.copies.keys().filter(|&&n| highest.is_none_or(|h| n > h)).map(|&n| (key, n)),
            );
        }
        let clock = part.clock;
        for (key, n) in late {
            let lane = self.eyes(place).lanes.entry(key).or_default();
            for below in lane.highest.map_or(0, |h| h + 1)..=n {
                if !lane.is_seen(below) {
                    lane.gaps.entry(below).or_insert_with(|| Gap::new(clock, true));
                }
            }
            if self.fate(place.view, key, n) == Some(Fate::Missing)
                && let Some(gap) = self.lane_mut(place, key).gaps.get_mut(&n)
            {
                gap.judged = true;
            }
        }
    }

    // --- time ------------------------------------------------------------------------------

    fn move_clock(&mut self, place: Place, time: u64) {
        let part = self.place(place);
        part.clock = part.clock.max(time);
        self.judge(place);
    }

    fn judge(&mut self, place: Place) {
        if !self.place(place).is_watched() {
            return;
        }
        let mut any = false;
        for (key, n) in self.gaps_at(place) {
            if self.is_due(place.view, place.partition, key, n)
                && let Some(gap) = self.lane_mut(place, key).gaps.get_mut(&n)
            {
                gap.judged = true;
                any = true;
            }
        }
        if any {
            self.explain_all(place);
        }
    }

    /// Lane `*`: notes when the last partition has become past a gap.
    fn mark_past(&mut self, place: Place) {
        let eyes = &self.views[&(place.view, place.stream)];
        let clock = eyes.parts[&place.partition].clock;
        let mut past: Vec<(LaneKey, u64, bool)> = Vec::new();
        for (&key, lane) in eyes.lanes.iter().filter(|(key, _)| key.label == SPAN) {
            for (&n, gap) in &lane.gaps {
                past.push((key, n, Self::is_past(eyes, lane, n, gap)));
            }
        }
        for (key, n, is_past) in past {
            if let Some(gap) = self.lane_mut(place, key).gaps.get_mut(&n) {
                gap.past = if is_past { gap.past.or(Some(clock)) } else { None };
            }
        }
    }

    // --- places ----------------------------------------------------------------------------

    /// The partition; a view that is new to the stream hears of every ledger at once.
    fn place(&mut self, place: Place) -> &mut Part {
        let at = (place.view, place.stream);
        let is_new = !self.views.contains_key(&at);
        self.views.entry(at).or_default();
        if is_new {
            let keys: Vec<LaneKey> = self.books.keys().copied().collect();
            for key in keys.into_iter().filter(|key| key.stream == place.stream) {
                let arrival = self.books[&key].last_arrival;
                self.announce(at, key, arrival);
            }
        }
        self.eyes(place).parts.entry(place.partition).or_default()
    }

    pub(super) fn eyes(&mut self, place: Place) -> &mut View {
        self.views.entry((place.view, place.stream)).or_default()
    }

    pub(super) fn lane_mut(&mut self, place: Place, key: LaneKey) -> &mut Lane {
        self.eyes(place).lanes.entry(key).or_default()
    }

    /// Every number not seen of the lanes that this partition judges.
    fn gaps_at(&self, place: Place) -> Vec<(LaneKey, u64)> {
        let Some(eyes) = self.views.get(&(place.view, place.stream)) else { return Vec::new() };
        eyes.lanes
            .iter()
            .filter(|(key, _)| key.label == place.partition || key.label == SPAN)
            .flat_map(|(&key, lane)| lane.gaps.keys().map(move |&n| (key, n)))
            .collect()
    }

    fn explain_all(&mut self, place: Place) {
        let keys: Vec<LaneKey> = self.eyes(place).lanes.keys().copied().collect();
        for key in keys.into_iter().filter(|key| key.label == place.partition) {
            self.explain(place, key);
        }
    }

    /// The log's time of a position that a group reads.
    fn log_time(&self, place: Place, position: Option<u64>) -> Option<u64> {
        if place.view == LOG {
            return None;
        }
        let log = self.views.get(&(LOG, place.stream))?;
        log.parts.get(&place.partition)?.reads.get(&position?).map(|read| read.at)
    }
}

impl Lane {
    /// A number above all observed: gaps open below it.
    fn rise(&mut self, n: u64, base: Base, clock: u64, first_grace: u64) {
        let first_sight = self.highest.is_none();
        let mut unsure = self.blind;
        if first_sight {
            self.base = Some(base);
            self.first = if base == Base::Zero { 0 } else { n };
            let joined = match base {
                Base::Zero => None,
                Base::Joined => Some(Unsure::Joined),
                Base::Paused => Some(Unsure::Paused),
            };
            // A lane that is expected from 0 is expected whole, unless a pause lies between.
            unsure = joined.or(unsure);
            if let Some(joined) = joined {
                self.tender.get_or_insert((first_grace, joined));
            }
        }
        // Now there is footing: what the ledger says above it can be judged.
        let whole = first_sight && base == Base::Zero && self.blind.is_none();
        let expected_from = if whole { 0 } else { n + 1 };
        for (_, gap) in self.gaps.range_mut(expected_from..) {
            if gap.unsure.take().is_some() {
                gap.restart(clock);
            }
        }
        let tender = self.tender.filter(|&(until, _)| clock <= until).map(|(_, unsure)| unsure);
        for m in self.highest.map_or(0, |h| h + 1)..n {
            let gap = self.gaps.entry(m).or_insert_with(|| Gap::new(clock, false));
            gap.tail = false;
            if gap.judged {
                continue;
            }
            if gap.unsure.is_none() {
                gap.restart(clock);
                gap.unsure = unsure.or(tender);
            } else if first_sight && base != Base::Zero && unsure.is_some() {
                gap.unsure = unsure;
            }
        }
        self.blind = None;
        self.highest = Some(n);
    }
}
