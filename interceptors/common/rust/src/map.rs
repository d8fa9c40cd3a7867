//! Lanes of streams without partitions, a bounded number of them, looked up by many threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use foldhash::fast::RandomState;

use crate::lane::Lane;

/// One lane a stream, found by the stream's name.
#[derive(Debug)]
pub struct LaneMap {
    lanes: DashMap<Arc<str>, Arc<Lane>, RandomState>,
    /// Places taken, those of lanes that are being made included.
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
        if self.taken.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            // Another thread may have made it meanwhile.
            return self.find(stream);
        }
        let mut made = false;
        let name: Arc<str> = stream.into();
        let lane = Arc::clone(&self.lanes.entry(Arc::clone(&name)).or_insert_with(|| {
            made = true;
            Arc::new(make(&name))
        }));
        if !made {
            self.taken.fetch_sub(1, Ordering::Relaxed);
        }
        Some(lane)
    }

    /// Every lane, in no order. What is added meanwhile may be missing.
    pub fn each(&self, mut visit: impl FnMut(&Lane)) {
        for entry in &self.lanes {
            visit(entry.value());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::identity::Identity;

    #[test]
    fn threads_share_a_stream_s_lane_and_the_limit_holds() {
        let identity = Identity { producer: "p@h".to_owned(), epoch: 7 };
        let map = LaneMap::new(10);
        let entry = |stream: &str| map.entry(stream, |name| Lane::new(name, "0", &identity, false));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..10 {
                        let lane = entry(&format!("x/{number}")).unwrap();
                        lane.taken(lane.turn());
                    }
                });
            }
        });
        assert!(entry("x/10").is_none());
        assert!(entry("x/9").is_some());
        let mut nexts = Vec::new();
        map.each(|lane| nexts.push(lane.next()));
        assert_eq!(nexts, [4; 10]);
    }
}
