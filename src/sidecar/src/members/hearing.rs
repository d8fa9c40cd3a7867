//! Whether all that the members of a view were handed has been heard.
//!
//! A queue without positions tells nobody what its consumers were handed: that it is empty proves a
//! loss only once all of them have been heard.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lacuna_core::Watch;
use lacuna_ring::order;
use tokio::time::sleep;

use super::seats::Told;
use crate::engine::Engine;
use crate::record::{Event, Place};

/// Members that may report over HTTP at a time.
const LEASES: usize = 10_000;

/// How often members are looked for that were to be heard by now.
const LOOK: Duration = Duration::from_millis(250);

/// How long members may take to be heard again after a restart, ms.
const RETURN_MS: u64 = 60_000;

/// A member as it is kept: its source, and of each place the names, and whether it reads committed
/// messages only and in order.
type Kept = (String, Vec<([String; 3], bool, bool)>);

/// What is known of the members of all views. All times are those of [`lacuna_ring::order`].
#[derive(Debug, Default)]
pub struct Hearing(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// The last look at rings; `None`: nobody looks.
    round: Option<Round>,
    leases: HashMap<String, Held>,
}

/// One look at all rings.
#[derive(Debug, Default)]
pub struct Round {
    /// When it began: what was told before has been heard, but for the views that are named.
    pub begun: u64,
    /// Views of which something is not told or not read.
    pub unheard: HashSet<String>,
    /// Views with a member that may have been sent what it has not handed over yet.
    pub busy: HashSet<String>,
}

/// What a batch says of those that will follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Another one follows within so many ms; 0: none will, and all is told.
    pub ms: u64,
    /// There is more to tell already.
    pub more: bool,
    /// Something that was sent to the member may not have been handed over yet.
    pub busy: bool,
}

/// More members report at a time than are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

#[derive(Debug, Default)]
struct Held {
    /// What it has reported of, and how that is watched.
    places: HashMap<Place<'static>, Watch>,
    /// Until when it is to be heard again.
    until: u64,
    /// When its last batch was taken.
    taken: u64,
    /// All that it was handed before has been told.
    whole: u64,
    busy: bool,
}

impl Hearing {
    /// From now on rings are looked at; nothing has been heard yet.
    pub fn listen(&self) {
        self.heard().round = Some(Round::default());
    }

    /// Rings were looked at.
    pub fn looked(&self, round: Round) {
        self.heard().round = Some(round);
    }

    /// A batch of this source is about to be taken.
    pub fn admit(&self, source: &str) -> Result<(), TooMany> {
        let heard = self.heard();
        let known = heard.leases.len() < LEASES || heard.leases.contains_key(source);
        known.then_some(()).ok_or(TooMany)
    }

    /// It was taken, at this time; it spoke of these places, and said how some are watched.
    pub fn taken(
        &self,
        source: &str,
        lease: Lease,
        places: impl IntoIterator<Item = (Place<'static>, Option<Watch>)>,
        now: u64,
    ) {
        let mut heard = self.heard();
        if lease.ms == 0 {
            heard.leases.remove(source);
            return;
        }
        let held = heard.leases.entry(source.to_owned()).or_default();
        for (place, watch) in places {
            let known = held.places.entry(place).or_default();
            *known = watch.unwrap_or(*known);
        }
        // It was gathered after the one before it had been taken.
        if !lease.more {
            held.whole = held.taken;
        }
        held.taken = now;
        held.until = now.saturating_add(lease.ms.saturating_mul(1_000_000));
        held.busy = lease.busy;
    }

    /// What those that were to be heard by now have reported of: something of it may have been handed
    /// over of which nobody will ever tell.
    #[must_use]
    pub fn lapsed(&self, now: u64) -> Told {
        let mut told = Told::new();
        self.heard().leases.retain(|_, held| {
            let lives = held.until >= now;
            if !lives {
                let missed = held.places.drain().map(|(place, watch)| {
                    let Watch { committed, ordered, .. } = watch;
                    let watch = Watch { committed, ordered, ..Watch::default() };
                    (place, vec![Event::Watch(watch)])
                });
                told.extend(missed);
            }
            lives
        });
        told
    }

    /// Who reports of what, to be kept: a restart must not take their silence for the end.
    #[must_use]
    pub fn kept(&self) -> Vec<u8> {
        let heard = self.heard();
        let mut kept: Vec<Kept> = Vec::with_capacity(heard.leases.len());
        for (source, held) in &heard.leases {
            let place = |(place, watch): (&Place<'static>, &Watch)| {
                let Place { view, stream, partition } = place;
                let names = [view, stream, partition].map(ToString::to_string);
                (names, watch.committed, watch.ordered)
            };
            let mut places: Vec<_> = held.places.iter().map(place).collect();
            places.sort_unstable();
            kept.push((source.clone(), places));
        }
        kept.sort_unstable();
        serde_json::to_vec(&kept).unwrap_or_default()
    }

    /// Goes on with those that were kept: until they are heard again, nothing that their views lack is
    /// judged; if that takes too long, it is unknown.
    pub fn restore(&self, kept: &[u8]) {
        let kept: Vec<Kept> = serde_json::from_slice(kept).unwrap_or_default();
        for (source, places) in kept {
            let places =
                places.into_iter().map(|([view, stream, partition], committed, ordered)| {
                    let place = Place {
                        view: view.into(),
                        stream: stream.into(),
                        partition: partition.into(),
                    };
                    (place, Some(Watch { committed, ordered, ..Watch::default() }))
                });
            let lease = Lease { ms: RETURN_MS, more: true, busy: true };
            self.taken(&source, lease, places, order());
        }
    }

    /// Whether all has been heard that members of this view were handed before `since`; with
    /// `handed`, that nothing is on its way to them either.
    #[must_use]
    pub fn is_whole(&self, view: &str, since: u64, handed: bool) -> bool {
        let heard = self.heard();
        let rings = heard.round.as_ref().is_none_or(|round| {
            let idle = !(handed && round.busy.contains(view));
            round.begun >= since && !round.unheard.contains(view) && idle
        });
        rings
            && heard.leases.values().all(|held| {
                let other = !held.places.keys().any(|place| place.view == view);
                other || (held.whole >= since && !(handed && held.busy))
            })
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Breaks the views of members that are not heard in time, as long as the engine lives.
pub async fn end_leases(engine: Engine) {
    loop {
        sleep(LOOK).await;
        let lapsed = engine.hearing().lapsed(order());
        if !lapsed.is_empty() && engine.told(lapsed, []).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn place(view: &str) -> Place<'static> {
        let (view, stream, partition) = (view.to_owned().into(), "s".into(), "0".into());
        Place { view, stream, partition }
    }

    fn lease(ms: u64) -> Lease {
        Lease { ms, more: false, busy: false }
    }

    fn batch(hearing: &Hearing, source: &str, lease: Lease, now: u64) {
        let (place, watch) = (place("g"), Watch { ordered: false, ..Watch::default() });
        hearing.taken(source, lease, [(place, Some(watch))], now);
    }

    #[test]
    fn a_member_is_heard_by_the_batch_after_the_next() {
        let hearing = Hearing::default();
        assert!(hearing.is_whole("g", 5 * MS, true), "there is no member");
        batch(&hearing, "a", lease(100), 10 * MS);
        assert!(!hearing.is_whole("g", 5 * MS, false), "it may have been gathered before");
        batch(&hearing, "a", lease(100), 20 * MS);
        assert!(hearing.is_whole("g", 10 * MS, false));
        assert!(!hearing.is_whole("g", 11 * MS, false));
        assert!(hearing.is_whole("another", 11 * MS, false));
        batch(&hearing, "a", Lease { more: true, ..lease(100) }, 30 * MS);
        batch(&hearing, "a", Lease { more: true, ..lease(100) }, 40 * MS);
        assert!(!hearing.is_whole("g", 11 * MS, false), "there is more to tell");
        batch(&hearing, "a", Lease { busy: true, ..lease(100) }, 50 * MS);
        assert!(hearing.is_whole("g", 40 * MS, false));
        assert!(!hearing.is_whole("g", 40 * MS, true), "it has not handed all over");
        // Of two, both count; one that has said its last word does not.
        batch(&hearing, "b", lease(100), 60 * MS);
        assert!(!hearing.is_whole("g", 40 * MS, false));
        batch(&hearing, "b", lease(0), 61 * MS);
        assert!(hearing.is_whole("g", 40 * MS, false));
    }

    #[test]
    fn who_is_not_heard_in_time_leaves_a_break() {
        let hearing = Hearing::default();
        batch(&hearing, "a", lease(100), 10 * MS);
        batch(&hearing, "b", lease(100), 50 * MS);
        assert!(hearing.lapsed(110 * MS).is_empty());
        let lapsed = hearing.lapsed(111 * MS);
        assert_eq!(lapsed.len(), 1);
        let (at, events) = &lapsed[0];
        assert_eq!(*at, place("g"));
        assert!(
            matches!(&events[..], [Event::Watch(Watch { ordered: false, handover: false, .. })]),
            "{events:?}"
        );
        assert!(hearing.lapsed(112 * MS).is_empty(), "once");
        batch(&hearing, "b", lease(0), 120 * MS);
        assert!(hearing.lapsed(1_000 * MS).is_empty(), "it has told all");
    }

    #[test]
    fn rings_are_heard_a_round_at_a_time() {
        let hearing = Hearing::default();
        hearing.listen();
        assert!(!hearing.is_whole("g", 1, false), "no round was made yet");
        let only = |view: &str| HashSet::from([view.to_owned()]);
        hearing.looked(Round { begun: 10, unheard: only("late"), busy: only("busy") });
        assert!(hearing.is_whole("g", 10, true) && !hearing.is_whole("g", 11, true));
        assert!(!hearing.is_whole("late", 10, false));
        assert!(hearing.is_whole("busy", 10, false) && !hearing.is_whole("busy", 10, true));
    }
}
