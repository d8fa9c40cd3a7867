//! What a lane's reports have said, and what of it has arrived.

use std::collections::VecDeque;

/// Every record repeats the ranges of the last ten minutes, so that the next makes good a lost one.
pub(crate) const REPEAT_MS: u64 = 10 * 60 * 1_000;
/// How finely those ten minutes are told; a lane keeps at most 21 marks of them.
const MARK_MS: u64 = 30_000;

/// A lane's reports.
#[derive(Debug, Default)]
pub(crate) struct Said {
    last: Option<Report>,
    /// (when, floor at that time) of reports that arrived, oldest first.
    marks: VecDeque<(u64, u64)>,
}

/// A record on its way.
#[derive(Clone, Copy, Debug)]
struct Report {
    /// The message that it travels with.
    batch: u64,
    next: u64,
    at: u64,
    /// All numbers below were settled then: once the report has arrived, it has been said of them.
    floor: u64,
    fate: Fate,
    /// Since when the same is said again and again.
    since: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Arrived,
    Failed,
}

impl Said {
    /// What became of the message that the last report travelled with, where that is known now.
    pub(crate) fn hear(&mut self, arrived: impl Fn(u64) -> Option<bool>) {
        let Some(last) = self.last.as_mut().filter(|last| last.fate == Fate::Open) else {
            return;
        };
        match arrived(last.batch) {
            None => {}
            Some(false) => last.fate = Fate::Failed,
            Some(true) => {
                last.fate = Fate::Arrived;
                let (at, floor) = (last.at, last.floor);
                if self.marks.back().is_none_or(|(mark, _)| mark.saturating_add(MARK_MS) <= at) {
                    self.marks.push_back((at, floor));
                }
            }
        }
    }

    /// Whether numbers were taken of which nothing was said.
    pub(crate) fn is_behind(&self, next: u64) -> bool {
        self.last.is_none_or(|last| last.next != next)
    }

    /// Whether the last report did not arrive, and has not been repeated for long enough.
    pub(crate) fn is_to_be_repeated(&self, now: u64) -> bool {
        self.last.is_some_and(|last| {
            last.fate == Fate::Failed && now.saturating_sub(last.since) < REPEAT_MS
        })
    }

    /// A report goes out with this message. `news`: it says what the last one did not.
    pub(crate) fn note(&mut self, batch: u64, next: u64, at: u64, floor: u64, news: bool) {
        let since = self.last.filter(|_| !news).map_or(at, |last| last.since);
        self.last = Some(Report { batch, next, at, floor, fate: Fate::Open, since });
    }

    /// Below which number all had been said ten minutes ago, where that is news.
    pub(crate) fn often_enough(&mut self, now: u64) -> Option<u64> {
        let mut floor = None;
        while let Some(&(_, said)) =
            self.marks.front().filter(|(at, _)| at.saturating_add(REPEAT_MS) <= now)
        {
            floor = Some(said);
            self.marks.pop_front();
        }
        floor
    }
}
