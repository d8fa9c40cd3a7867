//! `lacuna state`: looks at a state without changing it, whether a sidecar has it or not.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use lacuna_core::report::Filter;
use lacuna_core::state::{Key, Loader};
use lacuna_core::{Checker, Settings};
use serde::Serialize;
use serde_json::Value;

use super::history::{self, Wanted};
use super::keys::{self, Whose};
use super::store::{Store, StoreError};
use crate::exit::Exit;
use crate::report::Counts;

/// Findings that are read at a time.
const PAGE: usize = 10_000;

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// Of the state.
    #[error(transparent)]
    State(#[from] StoreError),
    /// Of the output.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// A state in short.
#[derive(Serialize)]
struct Account<'a> {
    v: u8,
    directory: &'a Path,
    /// Records and their bytes, by what they hold.
    records: BTreeMap<String, (u64, u64)>,
    workers: usize,
    /// The highest time of anything that was checked, ms since the Unix epoch.
    at: Option<u64>,
    streams: usize,
    lanes: usize,
    totals: Counts<'a>,
    /// Where each source is read on, by its name and by what its tap calls it.
    taps: Taps,
}

type Taps = BTreeMap<String, BTreeMap<String, Value>>;

/// Says what a state holds, as one JSON document.
///
/// # Errors
/// It cannot be read, or not be written to the output.
pub fn inspect(dir: &Path, out: &mut impl Write) -> Result<Exit, LookError> {
    let (_, records) = Store::look(dir)?;
    let mut held: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut checkers: BTreeMap<u16, Vec<(Key, &[u8])>> = BTreeMap::new();
    let mut taps = Taps::new();
    let damaged = |what: String| StoreError::Damaged(dir.to_owned(), what);
    for (key, value) in &records {
        let name = match keys::read(key) {
            Some(Whose::Engine(_)) => "Engine".to_owned(),
            Some(Whose::Tap(_, source, name)) => {
                let at = serde_json::from_slice(value).unwrap_or_default();
                taps.entry(source.to_owned()).or_default().insert(name.to_owned(), at);
                "Tap".to_owned()
            }
            Some(Whose::Checker(worker, rest)) => {
                let key = Key::parse(rest).map_err(|error| damaged(error.to_string()))?;
                checkers.entry(worker).or_default().push((key, value));
                format!("{:?}", key.kind)
            }
            None => return Err(damaged("a record is of no known kind".to_owned()).into()),
        };
        let (count, bytes) = held.entry(name).or_default();
        *count += 1;
        *bytes += (key.len() + value.len()) as u64;
    }
    let mut totals = lacuna_core::totals::Totals::default();
    let (mut at, mut streams, mut lanes) = (None, 0, 0);
    let workers = checkers.len();
    for records in checkers.values() {
        let mut checker = Checker::new(Settings::default());
        let mut loader = Loader::new(&mut checker);
        for (key, bytes) in records {
            let read = loader.record(*key, bytes);
            read.map_err(|error| damaged(format!("{key:?}: {error}")))?;
        }
        loader.finish().map_err(|error| damaged(error.to_string()))?;
        at = at.max(checker.now());
        lanes += checker.lane_count();
        streams += checker.report(&Filter::default(), false).len();
        totals += &checker.totals();
    }
    let account = Account {
        v: 1,
        directory: dir,
        records: held,
        workers,
        at,
        streams,
        lanes,
        totals: Counts { totals: &totals, sparse: true },
        taps,
    };
    serde_json::to_writer_pretty(&mut *out, &account).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(Exit::DONE)
}

/// Writes the history of findings, newest first, one JSON object a line.
///
/// # Errors
/// As [`inspect`].
pub fn export(dir: &Path, out: &mut impl Write) -> Result<Exit, LookError> {
    drop(Store::look(dir)?);
    let reader = Store::reader(dir)?;
    let mut wanted = Wanted::default();
    loop {
        let read = history::read(&reader, &wanted, PAGE);
        let page = read.map_err(|error| StoreError::Refused(dir.to_owned(), error))?;
        for finding in &page {
            serde_json::to_writer(&mut *out, finding).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        match page.last() {
            Some(last) => wanted.before = Some(last.id),
            None => return Ok(Exit::DONE),
        }
    }
}
