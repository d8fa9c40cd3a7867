//! Findings as they came, and when: a history with bounds. Each row has a checksum.

use rusqlite::{Connection, Row, Transaction, params};
use serde::Serialize;

pub(super) const TABLE: &str = "
    CREATE TABLE finding (
      id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, view TEXT NOT NULL, stream TEXT NOT NULL,
      partition TEXT NOT NULL, lane TEXT NOT NULL, producer TEXT NOT NULL, epoch TEXT NOT NULL,
      first INTEGER NOT NULL, last INTEGER NOT NULL, was TEXT, state TEXT, reason TEXT,
      sum INTEGER NOT NULL);
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
        "INSERT INTO finding (id, at, view, stream, partition, lane, producer, epoch, first, last, was,
           state, reason, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    let before = newest(transaction)?;
    for (row, id) in findings.iter().zip(before + 1..) {
        put.execute(params![
            id,
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
            row.reason,
            checksum(row, id)
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

/// The step from the form that had no checksums of findings.
pub(super) fn add_sums(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch("ALTER TABLE finding ADD COLUMN sum INTEGER NOT NULL DEFAULT 0")?;
    {
        let mut put = transaction.prepare("UPDATE finding SET sum = ?2 WHERE id = ?1")?;
        let all = format!("SELECT {COLUMNS} FROM finding");
        let rows =
            transaction.prepare(&all)?.query_map([], finding)?.collect::<Result<Vec<_>, _>>()?;
        for row in rows {
            put.execute([row.id, checksum(&row, row.id)])?;
        }
    }
    transaction.pragma_update(None, "user_version", 2)?;
    transaction.commit()
}

/// What is wrong with the history, if anything is: rows and the index by time are looked at.
pub(super) fn unsound(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let said: String =
        connection.query_row("PRAGMA integrity_check('finding')", [], |row| row.get(0))?;
    if said != "ok" {
        return Ok(Some(said));
    }
    let mut all = connection.prepare(&format!("SELECT {COLUMNS}, sum FROM finding"))?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        let read = finding(row)?;
        if row.get::<_, i64>("sum")? != checksum(&read, read.id) {
            return Ok(Some(format!("the checksum of finding {} is wrong", read.id)));
        }
    }
    Ok(None)
}

/// CRC-32 of a row with this number. It is part of the file's form.
fn checksum(row: &Finding, id: i64) -> i64 {
    let mut crc = crc32fast::Hasher::new();
    for number in [id.cast_unsigned(), row.at, row.first, row.last] {
        crc.update(&number.to_le_bytes());
    }
    let Finding { view, stream, partition, lane, producer, epoch, state, was, reason, .. } = row;
    for text in [view, stream, partition, lane, producer, epoch, state].map(Some) {
        add(&mut crc, text);
    }
    add(&mut crc, was.as_ref());
    add(&mut crc, reason.as_ref());
    i64::from(crc.finalize())
}

/// A text with its length, which keeps it apart from the next one and from none.
fn add(crc: &mut crc32fast::Hasher, text: Option<&String>) {
    let length = text.map_or(u64::MAX, |text| text.len() as u64);
    crc.update(&length.to_le_bytes());
    crc.update(text.map_or(&[], |text| text.as_bytes()));
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
