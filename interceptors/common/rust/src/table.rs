//! A table that only grows, read without a lock: a producer's topics, a topic's lanes. Neither is
//! ever removed while its producer lives.

use std::sync::OnceLock;

/// Slots, of 16 bytes each. Up to here a look-up is one step; beyond, a chain grows slowly longer.
const SLOTS: usize = 256;

/// Entries by a hash of the caller's.
#[derive(Debug)]
pub struct Table<T> {
    slots: Box<[Link<T>]>,
}

type Link<T> = OnceLock<Box<Node<T>>>;

#[derive(Debug)]
struct Node<T> {
    entry: T,
    next: Link<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| OnceLock::new()).collect() }
    }
}

impl<T> Table<T> {
    /// The entry with this hash that `is` takes.
    #[inline]
    pub fn find(&self, hash: usize, is: impl Fn(&T) -> bool) -> Option<&T> {
        let mut link = &self.slots[hash % SLOTS];
        loop {
            let node = link.get()?;
            if is(&node.entry) {
                return Some(&node.entry);
            }
            link = &node.next;
        }
    }

    /// The entry with this hash that `is` takes, made where it is missing.
    pub fn find_or_add(&self, hash: usize, is: impl Fn(&T) -> bool, make: impl Fn() -> T) -> &T {
        let mut link = &self.slots[hash % SLOTS];
        loop {
            // Of several that come at a time one gets to add; the others look at its entry.
            let node = link.get_or_init(|| Box::new(Node { entry: make(), next: OnceLock::new() }));
            if is(&node.entry) {
                return &node.entry;
            }
            link = &node.next;
        }
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flat_map(|slot| {
            std::iter::successors(slot.get(), |node| node.next.get()).map(|node| &node.entry)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn every_entry_is_added_once_however_many_come_at_a_time() {
        let table = Table::default();
        let keys = 0..SLOTS * 3;
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for key in keys.clone() {
                        assert_eq!(*table.find_or_add(key, |&entry| entry == key, || key), key);
                    }
                });
            }
        });
        let mut found: Vec<usize> = table.iter().copied().collect();
        found.sort_unstable();
        assert_eq!(found, keys.collect::<Vec<_>>());
        assert_eq!(table.find(SLOTS + 1, |&entry| entry == SLOTS + 1), Some(&(SLOTS + 1)));
        assert_eq!(table.find(1, |&entry| entry == SLOTS * 3 + 1), None);
    }
}
