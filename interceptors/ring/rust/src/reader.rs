//! The sidecar's side.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::EXTENSION;
use crate::file::Ring;
use crate::map::{AT_BEHIND, AT_BUSY, AT_HEAD, AT_TAIL, OpenError};
use crate::reading::Reading;
use crate::record::{FIXED, Record, split};

/// Words that are read at a time.
const PIECE: u64 = 8_192;

/// What stands in the ring is no record: somebody else has written to it, or cut it off. Nothing behind
/// it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no record stands where one should")]
pub struct Garbled;

/// A ring that another process writes, or has written.
#[derive(Debug)]
pub struct Reader {
    ring: Ring,
    path: PathBuf,
    view: String,
    reading: Reading,
    /// What was given.
    next: u64,
    /// Up to where room was given back, by [`Reader::release`] or by a reader before.
    released: u64,
    /// Records that were to be read are there no more.
    missed: bool,
    /// What was read of the ring, and from which position on.
    bytes: Vec<u8>,
    from: u64,
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

    /// Begins to read a ring, at this position, which the last reader gave; without one, where that
    /// has given room back.
    pub fn open(path: &Path, position: Option<u64>) -> Result<Self, OpenError> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let ring = Ring::open(file)?;
        let (view, reading) = (ring.view()?, ring.reading()?);
        let released = ring.get(AT_TAIL)?;
        ring.begin()?;
        let next = position.map_or(released, |position| position.max(released));
        let missed = position.is_some_and(|position| position < released);
        let (path, bytes) = (path.to_owned(), Vec::new());
        Ok(Self { ring, path, view, reading, next, released, missed, bytes, from: next })
    }

    /// Whether the position at which it was to begin had been given back already: what stood between is
    /// gone.
    #[must_use]
    pub fn has_missed(&self) -> bool {
        self.missed
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

    /// Up to where there are records now. Of a ring that was cut off nothing is known: its next record
    /// is [`Garbled`].
    #[must_use]
    pub fn head(&self) -> u64 {
        self.ring.get(AT_HEAD).unwrap_or(u64::MAX)
    }

    /// Whether something was not told, and not said to be lost either.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.ring.get(AT_BEHIND).map_or(true, |word| word != 0)
    }

    /// Whether something that was sent to its process may not have been handed over yet.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.ring.get(AT_BUSY).map_or(true, |word| word != 0)
    }

    /// Whether its process has ended. What it wrote before is there to be read.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        // Its lock has ended with it. What cannot be told is taken for life.
        self.ring.file().try_lock().is_ok()
    }

    /// The next record, if it stands below `head`.
    pub fn next(&mut self, head: u64) -> Result<Option<Record<'_>>, Garbled> {
        let left = head.checked_sub(self.next).filter(|left| *left <= self.ring.capacity());
        let left = left.ok_or(Garbled)?;
        if left == 0 {
            return Ok(None);
        }
        self.fetch(FIXED, left)?;
        let (kind, flags, len) = split(self.word(0), self.next).ok_or(Garbled)?;
        if len > left {
            return Err(Garbled);
        }
        self.fetch(len, left)?;
        let fixed = [1, 2, 3, 4].map(|offset| self.word(offset));
        let bytes = self.at(FIXED)..self.at(len);
        self.next += len;
        Record::decode(kind, flags, fixed, &self.bytes[bytes]).map(Some).ok_or(Garbled)
    }

    /// Has so many of the words that are left in memory.
    fn fetch(&mut self, words: u64, left: u64) -> Result<(), Garbled> {
        if words > left {
            return Err(Garbled);
        }
        if self.at(words) > self.bytes.len() {
            self.from = self.next;
            let piece = left.min(words.max(PIECE));
            if self.ring.read(self.next, piece, &mut self.bytes).is_err() {
                self.bytes.clear();
                return Err(Garbled);
            }
        }
        Ok(())
    }

    /// Where in memory the word is that stands so far behind the next record's first one.
    fn at(&self, offset: u64) -> usize {
        usize::try_from((self.next - self.from + offset) * 8).unwrap_or(usize::MAX)
    }

    fn word(&self, offset: u64) -> u64 {
        let at = self.at(offset);
        let bytes = self.bytes.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Up to where it was read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Gives the room of all that stands below `position`, and was read, back to the writer.
    pub fn release(&mut self, position: u64) {
        let position = position.min(self.next);
        if position > self.released {
            self.released = position;
            // Where that fails the writer has no room, and says that it is behind.
            drop(self.ring.set(AT_TAIL, position));
        }
    }

    /// Quarters of the ring, rounded down, that hold what was read and not [released](Self::release).
    #[must_use]
    pub fn quarters_held(&self) -> u64 {
        self.next.saturating_sub(self.released).saturating_mul(4) / self.ring.capacity()
    }
}
