//! The file in its writer's memory: words that two processes read and write.
#![expect(unsafe_code, reason = "memory shared with another process")]

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use crate::reading::Reading;

/// Words before the ring: a page, so that head and tail have lines of the cache of their own.
pub(crate) const HEADER: usize = 512;
/// Longest name of a view, in bytes.
pub(crate) const MAX_VIEW: usize = 2_048;

pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"lacuna\0\x02");

pub(crate) const AT_MAGIC: usize = 0;
pub(crate) const AT_CAPACITY: usize = 1;
pub(crate) const AT_VIEW_LEN: usize = 2;
pub(crate) const AT_READING: usize = 3;
pub(crate) const AT_HEAD: usize = 8;
pub(crate) const AT_TAIL: usize = 16;
pub(crate) const AT_READERS: usize = 24;
pub(crate) const AT_BEHIND: usize = 9;
pub(crate) const AT_BUSY: usize = 10;
pub(crate) const AT_VIEW: usize = 32;

/// Why a file cannot be used as a ring.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is none, or one of another version.
    #[error("not a ring of this version")]
    Form,
    /// The view's name does not fit.
    #[error("the group's name is longer than {MAX_VIEW} bytes")]
    View,
}

/// A mapped ring, its writer's.
#[derive(Debug)]
pub(crate) struct Map {
    map: MmapRaw,
    /// Words; a power of two.
    capacity: usize,
}

impl Map {
    /// Makes a new ring of at least so many bytes in an empty file.
    pub(crate) fn create(
        file: &File,
        bytes: usize,
        view: &str,
        reading: Reading,
    ) -> Result<Self, OpenError> {
        if view.len() > MAX_VIEW {
            return Err(OpenError::View);
        }
        let capacity = (bytes / 8).clamp(1_024, 1 << 28).next_power_of_two();
        // Written, not only made longer: a page that the disk has no room for would kill whoever
        // touches it.
        let zeros = vec![0; 64 * 1_024];
        let mut left = (HEADER + capacity) * 8;
        while left > 0 {
            let piece = left.min(zeros.len());
            io::Write::write_all(&mut &*file, &zeros[..piece])?;
            left -= piece;
        }
        let this = Self { map: MmapOptions::new().map_raw(file)?, capacity };
        this.word(AT_CAPACITY).store(capacity as u64, Ordering::Relaxed);
        this.word(AT_VIEW_LEN).store(view.len() as u64, Ordering::Relaxed);
        this.word(AT_READING).store(reading.word(), Ordering::Relaxed);
        for (at, word) in words(view.as_bytes()).enumerate() {
            this.word(AT_VIEW + at).store(word, Ordering::Relaxed);
        }
        this.word(AT_MAGIC).store(MAGIC, Ordering::Release);
        Ok(this)
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity as u64
    }

    /// Words written, since the beginning.
    pub(crate) fn head(&self) -> &AtomicU64 {
        self.word(AT_HEAD)
    }

    /// Words read, since the beginning.
    pub(crate) fn tail(&self) -> &AtomicU64 {
        self.word(AT_TAIL)
    }

    /// Not 0: the writer has something to tell for which there was no room.
    pub(crate) fn behind(&self) -> &AtomicU64 {
        self.word(AT_BEHIND)
    }

    /// Not 0: something that was sent to the writer's process may not have been handed over yet.
    pub(crate) fn busy(&self) -> &AtomicU64 {
        self.word(AT_BUSY)
    }

    /// How many have begun to read it.
    pub(crate) fn readers(&self) -> &AtomicU64 {
        self.word(AT_READERS)
    }

    /// A word of the ring.
    #[inline]
    pub(crate) fn at(&self, position: u64) -> &AtomicU64 {
        #[expect(clippy::cast_possible_truncation, reason = "below the capacity")]
        let index = (position & (self.capacity as u64 - 1)) as usize;
        self.word(HEADER + index)
    }

    #[inline]
    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < HEADER + self.capacity, "a word of the map");
        // SAFETY: the map is page-aligned, that long, and lives as long as `self`; its words are
        // only ever accessed as atomics, by this process and by others.
        unsafe { &*self.map.as_mut_ptr().cast::<AtomicU64>().add(index) }
    }
}

/// Bytes as words, the last one filled up with zeros.
pub(crate) fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    })
}
