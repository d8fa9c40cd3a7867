//! The file's form: how it is made, told apart from others, and brought on from earlier versions.

use std::path::Path;

use lacuna_core::state::VERSION as CORE;
use rusqlite::{Connection, OptionalExtension};

use super::history;
use super::store::{StoreError, refused};

/// The version of the file's form. What is newer is refused; a version that replaces another one
/// brings the step from it.
pub(super) const FORMAT: u32 = 2;
/// Marks the file as ours: "Lacn".
const APPLICATION: u32 = 0x4c61_636e;

/// Has the file ready to be written: made where there is none, brought on where it is older.
pub(super) fn prepare(dir: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    let refused = |error| refused(dir, error);
    if is_new(connection).map_err(refused)? {
        create(connection).map_err(refused)?;
    }
    if version(dir, connection)? == 1 {
        history::add_sums(connection).map_err(refused)?;
    }
    set(connection).map_err(refused)
}

/// That the file may be looked at as it is: of this version.
pub(super) fn check(dir: &Path, connection: &Connection) -> Result<(), StoreError> {
    match version(dir, connection)? {
        FORMAT => Ok(()),
        older => Err(StoreError::Older(dir.to_owned(), older)),
    }
}

fn is_new(connection: &Connection) -> rusqlite::Result<bool> {
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(tables == 0)
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "page_size", 8192)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.execute_batch(&format!(
        "BEGIN;
         PRAGMA application_id = {APPLICATION};
         PRAGMA user_version = {FORMAT};
         CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
         INSERT INTO meta VALUES ('core', {CORE}), ('sum', 0);
         CREATE TABLE record (key BLOB PRIMARY KEY, sum INTEGER NOT NULL, value BLOB NOT NULL)
           WITHOUT ROWID;
         {}
         COMMIT;",
        history::TABLE
    ))
}

fn set(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // What was answered as kept is kept though the power fails.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 2_000)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)
}

/// The version of the file, which is one that this program can read or bring on.
fn version(dir: &Path, connection: &Connection) -> Result<u32, StoreError> {
    let number = |name: &str| -> Result<u32, StoreError> {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(|error| refused(dir, error))
    };
    let damaged = |what: &str| StoreError::Damaged(dir.to_owned(), what.to_owned());
    if number("application_id")? != APPLICATION {
        return Err(damaged("the file is no state of this program"));
    }
    let format = number("user_version")?;
    if format > FORMAT {
        return Err(StoreError::Newer(dir.to_owned(), format));
    }
    let core: Option<u32> = connection
        .query_row("SELECT value FROM meta WHERE name = 'core'", [], |row| row.get(0))
        .optional()
        .map_err(|error| refused(dir, error))?;
    match (format, core) {
        (1 | FORMAT, Some(CORE)) => Ok(format),
        (1 | FORMAT, Some(core)) if core > CORE => Err(StoreError::Newer(dir.to_owned(), core)),
        _ => Err(damaged("its version is none")),
    }
}
