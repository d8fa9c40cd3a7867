//! What a producer says of a lane while it goes on, and in the end.

use std::collections::BTreeSet;

use super::history::Course;
use crate::line::{Entry, LaneKey};
use crate::rng::Rng;

/// The records of one lane in the order in which they were written; the last says all there is to
/// say, but for what its `from` leaves out where the producer forgets.
pub(super) fn records(
    rng: &mut Rng,
    key: LaneKey,
    courses: &[Course],
    forgets: bool,
) -> Vec<Entry> {
    let taken = u64::try_from(courses.len()).unwrap_or(u64::MAX);
    // By when each was answered, counted in numbers taken.
    let answered: Vec<u64> = (1..).zip(courses).map(|(n, _)| n + rng.below(4)).collect();
    let mut moments: Vec<u64> = (0..rng.below(4)).map(|_| rng.between(1, taken + 3)).collect();
    moments.sort_unstable();
    moments.push(u64::MAX);
    let mut records = Vec::new();
    for (rev, moment) in (1..).zip(moments) {
        let next = taken.min(moment);
        let from = if forgets { rng.below(next + 1) } else { 0 };
        let none = BTreeSet::new;
        let mut entry = Entry {
            lane: key,
            rev,
            from,
            next,
            pending: none(),
            unanswered: none(),
            refused: none(),
            aborted: none(),
            closed: moment == u64::MAX && rng.chance(50),
            at: rev,
        };
        for ((n, course), &answered) in (0..).zip(courses).zip(&answered) {
            if n < from || n >= next {
                continue;
            }
            let list = match course {
                Course::Awaited | Course::Vanished => &mut entry.pending,
                _ if answered > moment => &mut entry.pending,
                Course::Acknowledged | Course::LostByBroker => continue,
                Course::Unheard | Course::LostOnTheWay => &mut entry.unanswered,
                Course::RolledBack | Course::Withdrawn => &mut entry.aborted,
                Course::Refused => &mut entry.refused,
            };
            list.insert(n);
        }
        records.push(entry);
    }
    records
}
