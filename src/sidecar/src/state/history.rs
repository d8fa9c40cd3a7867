//! Findings as they came, and when: a history with bounds.

use rusqlite::{Connection, Row, Transaction, params};
use serde::Serialize;

pub(super) const TABLE: &str = "
    CREATE TABLE finding (
      id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, view TEXT NOT NULL, stream TEXT NOT NULL,
      partition TEXT NOT NULL, lane TEXT NOT NULL, producer TEXT NOT NULL, epoch TEXT NOT NULL,
      first INTEGER NOT NULL, last INTEGER NOT NULL, was TEXT, state TEXT, reason TEXT);
    CREATE INDEX finding_at ON finding (at);";

/// How much of the history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Findings; the oldest go first.
    pub count: u64,
    /// How old the oldest may be, in ms.
    pub age_ms: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { count: 100_000, age_ms: 30 * 24 * 60 * 60 * 1_000 }
    }
}

/// A range of numbers that moved from one state to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its place in the history.
    pub id: i64,
    /// When, in the view's time, ms since the Unix epoch.
    pub at: u64,
    /// The view.
    pub view: String,
    /// The stream.
    pub stream: String,
    /// The partition, or `*`.
    pub partition: String,
    /// The lane's label.
    pub lane: String,
    /// The producer.
    pub producer: String,
    /// Its epoch, as it is written in stamps.
    pub epoch: String,
    /// First number, inclusive.
    pub first: u64,
    /// Last number, inclusive.
    pub last: u64,
    /// Its state before; null: it had none.
    pub was: Option<String>,
    /// Its state since; `recovered`: it was seen after all.
    pub state: String,
    /// A loss's stage, why something is unknown or absent by design.
    pub reason: Option<String>,
}

/// Which findings are asked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of this view.
    pub view: Option<String>,
    /// Of this stream.
    pub stream: Option<String>,
    /// Of this partition.
    pub partition: Option<String>,
    /// Of this producer.
    pub producer: Option<String>,
    /// That came into this state.
    pub state: Option<String>,
    /// Not before this time.
    pub since: Option<u64>,
    /// Before this time.
    pub until: Option<u64>,
    /// Older than this one.
    pub before: Option<i64>,
}

/// Adds findings, and drops what is beyond the bounds.
pub(super) fn write(
    transaction: &Transaction<'_>,
    findings: &[Finding],
    bounds: &Bounds,
    now: u64,
) -> rusqlite::Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    let mut put = transaction.prepare_cached(
        "INSERT INTO finding (at, view, stream, partition, lane, producer, epoch, first, last, was,
           state, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    for row in findings {
        put.execute(params![
            row.at.cast_signed(),
            row.view,
            row.stream,
            row.partition,
            row.lane,
            row.producer,
            row.epoch,
            row.first.cast_signed(),
            row.last.cast_signed(),
            row.was,
            row.state,
            row.reason
        ])?;
    }
    transaction.execute(
        "DELETE FROM finding WHERE at < ?1",
        [now.saturating_sub(bounds.age_ms).cast_signed()],
    )?;
    let newest = transaction.last_insert_rowid();
    let count = i64::try_from(bounds.count).unwrap_or(i64::MAX);
    transaction.execute("DELETE FROM finding WHERE id <= ?1", [newest.saturating_sub(count)])?;
    Ok(())
}

/// Findings, newest first, at most so many.
///
/// # Errors
/// SQLite's.
pub fn read(
    connection: &Connection,
    wanted: &Wanted,
    limit: usize,
) -> rusqlite::Result<Vec<Finding>> {
    let mut all = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM finding
         WHERE (?1 IS NULL OR view = ?1) AND (?2 IS NULL OR stream = ?2)
           AND (?3 IS NULL OR partition = ?3) AND (?4 IS NULL OR producer = ?4)
           AND (?5 IS NULL OR state = ?5) AND (?6 IS NULL OR at >= ?6) AND (?7 IS NULL OR at < ?7)
           AND (?8 IS NULL OR id < ?8)
         ORDER BY id DESC LIMIT ?9"
    ))?;
    let time = |time: Option<u64>| time.map(u64::cast_signed);
    let rows = all.query_map(
        params![
            wanted.view,
            wanted.stream,
            wanted.partition,
            wanted.producer,
            wanted.state,
            time(wanted.since),
            time(wanted.until),
            wanted.before,
            i64::try_from(limit).unwrap_or(i64::MAX)
        ],
        finding,
    )?;
    rows.collect()
}

/// Those that came after this one, oldest first, at most so many.
///
/// # Errors
/// SQLite's.
pub(crate) fn read_after(
    connection: &Connection,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Finding>> {
    let mut next = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM finding WHERE id > ?1 ORDER BY id LIMIT ?2"
    ))?;
    let rows = next.query_map(params![after, i64::try_from(limit).unwrap_or(i64::MAX)], finding)?;
    rows.collect()
}

/// The number of the newest finding that ever was; 0: there was none.
///
/// # Errors
/// SQLite's.
pub(crate) fn newest(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'finding'",
        [],
        |row| row.get(0),
    )
}

const COLUMNS: &str =
    "id, at, view, stream, partition, lane, producer, epoch, first, last, was, state, reason";

fn finding(row: &Row<'_>) -> rusqlite::Result<Finding> {
    Ok(Finding {
        id: row.get(0)?,
        at: row.get::<_, i64>(1)?.cast_unsigned(),
        view: row.get(2)?,
        stream: row.get(3)?,
        partition: row.get(4)?,
        lane: row.get(5)?,
        producer: row.get(6)?,
        epoch: row.get(7)?,
        first: row.get::<_, i64>(8)?.cast_unsigned(),
        last: row.get::<_, i64>(9)?.cast_unsigned(),
        was: row.get(10)?,
        state: row.get(11)?,
        reason: row.get(12)?,
    })
}
