//! The one state of a number in a view, worked out anew from the plain facts whenever it is asked.

use super::lane::{Base, Gap, Lane};
use super::world::{Oracle, View};
use crate::line::{LOG, LaneKey, Name, SPAN, Why};

/// Where a message was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// On the way to the broker.
    Produce,
    /// By the broker.
    Store,
    /// Not handed over.
    Consume,
    /// Nothing proves where.
    Undetermined,
}

/// Why a number cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unsure {
    /// From before the checker joined.
    Joined,
    /// From while it was not looking.
    Paused,
    /// Possibly rolled back.
    Transaction,
}

/// The state of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Observed, and not cut away.
    Seen,
    /// Not judged yet.
    Missing,
    /// Judged.
    Lost(Stage),
    /// Never part of the stream.
    Refused,
    /// Absent for a reason that has a name.
    ByDesign(Why),
    /// Cannot be judged.
    Unknown(Unsure),
    /// A group's view: the log has lost it, so that it has no state here.
    LostInLog,
}

impl Oracle {
    /// The state of a number; `None` where the view does not know that it exists.
    #[must_use]
    pub fn fate(&self, view: Name, key: LaneKey, n: u64) -> Option<Fate> {
        let eyes = self.views.get(&(view, key.stream))?;
        let lane = eyes.lanes.get(&key)?;
        if lane.is_seen(n) {
            return Some(Fate::Seen);
        }
        let gap = lane.gaps.get(&n)?;
        let book = self.books.get(&key);
        if book.is_some_and(|b| b.said_refused(n)) {
            return Some(Fate::Refused);
        }
        if book.is_some_and(|b| b.said_aborted(n)) {
            return Some(Fate::ByDesign(Why::Aborted));
        }
        let log = if view == LOG { None } else { self.fate(LOG, key, n) };
        if let Some(by_design @ Fate::ByDesign(_)) = log {
            return Some(by_design);
        }
        if let Some(why) = gap.why {
            return Some(Fate::ByDesign(why));
        }
        if let Some(unsure) = gap.unsure {
            return Some(Fate::Unknown(unsure));
        }
        Some(match log {
            _ if view == LOG && gap.judged => Fate::Lost(self.stage_in_log(key, n)),
            Some(Fate::Lost(_)) => Fate::LostInLog,
            Some(Fate::Missing) => Fate::Missing,
            _ if gap.judged => self.judged_in_group(eyes, key, n, log),
            _ => Fate::Missing,
        })
    }

    fn stage_in_log(&self, key: LaneKey, n: u64) -> Stage {
        match self.books.get(&key) {
            // A number that was judged while pending had been given up by its ledger.
            Some(book) if book.said_unanswered(n) || book.is_pending(n) => Stage::Produce,
            Some(book) if book.acknowledged(n) => Stage::Store,
            _ => Stage::Undetermined,
        }
    }

    /// Its time is over in the group's view; what does the log prove?
    fn judged_in_group(&self, eyes: &View, key: LaneKey, n: u64, log: Option<Fate>) -> Fate {
        let committed = eyes.parts_of(key).any(|p| p.watch.as_ref().is_some_and(|w| w.committed));
        match log {
            Some(Fate::Seen)
                if committed && !self.books.get(&key).is_some_and(|b| b.acknowledged(n)) =>
            {
                Fate::Unknown(Unsure::Transaction)
            }
            Some(Fate::Seen) => Fate::Lost(Stage::Consume),
            _ => Fate::Lost(Stage::Undetermined),
        }
    }

    /// What only the ledger speaks of cannot be judged where the view has no footing yet.
    pub(super) fn tail_unsure(&self, eyes: &View, key: LaneKey, heard: u64) -> Option<Unsure> {
        if !eyes.parts_of(key).any(|p| p.is_watched()) {
            return Some(Unsure::Joined);
        }
        match eyes.lanes.get(&key) {
            Some(lane) if lane.highest.is_some() => lane.blind,
            _ => match self.base_at(eyes, key, heard) {
                Base::Zero => None,
                Base::Joined => Some(Unsure::Joined),
                Base::Paused => Some(Unsure::Paused),
            },
        }
    }

    /// Where a lane's count begins that is first seen (or heard of) at `time`.
    pub(super) fn base_at(&self, eyes: &View, key: LaneKey, time: u64) -> Base {
        let watches = || eyes.parts_of(key).filter_map(|p| p.watch.as_ref());
        let later = |since: u64| {
            since + self.skew < key.epoch && key.epoch <= time.saturating_add(self.skew)
        };
        if watches().next().is_some() && watches().all(|w| w.start || later(w.since)) {
            Base::Zero
        } else if watches().any(|w| w.paused) {
            Base::Paused
        } else {
            Base::Joined
        }
    }

    /// Whether a gap is judged now that this partition's clock has moved.
    pub(super) fn is_due(&self, view: Name, partition: Name, key: LaneKey, n: u64) -> bool {
        if self.fate(view, key, n) != Some(Fate::Missing) {
            return false;
        }
        let eyes = &self.views[&(view, key.stream)];
        let gap = &eyes.lanes[&key].gaps[&n];
        if gap.judged || !self.whole && !self.grace_is_over(eyes, partition, key, n) {
            return false;
        }
        // Above all that the log knows, the log may yet tell.
        view == LOG || self.fate(LOG, key, n).is_some() || self.log_has_read_past(key, gap.opened)
    }

    fn grace_is_over(&self, eyes: &View, partition: Name, key: LaneKey, n: u64) -> bool {
        let part = &eyes.parts[&partition];
        let gap = &eyes.lanes[&key].gaps[&n];
        // While it is pending the grace runs from the lane's newest word.
        let opened = match self.books.get(&key) {
            Some(book) if book.is_pending(n) => gap.opened.max(book.last_arrival),
            _ => gap.opened,
        };
        if key.label == SPAN {
            let mut watched = eyes.parts.values().filter(|p| p.is_watched());
            if watched.clone().any(|p| p.watch.as_ref().is_some_and(|w| !w.ordered)) {
                return watched.all(|p| p.has_ended_after(opened + self.grace));
            }
            return gap.past.is_some_and(|past| past.max(opened) + self.grace < eyes.latest());
        }
        if part.watch.as_ref().is_some_and(|w| !w.ordered) {
            return part.has_ended_after(opened + self.grace);
        }
        opened + self.grace < part.clock && (!gap.tail || part.has_ended_after(opened))
    }

    /// A number above all that the log knows: it may come yet, until the log was read to its end.
    fn log_has_read_past(&self, key: LaneKey, opened: u64) -> bool {
        let Some(log) = self.views.get(&(LOG, key.stream)) else {
            return true;
        };
        self.whole
            || log.parts_of(key).filter(|p| p.is_watched()).all(|p| p.has_ended_after(opened))
    }

    /// Lane `*`: whether every watched partition is past it.
    pub(super) fn is_past(eyes: &View, lane: &Lane, n: u64, gap: &Gap) -> bool {
        eyes.parts.iter().filter(|(_, part)| part.is_watched()).all(|(name, part)| {
            lane.shown.get(name).is_some_and(|&shown| shown > n) || part.has_ended_after(gap.opened)
        })
    }
}
