//! What a request's query says.

use axum::extract::Query;
use axum::http::Uri;
use lacuna_core::report::Filter;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Rows of one page, unless asked otherwise.
const LIMIT: usize = 1_000;
/// Rows of one page at most: an answer is built in memory.
const MAX_LIMIT: usize = 100_000;

/// Reads a query; what it does not know is a mistake, for a filter that is misspelt shows
/// everything.
pub(super) fn read<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    match Query::try_from_uri(uri) {
        Ok(Query(query)) => Ok(query),
        Err(rejection) => Err(Problem::bad(rejection.body_text())),
    }
}

/// The age that a page ended with.
pub(super) fn age(cursor: Option<&str>) -> Result<Option<u64>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let age = cursor.parse();
    age.map(Some).map_err(|_| Problem::bad(format!("cursor {cursor:?} is not one of ours")))
}

/// How many rows are asked for.
pub(super) fn limit(limit: Option<usize>) -> Result<usize, Problem> {
    match limit {
        None => Ok(LIMIT),
        Some(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
        Some(limit) => Err(Problem::bad(format!("limit {limit} is not 1 to {MAX_LIMIT}"))),
    }
}

/// Which rows, and how many. Every path that lists rows takes all of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rows {
    view: Option<String>,
    stream: Option<String>,
    partition: Option<String>,
    producer: Option<String>,
    pub(super) depth: Option<String>,
    pub(super) state: Option<String>,
    pub(super) limit: Option<usize>,
    pub(super) cursor: Option<String>,
}

impl Rows {
    pub(super) fn filter(&self) -> Filter {
        Filter {
            view: self.view.clone(),
            stream: self.stream.clone(),
            partition: self.partition.clone(),
            producer: self.producer.clone(),
        }
    }

    pub(super) fn limit(&self) -> Result<usize, Problem> {
        limit(self.limit)
    }

    /// The age that the last page ended with.
    pub(super) fn age(&self) -> Result<Option<u64>, Problem> {
        age(self.cursor.as_deref())
    }

    /// Refuses what this path makes nothing of.
    pub(super) fn without(&self, unused: &[(&str, bool)]) -> Result<(), Problem> {
        match unused.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(Problem::bad(format!("{name} means nothing here"))),
            None => Ok(()),
        }
    }
}
