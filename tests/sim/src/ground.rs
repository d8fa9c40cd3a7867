//! What was injected against what the truth says was found: guards the oracle itself.
//!
//! Only scenarios in which nothing hides what was injected can be told number by number: the view
//! watched from the very start and to the end, and every ledger's last word arrived.

use crate::line::{LOG, LaneKey, Name};
use crate::oracle::{Fate, Oracle, Stage};
use crate::traffic::{Knobs, Scenario};

/// Holds what was injected against the truth of a whole recording. `None`: too much was hidden.
#[must_use]
pub fn check(scenario: &Scenario, oracle: &Oracle) -> Option<Result<(), String>> {
    let Scenario { knobs, injected, .. } = scenario;
    let told = injected.settled && !hides(knobs) && knobs.views.contains(&LOG);
    told.then(|| views(scenario, oracle))
}

/// Whether something was done of which a checker cannot know what it took away. A group that skips
/// and then says where it goes on has jumped, and one that does not say so and comes to an end has
/// paused; without a ledger nobody knows what was committed.
fn hides(knobs: &Knobs) -> bool {
    let Knobs { joins_late, no_watch, pause, cut, anew, retention, compacted, .. } = knobs;
    let Knobs { positions, transaction, halved, .. } = knobs;
    let jumps = knobs.resume > 0 && (knobs.skipped > 0 || knobs.dropped > 0);
    let unsaid = knobs.committed > 0 && knobs.silent > 0;
    !positions
        || jumps
        || unsaid
        || [joins_late, no_watch, pause, cut, anew, retention, compacted, transaction, halved]
            .into_iter()
            .any(|&percent| percent > 0)
}

fn views(scenario: &Scenario, oracle: &Oracle) -> Result<(), String> {
    let Scenario { knobs, injected, .. } = scenario;
    for (view, stream) in oracle.streams() {
        let lanes = oracle.lanes(view, stream);
        for (&key, &taken) in &injected.taken {
            let Some(truth) = lanes.get(&key) else {
                let any = injected.handed.iter().any(|(v, lane, _)| (*v, *lane) == (view, key));
                // A lane without a ledger of which nothing was ever shown.
                if !any && !injected.told.contains(&key) {
                    continue;
                }
                return Err(format!("{view}: no lane {key:?}"));
            };
            for n in 0..taken {
                // Without a ledger nobody knows of what was taken last.
                if !truth.has_ledger && !truth.fates.contains_key(&n) {
                    continue;
                }
                let found = truth.fates.get(&n).copied();
                let wanted = fate(scenario, view, key, n, truth.has_ledger);
                if found != Some(wanted) {
                    return Err(format!("{view}: {key:?} {n}: injected {wanted:?}, {found:?}"));
                }
            }
        }
        let sum = |count: fn(&crate::oracle::Counts) -> u64| -> u64 {
            lanes.values().map(|truth| count(&truth.counts)).sum()
        };
        let (resent, redelivered) = (sum(|c| c.resent), sum(|c| c.redelivered));
        if view == LOG && (resent, redelivered) != (injected.resent, 0) {
            return Err(format!("{resent} resent, {redelivered} redelivered; {injected:?}"));
        }
        let wanted = injected.redelivered.get(view).copied().unwrap_or(0);
        if view != LOG && knobs.resume == 0 && redelivered != wanted {
            return Err(format!("{view}: {redelivered} redelivered, injected {wanted}"));
        }
    }
    Ok(())
}

fn fate(scenario: &Scenario, view: Name, key: LaneKey, n: u64, has_ledger: bool) -> Fate {
    let injected = &scenario.injected;
    if injected.handed.contains(&(view, key, n)) {
        return Fate::Seen;
    }
    if injected.refused.contains(&(key, n)) && has_ledger {
        return Fate::Refused;
    }
    if !injected.stored.contains(&(key, n)) {
        return match view {
            LOG if !has_ledger => Fate::Lost(Stage::Undetermined),
            LOG if injected.lost_by_broker.contains(&(key, n)) => Fate::Lost(Stage::Store),
            LOG => Fate::Lost(Stage::Produce),
            _ => Fate::LostInLog,
        };
    }
    Fate::Lost(Stage::Consume)
}
