//! The consumer's side.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::map::{Map, OpenError};
use crate::reading::Reading;
use crate::record::Record;
use crate::{EXTENSION, order};

/// A ring that this process writes. When it is dropped, or the process ends, what it holds can
/// still be read out.
#[derive(Debug)]
pub struct Writer {
    map: Map,
    head: u64,
    /// The tail as it was last looked at: it may be further by now.
    tail: u64,
    /// Held for its lock.
    _file: File,
}

impl Writer {
    /// A new ring in this directory, which is made if it is not there; `view` is the group's name.
    pub fn create(
        dir: &Path,
        view: &str,
        reading: Reading,
        bytes: usize,
    ) -> Result<Self, OpenError> {
        fs::create_dir_all(dir)?;
        let path = fresh(dir);
        // A reader must never see one that is not locked yet: it would be a dead one's.
        let making = path.with_extension("new");
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o660).open(&making)?;
        let made = Self::make(file, bytes, view, reading).and_then(|writer| {
            fs::rename(&making, &path)?;
            Ok(writer)
        });
        if made.is_err() {
            // It is of no use to anyone; if it cannot be removed either, a reader passes it over.
            drop(fs::remove_file(&making));
        }
        made
    }

    fn make(file: File, bytes: usize, view: &str, reading: Reading) -> Result<Self, OpenError> {
        file.lock()?;
        let map = Map::create(&file, bytes, view, reading)?;
        Ok(Self { map, head: 0, tail: 0, _file: file })
    }

    /// Adds a record, if there is room for it.
    #[inline]
    pub fn add(&mut self, record: &Record<'_>) -> bool {
        if !self.has_room(record.len()) {
            return false;
        }
        let map = &self.map;
        let put = |at, word| map.at(at).store(word, Ordering::Relaxed);
        self.head += record.encode(self.head, put);
        // From here on it is there, whatever becomes of this process.
        map.head().store(self.head, Ordering::Release);
        true
    }

    /// Adds all of them, if there is room for all.
    pub fn add_all(&mut self, records: &[Record<'_>]) -> bool {
        self.has_room(records.iter().map(Record::len).sum())
            && records.iter().all(|record| self.add(record))
    }

    /// How many readers have begun to read it: a new one knows nothing of what was read before.
    #[must_use]
    #[inline]
    pub fn readers(&self) -> u64 {
        self.map.readers().load(Ordering::Relaxed)
    }

    /// Says whether there is something that was not told. It is said outside of the ring, so that it
    /// is known of a process that was killed before there was room.
    pub fn set_behind(&self, behind: bool) {
        self.map.behind().store(u64::from(behind), Ordering::Release);
    }

    /// Says whether something that was sent to this process may not have been handed over yet.
    pub fn set_busy(&self, busy: bool) {
        self.map.busy().store(u64::from(busy), Ordering::Release);
    }

    #[inline]
    fn has_room(&mut self, words: u64) -> bool {
        let fits =
            |tail: u64| self.head.wrapping_sub(tail).saturating_add(words) <= self.map.capacity();
        if fits(self.tail) {
            return true;
        }
        let tail = self.map.tail().load(Ordering::Acquire);
        // A reader that says it has read what was not written is not to be believed.
        let found = tail <= self.head && fits(tail);
        if tail <= self.head {
            self.tail = tail;
        }
        found
    }
}

fn fresh(dir: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes of different containers may share a number, but not at the same nanosecond.
    let name = [u64::from(process::id()), order(), NEXT.fetch_add(1, Ordering::Relaxed).into()];
    let name = name.map(|number| number.to_string()).join("-");
    dir.join(name).with_extension(EXTENSION)
}
