//! What a producer's ledger announces, and what a view that had not looked yet makes of it.

use super::lane::Gap;
use super::world::Oracle;
use crate::line::{Entry, LaneKey, Name, Place, SPAN};

impl Oracle {
    pub(super) fn ledger(&mut self, entry: Entry, arrival: u64) {
        let key = entry.lane;
        let book = self.books.entry(key).or_default();
        let mut pending = book.pending();
        book.add(entry, arrival);
        pending.extend(book.pending());
        let views: Vec<(Name, Name)> = self.views.keys().copied().collect();
        for at in views.into_iter().filter(|(_, stream)| *stream == key.stream) {
            self.announce(at, key, arrival);
            let book = &self.books[&key];
            let Some(lane) = self.views.get_mut(&at).and_then(|eyes| eyes.lanes.get_mut(&key))
            else {
                continue;
            };
            for n in &pending {
                // Called pending again, what had been given up waits for its answer.
                let again = book.is_pending(*n);
                if let Some(gap) = lane.gaps.get_mut(n)
                    && (!gap.judged || again)
                {
                    gap.judged = false;
                    gap.restart(gap.opened.max(arrival));
                }
            }
            let place = Place { view: at.0, stream: at.1, partition: key.label };
            self.mark_past(place);
            if self.views[&at].parts.contains_key(&key.label) {
                self.explain(place, key);
            }
        }
    }

    /// Numbers that the ledger says were taken and that this view has not come to.
    pub(super) fn announce(&mut self, at: (Name, Name), key: LaneKey, arrival: u64) {
        let eyes = &self.views[&at];
        let unsure = self.tail_unsure(eyes, key, arrival);
        let taken = self.books[&key].taken();
        let Some(eyes) = self.views.get_mut(&at) else { return };
        let lane = eyes.lanes.entry(key).or_default();
        for n in lane.next()..taken {
            let gap = Gap { unsure, ..Gap::new(arrival, true) };
            lane.gaps.insert(n, gap);
        }
    }

    /// Lanes that only the ledger knows, in a partition that is watched now.
    pub(super) fn expect_unseen(&mut self, place: Place, at: u64) {
        let keys: Vec<LaneKey> = self.eyes(place).lanes.keys().copied().collect();
        for key in keys.into_iter().filter(|key| key.label == place.partition || key.label == SPAN)
        {
            let arrival = self.books.get(&key).map_or(at, |book| book.last_arrival);
            let eyes = &self.views[&(place.view, place.stream)];
            let expected = self.tail_unsure(eyes, key, arrival).is_none();
            let lane = self.lane_mut(place, key);
            if lane.highest.is_none() && expected {
                for gap in lane.gaps.values_mut() {
                    if gap.unsure.take().is_some() {
                        gap.restart(at.max(arrival));
                    }
                }
            }
        }
    }
}
