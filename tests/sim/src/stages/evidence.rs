//! What a row says besides its range: neighbours, the ledger's word, who has seen it all the same.

use lacuna_core::report::{GapRow, Says};
use lacuna_core::verdict::State;

use super::expected::Truth;
use super::history::View;
use crate::compare::Difference;
use crate::line::LOG;

/// Holds a row of this lane in this view against what was drawn and shown.
pub(super) fn check(truth: &Truth<'_>, view: &View, row: &GapRow) -> Result<(), Difference> {
    let wrong = |what: &str, drawn: String| {
        Err(format!("core: {what}, drawn {drawn}, of {} {row:?}", view.name))
    };
    let stands = |n: &u64| truth.shown(view).is_some_and(|shown| shown.stands.contains(n));
    let below = (0..row.first).rev().find(stands);
    let above = (row.last + 1..row.last + 100).find(stands);
    for (what, near, drawn) in [("below", &row.before, below), ("above", &row.after, above)] {
        // None: forgotten.
        if near.as_ref().is_some_and(|near| Some(near.seq) != drawn) {
            return wrong(&format!("the neighbour {what}"), format!("{drawn:?}"));
        }
    }
    let word = truth.word(row.first);
    if row.says.map(|(says, _)| says) != word {
        return wrong("the ledger's word", format!("{word:?}"));
    }
    let is_lost_in_log = view.name == LOG && matches!(row.state, Some(State::Lost(_)));
    let mut seen_in = truth.others(view, row.first..=row.last);
    seen_in.retain(|_| is_lost_in_log);
    let mut found: Vec<&str> = row.seen_in.iter().map(String::as_str).collect();
    found.sort_unstable();
    if found != seen_in {
        return wrong("who has seen it", format!("{seen_in:?}"));
    }
    Ok(())
}

impl Truth<'_> {
    /// What the newest of its ledger's words is.
    fn word(&self, n: u64) -> Option<Says> {
        let lists = [
            (self.says(n, |record| &record.refused), Says::Refused),
            (self.says(n, |record| &record.aborted), Says::Aborted),
            (self.says(n, |record| &record.unanswered), Says::Unanswered),
            (self.is_pending(n), Says::Pending),
            (self.is_acknowledged(n), Says::Acknowledged),
        ];
        lists.into_iter().find(|(is_so, _)| *is_so).map(|(_, says)| says)
    }

    /// The other views that were shown any of these numbers.
    fn others(&self, view: &View, numbers: std::ops::RangeInclusive<u64>) -> Vec<&str> {
        let others = self.topic.views.iter().filter(|other| other.name != view.name);
        let any = others.filter(|other| {
            self.shown(other).is_some_and(|shown| shown.stands.range(numbers.clone()).any(|_| true))
        });
        let mut names: Vec<&str> = any.map(|other| other.name).collect();
        names.sort_unstable();
        names
    }
}
