//! Parsed lines into a checker, by the record's own times.

use hashbrown::{Equivalent, HashMap};
use lacuna_core::{Checker, PartitionId};

use super::line::{Line, Place};

/// The checker keeps no more partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more partitions than the checker keeps: check fewer streams at a time")]
pub struct TooManyPartitions;

/// A checker that is fed lines. Where they happened is resolved once a place, not once a line.
#[derive(Debug)]
pub struct Feed {
    checker: Checker,
    places: HashMap<Place<'static>, PartitionId, foldhash::fast::RandomState>,
}

impl Feed {
    /// Feeds this checker.
    #[must_use]
    pub fn new(checker: Checker) -> Self {
        Self { checker, places: HashMap::default() }
    }

    /// Takes one line.
    pub fn take(&mut self, line: &Line<'_>) -> Result<(), TooManyPartitions> {
        match line {
            Line::At(place, event) => {
                let id = self.resolve(place)?;
                event.apply(&mut self.checker, id, None);
            }
            Line::Ledger(ledger) => {
                // Parsing has validated it.
                let taken = self.checker.ledger(&ledger.record(), None);
                debug_assert!(taken.is_ok(), "a ledger that was parsed is of good form");
            }
        }
        Ok(())
    }

    /// The checker, fed.
    #[must_use]
    pub fn into_checker(self) -> Checker {
        self.checker
    }

    fn resolve(&mut self, place: &Place<'_>) -> Result<PartitionId, TooManyPartitions> {
        if let Some(&id) = self.places.get(&Key(place)) {
            return Ok(id);
        }
        let Place { view, stream, partition } = place;
        let id = self.checker.partition(view, stream, partition).ok_or(TooManyPartitions)?;
        self.places.insert(place.clone().into_owned(), id);
        Ok(id)
    }
}

/// Looks a borrowed place up among owned ones.
#[derive(Hash)]
struct Key<'a>(&'a Place<'a>);

impl Equivalent<Place<'static>> for Key<'_> {
    fn equivalent(&self, key: &Place<'static>) -> bool {
        self.0 == key
    }
}
