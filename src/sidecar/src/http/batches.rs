//! Which batches were taken, so that one that is sent again is not taken twice.

use std::collections::{BTreeSet, HashMap};

use axum::http::{HeaderValue, StatusCode};

use super::problem::Problem;

/// Batches remembered of each source: more than a sender has under way.
const PER_SOURCE: usize = 1_024;
/// Sources remembered. Above it the one that was silent longest is forgotten.
const SOURCES: usize = 10_000;
/// Longest name of a source, in bytes.
const MAX_NAME: usize = 256;

/// `Lacuna-Batch: <source>;<n>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    source: String,
    number: u64,
}

impl Batch {
    pub(super) fn read(header: &HeaderValue) -> Result<Self, Problem> {
        let parts = header.to_str().ok().and_then(|text| text.rsplit_once(';'));
        let batch = parts.and_then(|(source, number)| {
            let number = number.parse().ok()?;
            let named = (1..=MAX_NAME).contains(&source.len());
            named.then(|| Self { source: source.to_owned(), number })
        });
        batch.ok_or_else(|| {
            Problem::bad(format!(
                "Lacuna-Batch is not <source>;<n>, a name of at most {MAX_NAME} bytes and a number"
            ))
        })
    }
}

impl Batch {
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Whether its source begins with it.
    pub(super) const fn is_first(&self) -> bool {
        self.number <= 1
    }
}

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

#[derive(Debug, Default)]
struct Source {
    taken: BTreeSet<u64>,
    /// Numbers up to this one were forgotten.
    forgotten: Option<u64>,
    last: u64,
}

impl Batches {
    /// Refuses one that is so old that nobody knows any more: to take it might be to take it twice,
    /// not to take it might lose it.
    pub(super) fn look_up(&self, batch: &Batch) -> Result<Known, Problem> {
        let Some(source) = self.sources.get(&batch.source) else { return Ok(Known::New) };
        if source.taken.contains(&batch.number) {
            Ok(Known::Taken)
        } else if source.forgotten.is_some_and(|forgotten| batch.number <= forgotten) {
            let what = format!(
                "batch {} is too old to tell whether it was taken: the last {PER_SOURCE} of a \
                 source are remembered",
                batch.number
            );
            Err(Problem::new(StatusCode::CONFLICT, what))
        } else {
            Ok(Known::New)
        }
    }

    pub(super) fn knows(&self, batch: &Batch) -> bool {
        self.sources.contains_key(&batch.source)
    }

    pub(super) fn note(&mut self, batch: Batch) {
        self.noted += 1;
        let Batch { source: name, number } = batch;
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&name) {
            let silent = self.sources.iter().min_by_key(|(_, source)| source.last);
            if let Some(silent) = silent.map(|(name, _)| name.clone()) {
                self.sources.remove(&silent);
            }
        }
        let source = self.sources.entry(name).or_default();
        source.last = self.noted;
        source.taken.insert(number);
        if source.taken.len() > PER_SOURCE {
            source.forgotten = source.taken.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(source: &str, number: u64) -> Batch {
        Batch::read(&HeaderValue::from_str(&format!("{source};{number}")).unwrap()).unwrap()
    }

    #[test]
    fn a_batch_is_new_once_in_whatever_order_they_come() {
        let mut batches = Batches::default();
        for number in [5, 3, 9] {
            assert_eq!(batches.look_up(&batch("a", number)), Ok(Known::New), "{number}");
            batches.note(batch("a", number));
            assert_eq!(batches.look_up(&batch("a", number)), Ok(Known::Taken), "{number}");
        }
        assert_eq!(batches.look_up(&batch("a", 4)), Ok(Known::New));
        assert_eq!(batches.look_up(&batch("b", 5)), Ok(Known::New));
    }

    #[test]
    fn one_that_is_forgotten_is_refused() {
        let mut batches = Batches::default();
        for number in 0..=PER_SOURCE as u64 {
            batches.note(batch("a", number));
        }
        assert!(batches.look_up(&batch("a", 0)).is_err());
        assert_eq!(batches.look_up(&batch("a", 1)), Ok(Known::Taken));
    }

    #[test]
    fn the_source_that_was_silent_longest_is_forgotten() {
        let mut batches = Batches::default();
        for source in 0..SOURCES {
            batches.note(batch(&source.to_string(), 0));
        }
        batches.note(batch("0", 1));
        batches.note(batch("new", 0));
        assert_eq!(batches.sources.len(), SOURCES);
        assert_eq!(batches.look_up(&batch("0", 0)), Ok(Known::Taken));
        assert_eq!(batches.look_up(&batch("1", 0)), Ok(Known::New));
    }

    #[test]
    fn headers_that_name_no_batch() {
        for text in ["", "a", ";1", "a;", "a;-1", "a;x"] {
            let header = HeaderValue::from_str(text).unwrap();
            assert!(Batch::read(&header).is_err(), "{text:?}");
        }
        assert_eq!(batch("a;b", 1), Batch { source: "a;b".to_owned(), number: 1 });
    }
}
