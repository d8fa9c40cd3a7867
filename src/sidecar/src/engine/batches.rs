//! Which batches were taken, so that one that is sent again is not taken twice.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

/// Batches remembered of each source: more than a sender has under way.
const PER_SOURCE: usize = 1_024;
/// Sources remembered. Above it the one that was silent longest is forgotten.
const SOURCES: usize = 10_000;
/// `Lacuna-Batch: <source>;<n>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    source: String,
    number: u64,
}

impl Batch {
    /// Longest name of a source, in bytes.
    pub const MAX_NAME: usize = 256;

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Whether its source begins with it.
    pub(super) const fn is_first(&self) -> bool {
        self.number <= 1
    }

    /// Reads what the header says; `None`: it names no batch.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (source, number) = text.rsplit_once(';')?;
        let number = number.parse().ok()?;
        let named = (1..=Self::MAX_NAME).contains(&source.len());
        named.then(|| Self { source: source.to_owned(), number })
    }
}

/// A batch is so old that nobody knows any more whether it was taken: to take it might be to take it
/// twice, not to take it might lose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "batch {0} is too old to tell whether it was taken: the last {PER_SOURCE} of a source are \
     remembered"
)]
pub struct TooOld(u64);

/// Whether a batch was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It was.
    Taken,
    /// It was not.
    New,
}

/// The batches of all sources.
#[derive(Debug, Default)]
pub(super) struct Batches {
    sources: HashMap<String, Source>,
    /// Counts batches, to tell which source was silent longest.
    noted: u64,
}

#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
struct Source {
    /// Ranges, where it is written.
    #[serde(with = "ranges")]
    taken: BTreeSet<u64>,
    /// Numbers up to this one were forgotten.
    forgotten: Option<u64>,
    last: u64,
}

impl Batches {
    pub(super) fn look_up(&self, batch: &Batch) -> Result<Known, TooOld> {
        let Some(source) = self.sources.get(&batch.source) else { return Ok(Known::New) };
        if source.taken.contains(&batch.number) {
            Ok(Known::Taken)
        } else if source.forgotten.is_some_and(|forgotten| batch.number <= forgotten) {
            Err(TooOld(batch.number))
        } else {
            Ok(Known::New)
        }
    }

    pub(super) fn knows(&self, batch: &Batch) -> bool {
        self.sources.contains_key(&batch.source)
    }

    /// Notes one; `changed` is told of every source that has changed, and of what there is to keep of
    /// it; `None`: nothing any more.
    pub(super) fn note(&mut self, batch: Batch, mut changed: impl FnMut(&str, Option<Vec<u8>>)) {
        self.noted += 1;
        let Batch { source: name, number } = batch;
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&name) {
            let silent = self.sources.iter().min_by_key(|(_, source)| source.last);
            if let Some(silent) = silent.map(|(name, _)| name.clone()) {
                self.sources.remove(&silent);
                changed(&silent, None);
            }
        }
        let source = self.sources.entry(name.clone()).or_default();
        source.last = self.noted;
        source.taken.insert(number);
        if source.taken.len() > PER_SOURCE {
            source.forgotten = source.taken.pop_first();
        }
        changed(&name, serde_json::to_vec(source).ok());
    }

    /// Goes on with what was kept of a source; false: that is nothing of the kind.
    pub(super) fn restore(&mut self, name: &str, kept: &[u8]) -> bool {
        let Ok(source) = serde_json::from_slice::<Source>(kept) else { return false };
        self.noted = self.noted.max(source.last);
        self.sources.insert(name.to_owned(), source);
        true
    }
}

/// Numbers as ranges: a source's are seldom apart.
mod ranges {
    use std::collections::BTreeSet;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::PER_SOURCE;

    pub(super) fn serialize<S: Serializer>(
        numbers: &BTreeSet<u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for &number in numbers {
            match ranges.last_mut() {
                Some(last) if last.1.checked_add(1) == Some(number) => last.1 = number,
                _ => ranges.push((number, number)),
            }
        }
        ranges.serialize(serializer)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        deserializer: D,
    ) -> Result<BTreeSet<u64>, D::Error> {
        let ranges = Vec::<(u64, u64)>::deserialize(deserializer)?;
        Ok(ranges.into_iter().flat_map(|(first, last)| first..=last).take(PER_SOURCE).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(source: &str, number: u64) -> Batch {
        Batch::parse(&format!("{source};{number}")).unwrap()
    }

    /// Notes it, and keeps what is to be kept.
    fn note(batches: &mut Batches, kept: &mut HashMap<String, Vec<u8>>, batch: Batch) {
        batches.note(batch, |name, value| match value {
            Some(value) => drop(kept.insert(name.to_owned(), value)),
            None => drop(kept.remove(name)),
        });
    }

    fn restored(kept: &HashMap<String, Vec<u8>>) -> Batches {
        let mut batches = Batches::default();
        assert!(kept.iter().all(|(name, value)| batches.restore(name, value)));
        batches
    }

    #[test]
    fn a_batch_is_new_once_in_whatever_order_they_come() {
        let (mut batches, mut kept) = (Batches::default(), HashMap::new());
        for number in [5, 3, 9] {
            assert_eq!(batches.look_up(&batch("a", number)), Ok(Known::New), "{number}");
            note(&mut batches, &mut kept, batch("a", number));
            assert_eq!(batches.look_up(&batch("a", number)), Ok(Known::Taken), "{number}");
            assert_eq!(restored(&kept).look_up(&batch("a", number)), Ok(Known::Taken));
        }
        assert_eq!(batches.look_up(&batch("a", 4)), Ok(Known::New));
        assert_eq!(batches.look_up(&batch("b", 5)), Ok(Known::New));
    }

    #[test]
    fn one_that_is_forgotten_is_refused() {
        let (mut batches, mut kept) = (Batches::default(), HashMap::new());
        for number in 0..=PER_SOURCE as u64 {
            note(&mut batches, &mut kept, batch("a", number));
        }
        for batches in [&batches, &restored(&kept)] {
            assert_eq!(batches.look_up(&batch("a", 0)), Err(TooOld(0)));
            assert_eq!(batches.look_up(&batch("a", 1)), Ok(Known::Taken));
        }
    }

    #[test]
    fn the_source_that_was_silent_longest_is_forgotten() {
        let (mut batches, mut kept) = (Batches::default(), HashMap::new());
        for source in 0..SOURCES {
            note(&mut batches, &mut kept, batch(&source.to_string(), 0));
        }
        note(&mut batches, &mut kept, batch("0", 1));
        note(&mut batches, &mut kept, batch("new", 0));
        assert_eq!(kept.len(), SOURCES);
        assert_eq!(batches.sources.len(), SOURCES);
        assert_eq!(batches.look_up(&batch("0", 0)), Ok(Known::Taken));
        assert_eq!(batches.look_up(&batch("1", 0)), Ok(Known::New));
    }

    #[test]
    fn headers_that_name_no_batch() {
        for text in ["", "a", ";1", "a;", "a;-1", "a;x"] {
            assert_eq!(Batch::parse(text), None, "{text:?}");
        }
        assert_eq!(batch("a;b", 1), Batch { source: "a;b".to_owned(), number: 1 });
    }
}
