//! What retention took from a group before it read it, told from offsets alone.
//!
//! A group's committed offset below the log's start says that positions are gone that it had not
//! committed. It does not say that it had not read them: a member may be on its way to commit them.
//! So they are lost only where no member was there to do so: when the log already began above them,
//! the group had no member, and after that it still had not committed them. Nobody who joins later
//! can read them, and nobody who left can commit them. Else they are a finding whose truth is
//! unknown.

use super::rows::Finding;

/// Findings kept of one partition in one group; the oldest go first. Their counts stay.
const KEPT: usize = 100;

/// One look at a partition. The log was asked for its start before the group for its commit, so that
/// a commit that is below the start was so when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The log's first position.
    pub start: u64,
    /// One above its last position.
    pub end: u64,
    /// The next position that the group would read.
    pub committed: Option<u64>,
    /// Between the two questions the group was seen without any member.
    pub deserted: bool,
    /// When, ms since the Unix epoch.
    pub at: u64,
}

/// A group in a partition.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    findings: Vec<Finding>,
    /// The last finding can still change: the group's commit has not passed it.
    open: bool,
    /// The highest commit that was seen: positions below it were read once, even if the group has
    /// been set back since.
    highest: u64,
    /// Positions below it are known to be lost, or to be read.
    settled: u64,
    lost: u64,
}

impl Retention {
    /// Whether this look shows something gone that a look at a deserted group would settle.
    #[must_use]
    pub fn suspects(&self, look: &Look) -> bool {
        let mut then = self.clone();
        then.take(look);
        then.open && then.findings.last().is_some_and(|finding| !finding.lost)
    }

    /// Takes a look. Gives what is new by it: positions that are gone, or have become lost.
    pub fn take(&mut self, look: &Look) -> Option<Finding> {
        if look.start < self.settled {
            // A log's start goes forward only: the topic was made anew.
            (self.settled, self.open) = (0, false);
        }
        if look.end < self.highest {
            // Made anew, or cut back: what was committed before is of other messages.
            self.highest = 0;
        }
        let Some(committed) = look.committed.filter(|committed| *committed <= look.end) else {
            // Nothing was committed, or it has expired, or it is of another log.
            (self.highest, self.open) = (0, false);
            return None;
        };
        self.highest = self.highest.max(committed);
        let first = self.highest.max(self.settled);
        let Some(last) = look.start.checked_sub(1).filter(|last| first <= *last) else {
            // What was open has been passed: it stays as it is.
            self.open &= committed < self.settled;
            return None;
        };
        self.note(Finding { first, last, lost: look.deserted, since: look.at })
    }

    fn note(&mut self, news: Finding) -> Option<Finding> {
        let Finding { first, last, lost, .. } = news;
        if lost {
            self.settled = last + 1;
            self.lost += last + 1 - first;
        }
        let open = self.findings.last_mut().filter(|_| self.open);
        self.open = true;
        match open {
            // Longer by what has gone since, shorter by what was committed of it all the same.
            Some(open) if !open.lost => {
                *open = Finding { since: open.since, ..news };
                lost.then_some(news)
            }
            Some(open) if lost => {
                open.last = last;
                Some(news)
            }
            Some(_) | None => {
                self.findings.push(news);
                if self.findings.len() > KEPT {
                    self.findings.remove(0);
                }
                Some(news)
            }
        }
    }

    /// Findings, newest last.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Positions that are lost, since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(start: u64, end: u64, committed: impl Into<Option<u64>>, deserted: bool) -> Look {
        Look { start, end, committed: committed.into(), deserted, at: 7 }
    }

    fn ranges(retention: &Retention) -> Vec<(u64, u64, bool)> {
        retention.findings().iter().map(|found| (found.first, found.last, found.lost)).collect()
    }

    /// Takes looks one after the other; the findings and the count that they leave.
    fn after(looks: &[Look]) -> (Vec<(u64, u64, bool)>, u64) {
        let mut retention = Retention::default();
        for look in looks {
            retention.take(look);
        }
        (ranges(&retention), retention.lost())
    }

    #[test]
    fn what_a_deserted_group_has_not_committed_is_lost_once() {
        let stopped = [look(0, 100, 40, true), look(50, 100, 40, true), look(50, 120, 40, true)];
        assert_eq!(after(&stopped), (vec![(40, 49, true)], 10));
        // Retention goes on, and the group comes back where the log begins by then.
        let more = [look(70, 120, 40, true), look(70, 120, 75, false), look(75, 120, 75, true)];
        assert_eq!(after(&[&stopped[..], &more].concat()), (vec![(40, 69, true)], 30));
        // The next time is another finding.
        let again = [look(80, 120, 75, true)];
        let all = [&stopped[..], &more, &again].concat();
        assert_eq!(after(&all), (vec![(40, 69, true), (75, 79, true)], 35));
    }

    #[test]
    fn what_a_member_may_have_read_is_unknown() {
        let busy = [look(0, 100, 40, false), look(50, 100, 40, false)];
        assert_eq!(after(&busy), (vec![(40, 49, false)], 0));
        // It commits some of that: those it had read. Then it passes the rest: nobody knows.
        let goes_on = [look(50, 100, 45, false), look(50, 100, 60, false)];
        assert_eq!(after(&[&busy[..], &goes_on].concat()), (vec![(45, 49, false)], 0));
        // Or it goes away without having committed any.
        let leaves = [look(50, 100, 40, true)];
        assert_eq!(after(&[&busy[..], &leaves].concat()), (vec![(40, 49, true)], 10));
        // What goes once members are back may have been read by them.
        let back = [look(60, 100, 40, false)];
        let all = [&busy[..], &leaves, &back].concat();
        assert_eq!(after(&all), (vec![(40, 49, true), (50, 59, false)], 10));
    }

    #[test]
    fn a_group_that_has_committed_nothing_has_lost_nothing() {
        assert_eq!(after(&[look(50, 100, None, true), look(60, 100, None, true)]), (vec![], 0));
        // Its offsets expire, and it begins anew where it likes.
        let expired = [look(0, 100, 90, true), look(0, 100, None, true), look(30, 100, 30, true)];
        assert_eq!(after(&expired), (vec![], 0));
    }

    #[test]
    fn a_group_that_is_set_back_has_read_what_was_behind_it() {
        let back = [look(0, 100, 90, true), look(0, 100, 20, true), look(50, 100, 20, true)];
        assert_eq!(after(&back), (vec![], 0));
        let beyond = [look(95, 100, 20, true)];
        assert_eq!(after(&[&back[..], &beyond].concat()), (vec![(90, 94, true)], 5));
    }

    #[test]
    fn a_topic_made_anew_begins_anew() {
        let old = [look(0, 100, 90, true), look(95, 100, 90, true)];
        assert_eq!(after(&old), (vec![(90, 94, true)], 5));
        // The commit of the old one is above the new one's end, then it is gone.
        let new = [look(0, 10, 90, true), look(0, 20, None, true), look(0, 30, 5, true)];
        let all = [&old[..], &new].concat();
        assert_eq!(after(&all), (vec![(90, 94, true)], 5));
        let all = [&all[..], &[look(8, 30, 5, true)]].concat();
        assert_eq!(after(&all), (vec![(90, 94, true), (5, 7, true)], 8));
    }

    #[test]
    fn news_is_told_once() {
        let mut retention = Retention::default();
        let told = |retention: &mut Retention, look| {
            retention.take(&look).map(|news| (news.first, news.last, news.lost))
        };
        assert_eq!(told(&mut retention, look(0, 100, 40, false)), None);
        let suspicious = look(50, 100, 40, false);
        assert!(retention.suspects(&suspicious));
        assert_eq!(told(&mut retention, suspicious), Some((40, 49, false)));
        assert_eq!(told(&mut retention, look(51, 100, 40, false)), None);
        let settled = look(51, 100, 40, true);
        assert!(!retention.suspects(&settled));
        assert_eq!(told(&mut retention, settled), Some((40, 50, true)));
        assert_eq!(told(&mut retention, settled), None);
        assert_eq!(told(&mut retention, look(60, 100, 40, true)), Some((51, 59, true)));
        assert!(!retention.suspects(&look(60, 100, 40, false)));
    }
}
