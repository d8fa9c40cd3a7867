//! The sidecar's side.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::EXTENSION;
use crate::map::{Map, OpenError};
use crate::reading::Reading;
use crate::record::{FIXED, Record, split};

/// What stands in the ring is no record: somebody else has written to it. Nothing behind it can be
/// read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no record stands where one should")]
pub struct Garbled;

/// A ring that another process writes, or has written.
#[derive(Debug)]
pub struct Reader {
    map: Map,
    file: File,
    path: PathBuf,
    view: String,
    reading: Reading,
    /// What was given; the tail follows when it is [`Reader::release`]d.
    next: u64,
    bytes: Vec<u8>,
}

impl Reader {
    /// The rings of a directory.
    pub fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path()));
        let rings = entries.filter(|path| {
            path.as_ref()
                .map_or(true, |path| path.extension().is_some_and(|kind| kind == EXTENSION))
        });
        rings.collect()
    }

    /// Begins to read a ring where the last reader left off.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let map = Map::open(&file)?;
        let view = map.view().ok_or(OpenError::Form)?;
        let reading = map.reading().ok_or(OpenError::Form)?;
        map.readers().fetch_add(1, Ordering::Relaxed);
        let next = map.tail().load(Ordering::Relaxed);
        Ok(Self { map, file, path: path.to_owned(), view, reading, next, bytes: Vec::new() })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The group's name.
    #[must_use]
    pub fn view(&self) -> &str {
        &self.view
    }

    /// How the group reads.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.reading
    }

    /// Up to where there are records now.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.map.head().load(Ordering::Acquire)
    }

    /// Whether something was not told, and not said to be lost either.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.map.behind().load(Ordering::Acquire) != 0
    }

    /// Whether something that was sent to its process may not have been handed over yet.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.map.busy().load(Ordering::Acquire) != 0
    }

    /// Whether its process has ended. What it wrote before is there to be read.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        // Its lock has ended with it. What cannot be told is taken for life.
        self.file.try_lock().is_ok()
    }

    /// The next record, if it stands below `head`.
    pub fn next(&mut self, head: u64) -> Result<Option<Record<'_>>, Garbled> {
        let left = head.checked_sub(self.next).filter(|left| *left <= self.map.capacity());
        let left = left.ok_or(Garbled)?;
        if left == 0 {
            return Ok(None);
        }
        let at = |offset: u64| self.map.at(self.next + offset).load(Ordering::Relaxed);
        let (kind, flags, len) = split(at(0), self.next).ok_or(Garbled)?;
        if len > left {
            return Err(Garbled);
        }
        let fixed = [at(1), at(2), at(3), at(4)];
        self.bytes.clear();
        self.bytes.extend((FIXED..len).flat_map(|offset| at(offset).to_le_bytes()));
        self.next += len;
        Record::decode(kind, flags, fixed, &self.bytes).map(Some).ok_or(Garbled)
    }

    /// Up to where it was read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Passes over all that stands below `head`.
    pub fn skip(&mut self, head: u64) {
        self.next = head;
    }

    /// Gives the room of all that was read back to the writer.
    pub fn release(&self) {
        self.map.tail().store(self.next, Ordering::Release);
    }

    /// Removes the file.
    pub fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}
