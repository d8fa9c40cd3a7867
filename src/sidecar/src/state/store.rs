//! The file: records under keys, written together or not at all, and checked when they are read.
//!
//! SQLite keeps what was committed together together. What it does not see is a page that the disk
//! changed or lost; so each record has a checksum, and all checksums have a sum that is committed
//! with them: a record that is missing, doubled or from another time does not add up.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::form::{self, FORMAT};
use super::history::{self, Bounds, Finding};

const FILE: &str = "state.sqlite";
const LOCK: &str = "lock";

/// Why a state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error(
        "{0:?} is in use by another process: each sidecar needs a state directory of its own (--state)"
    )]
    Taken(PathBuf),
    /// The directory or the file cannot be used.
    #[error(
        "state in {0:?} cannot be used: {1}; --state names another directory, --state none keeps nothing"
    )]
    Unusable(PathBuf, io::Error),
    /// SQLite has refused.
    #[error("state in {0:?}: {1}")]
    Refused(PathBuf, rusqlite::Error),
    /// A later version wrote it.
    #[error(
        "state in {0:?} was written by a later version (format {1}, this one reads {FORMAT}): it is left as it is"
    )]
    Newer(PathBuf, u32),
    /// An earlier version wrote it, and it may not be written to.
    #[error(
        "state in {0:?} was written by an earlier version (format {1}, this one reads {FORMAT}): `lacuna run` \
         brings it on when it starts with it"
    )]
    Older(PathBuf, u32),
    /// It is not what was written.
    #[error(
        "state in {0:?} is damaged: {1}; it is left as it is: put a good copy there, or move it away to begin anew"
    )]
    Damaged(PathBuf, String),
    /// Another number of workers wrote it.
    #[error(
        "state in {0:?} was written with engine.workers = {1}, and is read with as many only: set it so, or \
         move the state away to begin anew"
    )]
    Workers(PathBuf, u64),
    /// It holds nothing.
    #[error("there is no state in {0:?}")]
    Nothing(PathBuf),
}

/// What is written together.
#[derive(Debug, Default)]
pub struct Writes {
    /// Records by key; `None`: deleted.
    pub records: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Findings, oldest first.
    pub findings: Vec<Finding>,
}

impl Writes {
    /// Adds what came later.
    pub fn add(&mut self, later: Self) {
        self.records.extend(later.records);
        self.findings.extend(later.findings);
    }
}

/// An open state.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    connection: Connection,
    /// The checksum of each record.
    sums: HashMap<Vec<u8>, u64>,
    sum: u64,
    /// How often something was committed.
    commits: u64,
    bounds: Bounds,
    /// Held, and told the number of each commit: an older copy of the file has a lower one.
    lock: Option<File>,
}

/// A record as it is read.
pub type Record = (Vec<u8>, Vec<u8>);

impl Store {
    /// Opens the state in this directory, for this process alone; both are made where there is none.
    /// Gives its records, in the order of their keys.
    ///
    /// # Errors
    /// It is another process's, damaged, of a later version, or the disk's trouble.
    pub fn open(dir: &Path, bounds: Bounds) -> Result<(Self, Vec<Record>), StoreError> {
        let unusable = |error| StoreError::Unusable(dir.to_owned(), error);
        fs::create_dir_all(dir).map_err(unusable)?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let lock = options.open(dir.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Taken(dir.to_owned())),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let refused = |error| refused(dir, error);
        let mut connection = Connection::open_with_flags(dir.join(FILE), flags).map_err(refused)?;
        form::prepare(dir, &mut connection)?;
        let (store, records) = Self::read(dir, connection, bounds, Some(lock))?;
        let last = store.last_commit().map_err(unusable)?;
        if store.commits < last {
            let what = format!(
                "it is an older copy (commit {} of {last}); what came between may have been answered \
                 as kept, so to go on from it all the same, delete the file {LOCK:?} beside it",
                store.commits
            );
            return Err(StoreError::Damaged(dir.to_owned(), what));
        }
        Ok((store, records))
    }

    /// Opens the state in this directory to look at it, whoever has it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn look(dir: &Path) -> Result<(Self, Vec<Record>), StoreError> {
        if !dir.join(FILE).is_file() {
            return Err(StoreError::Nothing(dir.to_owned()));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(dir.join(FILE), flags);
        let connection = opened.map_err(|error| refused(dir, error))?;
        form::check(dir, &connection)?;
        Self::read(dir, connection, Bounds::default(), None)
    }

    fn read(
        dir: &Path,
        connection: Connection,
        bounds: Bounds,
        lock: Option<File>,
    ) -> Result<(Self, Vec<Record>), StoreError> {
        let refused = |error| refused(dir, error);
        let (mut records, mut sums, mut sum) = (Vec::new(), HashMap::new(), 0_u64);
        let damaged = |what: String| StoreError::Damaged(dir.to_owned(), what);
        // One look at both, whoever writes meanwhile.
        connection.execute_batch("BEGIN").map_err(refused)?;
        {
            let mut all = connection
                .prepare("SELECT key, sum, value FROM record ORDER BY key")
                .map_err(refused)?;
            let mut rows = all.query([]).map_err(refused)?;
            while let Some(row) = rows.next().map_err(refused)? {
                let key = row.get_ref(0).map_err(refused)?.as_blob();
                let value = row.get_ref(2).map_err(refused)?.as_blob();
                let (Ok(key), Ok(value)) = (key, value) else {
                    return Err(damaged("a record is of another type".to_owned()));
                };
                let found = checksum(key, value);
                if row.get::<_, i64>(1).map_err(refused)?.cast_unsigned() != found {
                    return Err(damaged(format!("the checksum of record {key:02x?} is wrong")));
                }
                sum = sum.wrapping_add(found);
                sums.insert(key.to_vec(), found);
                records.push((key.to_vec(), value.to_vec()));
            }
        }
        let number = |name: &str| -> Result<u64, StoreError> {
            let held: Option<i64> = connection
                .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
                .optional()
                .map_err(refused)?;
            Ok(held.unwrap_or(0).cast_unsigned())
        };
        let (held, commits) = (number("sum")?, number("commits")?);
        let unsound = history::unsound(&connection).map_err(refused)?;
        connection.execute_batch("COMMIT").map_err(refused)?;
        if let Some(what) = unsound {
            return Err(damaged(what));
        }
        if held != sum {
            return Err(damaged("records are missing, or are from different times".to_owned()));
        }
        let dir = dir.to_owned();
        let store = Self { dir, connection, sums, sum, commits, bounds, lock };
        Ok((store, records))
    }

    /// Writes all of it, or nothing.
    ///
    /// # Errors
    /// The disk's; nothing was written then, and the same may be tried again.
    pub fn commit(&mut self, writes: &Writes, now: u64) -> Result<(), StoreError> {
        let (mut sum, commits) = (self.sum, self.commits + 1);
        let Self { dir, connection, sums, bounds, .. } = self;
        let mut changed = Vec::with_capacity(writes.records.len());
        let mut write = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            {
                let mut put = transaction.prepare_cached(
                    "INSERT INTO record (key, sum, value) VALUES (?1, ?2, ?3)
                     ON CONFLICT (key) DO UPDATE SET sum = excluded.sum, value = excluded.value",
                )?;
                let mut delete = transaction.prepare_cached("DELETE FROM record WHERE key = ?1")?;
                for (key, value) in &writes.records {
                    let before = sums.get(key).copied();
                    sum = sum.wrapping_sub(before.unwrap_or(0));
                    let Some(value) = value else {
                        if before.is_some() {
                            delete.execute([key])?;
                            changed.push((key, None));
                        }
                        continue;
                    };
                    let own = checksum(key, value);
                    sum = sum.wrapping_add(own);
                    put.execute(params![key, own.cast_signed(), value])?;
                    changed.push((key, Some(own)));
                }
                history::write(&transaction, &writes.findings, bounds, now)?;
                transaction.execute(
                    "INSERT OR REPLACE INTO meta (name, value) VALUES ('sum', ?1), ('commits', ?2)",
                    [sum.cast_signed(), commits.cast_signed()],
                )?;
            }
            transaction.commit()
        };
        write(connection).map_err(|error| refused(dir, error))?;
        (self.sum, self.commits) = (sum, commits);
        for (key, own) in changed {
            match own {
                Some(own) => drop(sums.insert(key.clone(), own)),
                None => drop(sums.remove(key)),
            }
        }
        if let Some(lock) = &self.lock {
            // It only helps to tell an older copy; a disk that is full has room for what is there.
            drop(lock.write_all_at(format!("{commits:020}").as_bytes(), 0));
        }
        Ok(())
    }

    /// The number of the last commit, as it was told beside the file.
    fn last_commit(&self) -> io::Result<u64> {
        let mut text = String::new();
        if let Some(lock) = &self.lock {
            (&mut &*lock).take(20).read_to_string(&mut text)?;
        }
        Ok(text.parse().unwrap_or(0))
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// For questions that change nothing, beside this one.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn reader(dir: &Path) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(dir.join(FILE), flags);
        opened.map_err(|error| refused(dir, error))
    }
}

/// CRC-32 of key and value; the key's length keeps them apart.
fn checksum(key: &[u8], value: &[u8]) -> u64 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[u8::try_from(key.len()).unwrap_or(u8::MAX)]);
    crc.update(key);
    let low = crc.clone().finalize();
    crc.update(value);
    // Two numbers, so that sums of many do not cancel out by chance.
    u64::from(crc.finalize()) << 32 | u64::from(low)
}

/// SQLite's own words for a file that is none, or not whole. In a whole one every statement of ours
/// has its tables, and every column its type.
pub(super) fn refused(dir: &Path, error: rusqlite::Error) -> StoreError {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, SqlInputError,
        Utf8Error,
    };
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};
    let file = matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase | Unknown));
    let column = matches!(
        error,
        FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | SqlInputError { .. }
            | Utf8Error(..)
    );
    if file || column {
        StoreError::Damaged(dir.to_owned(), error.to_string())
    } else {
        StoreError::Refused(dir.to_owned(), error)
    }
}
