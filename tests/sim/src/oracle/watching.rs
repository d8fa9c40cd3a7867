//! How a partition is watched: begun, begun again, paused, and its log cut back.

use super::fate::{Fate, Unsure};
use super::lane::{Copy, Gap};
use super::part::{Undecided, Watch};
use super::world::Oracle;
use crate::line::{LOG, Line, Place, SPAN};

impl Oracle {
    pub(super) fn watch(&mut self, line: &Line) {
        let &Line::Watch { place, start, position, at, committed, handover, ordered } = line else {
            return;
        };
        let part = self.place(place);
        let Some(watch) = &mut part.watch else {
            self.first_watch(place, start, position, at, committed, ordered);
            return;
        };
        (watch.committed, watch.ordered) = (committed, ordered);
        let goes_on = position.is_some_and(|p| part.goes_on_at(p));
        // Without order a hand-over does not tell what an undecided watch before it left out.
        let handed_over = handover && place.view != LOG;
        if !handed_over || ordered || goes_on {
            part.undecided = None;
        }
        match position {
            _ if handed_over => self.go_on(place, position, at),
            Some(0) if start => self.pause(place, true, position, at),
            Some(p) if part.goes_on_at(p) => self.go_on(place, position, at),
            Some(_) => self.pause(place, false, position, at),
            None => part.undecided = Some(Undecided { start, at }),
        }
    }

    pub(super) fn first_watch(
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
        part.watch = Some(Watch {
            start,
            again: false,
            since: at,
            paused: false,
            begin: position,
            committed,
            ordered,
        });
        part.run = position;
        if !start {
            self.blind(place, at, Unsure::Joined, true);
        }
        self.expect_unseen(place, at);
    }

    /// A second watch without a position shows at the first record where it goes on.
    pub(super) fn decide(&mut self, place: Place, position: Option<u64>) {
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
    pub(super) fn go_on(&mut self, place: Place, position: Option<u64>, at: u64) {
        let opened = self.log_time(place, position).unwrap_or(at);
        for (key, n) in self.gaps_at(place) {
            if self.fate(place.view, key, n) == Some(Fate::Missing)
                && let Some(gap) = self.lane_mut(place, key).gaps.get_mut(&n)
            {
                gap.judged = false;
                gap.restart(gap.opened.max(opened));
            }
        }
        self.place(place).run = position;
        self.mark_past(place);
    }

    pub(super) fn pause(&mut self, place: Place, anew: bool, position: Option<u64>, at: u64) {
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
            watch.again = true;
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
                (gap.unsure, gap.judged) = (Some(unsure), false);
            }
        }
        for (key, lane) in &mut self.eyes(place).lanes {
            let here = key.label == place.partition && !only_span;
            if here || key.label == SPAN {
                lane.blind = Some(unsure);
                // Lane `*` is joined and paused by each of its partitions, whose clocks are their own.
                let earlier = lane.tender.filter(|_| key.label == SPAN);
                lane.tender = earlier.max(Some((until, unsure)));
            }
        }
    }

    pub(super) fn cut(&mut self, place: Place, position: u64, at: u64) {
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
        self.explain_all(place);
    }
}
