//! Lanes of streams without partitions, a bounded number of them, looked up by many threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::{DashMap, Entry};
use foldhash::fast::RandomState;

use crate::lane::Lane;
use crate::reporter::Lanes;

/// One lane a stream, found by the stream's name.
#[derive(Debug)]
pub struct LaneMap {
    lanes: DashMap<Arc<str>, Arc<Lane>, RandomState>,
    /// Places taken; a place is taken while its stream is locked.
    taken: AtomicUsize,
    limit: usize,
}

impl LaneMap {
    /// An empty map that will hold `limit` lanes at most.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let lanes = DashMap::with_hasher(RandomState::default());
        Self { lanes, taken: AtomicUsize::new(0), limit }
    }

    /// The stream's lane, if it has one.
    #[must_use]
    pub fn find(&self, stream: &str) -> Option<Arc<Lane>> {
        self.lanes.get(stream).map(|lane| Arc::clone(&lane))
    }

    /// The stream's lane, made at its first message; `None` where it would be one too many.
    pub fn entry(&self, stream: &str, make: impl FnOnce(&Arc<str>) -> Lane) -> Option<Arc<Lane>> {
        if let Some(lane) = self.find(stream) {
            return Some(lane);
        }
        if self.taken.load(Ordering::Relaxed) >= self.limit {
            // The last place may be this stream's: it is taken with the stream locked, so whoever
            // sees it taken finds the lane.
            return self.find(stream);
        }
        let name: Arc<str> = stream.into();
        match self.lanes.entry(Arc::clone(&name)) {
            Entry::Occupied(lane) => Some(Arc::clone(lane.get())),
            Entry::Vacant(place) => {
                if self.taken.fetch_add(1, Ordering::Relaxed) >= self.limit {
                    self.taken.fetch_sub(1, Ordering::Relaxed);
                    return None;
                }
                Some(Arc::clone(&place.insert(Arc::new(make(&name)))))
            }
        }
    }
}

impl Lanes for LaneMap {
    fn each(&self, visit: &mut dyn FnMut(&Lane)) {
        for entry in &self.lanes {
            visit(entry.value());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;
    use crate::identity::Identity;

    /// Four threads at once on a map of ten lanes, and often, as who comes second must come while the
    /// first one is at it: with places that were taken before the stream was locked, one of a hundred
    /// rounds refused the last stream. `work` is told which thread it is, and how to get a lane.
    fn race(
        work: impl Fn(usize, &dyn Fn(&str) -> Option<Arc<Lane>>) + Sync,
        hold: impl Fn(&LaneMap, &dyn Fn(&str) -> Option<Arc<Lane>>),
    ) {
        let identity = Identity { producer: "p@h".to_owned(), epoch: 7 };
        for _ in 0..500 {
            let map = LaneMap::new(10);
            let entry =
                |stream: &str| map.entry(stream, |name| Lane::new(name, "0", &identity, false));
            let start = Barrier::new(4);
            thread::scope(|scope| {
                for thread in 0..4 {
                    let (work, entry, start) = (&work, &entry, &start);
                    scope.spawn(move || {
                        start.wait();
                        work(thread, entry);
                    });
                }
            });
            hold(&map, &entry);
        }
    }

    #[test]
    fn threads_share_a_stream_s_lane_and_the_limit_holds() {
        race(
            |_, entry| {
                for number in 0..10 {
                    let lane = entry(&format!("x/{number}")).unwrap();
                    lane.taken(lane.turn());
                }
            },
            |map, entry| {
                assert!(entry("x/10").is_none());
                assert!(entry("x/9").is_some());
                let mut nexts = Vec::new();
                map.each(&mut |lane| nexts.push(lane.next()));
                assert_eq!(nexts, [4; 10]);
            },
        );
    }

    #[test]
    fn streams_beyond_the_limit_are_refused_and_no_other() {
        let taken = AtomicUsize::new(0);
        race(
            |thread, entry| {
                let own = (0..4).filter(|n| entry(&format!("{thread}/{n}")).is_some()).count();
                taken.fetch_add(own, Ordering::Relaxed);
            },
            |_, _| assert_eq!(taken.swap(0, Ordering::Relaxed), 10),
        );
    }
}
