//! The file as its reader sees it: read and written by calls of the system, never mapped. Whoever can
//! write to the file can make it shorter, and a mapped page that is gone would end the sidecar.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{Ordering, fence};

use crate::map::{AT_CAPACITY, AT_MAGIC, AT_READERS, AT_READING, AT_VIEW, AT_VIEW_LEN};
use crate::map::{HEADER, MAGIC, MAX_VIEW, OpenError};
use crate::reading::Reading;

/// A ring in a file.
#[derive(Debug)]
pub(crate) struct Ring {
    file: File,
    /// Words; a power of two.
    capacity: u64,
}

impl Ring {
    pub(crate) fn open(file: File) -> Result<Self, OpenError> {
        let bytes = file.metadata()?.len();
        let capacity = (bytes / 8).saturating_sub(HEADER as u64);
        if bytes % 8 != 0 || !capacity.is_power_of_two() {
            return Err(OpenError::Form);
        }
        let this = Self { file, capacity };
        let known = this.get(AT_MAGIC)? == MAGIC && this.get(AT_CAPACITY)? == capacity;
        if known { Ok(this) } else { Err(OpenError::Form) }
    }

    /// For its lock.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(crate) fn view(&self) -> Result<String, OpenError> {
        let len = usize::try_from(self.get(AT_VIEW_LEN)?).unwrap_or(usize::MAX);
        if len > MAX_VIEW {
            return Err(OpenError::Form);
        }
        let mut bytes = vec![0; len.next_multiple_of(8)];
        self.words(AT_VIEW as u64, &mut bytes)?;
        bytes.truncate(len);
        String::from_utf8(bytes).map_err(|_| OpenError::Form)
    }

    pub(crate) fn reading(&self) -> Result<Reading, OpenError> {
        Reading::of(self.get(AT_READING)?).ok_or(OpenError::Form)
    }

    /// One more has begun to read it.
    pub(crate) fn begin(&self) -> io::Result<()> {
        self.set(AT_READERS, self.get(AT_READERS)?.wrapping_add(1))
    }

    /// A word of the header. What its writer wrote before it is seen by what is read after.
    pub(crate) fn get(&self, index: usize) -> io::Result<u64> {
        let mut word = self.once(index)?;
        // The system promises no word in one piece, and one of two pieces does not come twice.
        loop {
            let again = self.once(index)?;
            if again == word {
                break;
            }
            word = again;
        }
        fence(Ordering::Acquire);
        Ok(word)
    }

    fn once(&self, index: usize) -> io::Result<u64> {
        let mut word = [0; 8];
        self.file.read_exact_at(&mut word, index as u64 * 8)?;
        Ok(u64::from_ne_bytes(word))
    }

    /// Writes a word of the header, after all that was read before.
    pub(crate) fn set(&self, index: usize, word: u64) -> io::Result<()> {
        fence(Ordering::Release);
        self.file.write_all_at(&word.to_ne_bytes(), index as u64 * 8)
    }

    /// So many words from this position of the ring on, as the bytes that were put into them.
    pub(crate) fn read(&self, position: u64, words: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        let len = usize::try_from(words * 8).unwrap_or(usize::MAX);
        bytes.resize(len, 0);
        let begin = position & (self.capacity - 1);
        let first =
            usize::try_from((self.capacity - begin) * 8).map_or(len, |first| first.min(len));
        let (before, behind) = bytes.split_at_mut(first);
        self.words(HEADER as u64 + begin, before)?;
        self.words(HEADER as u64, behind)
    }

    fn words(&self, index: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, index * 8)?;
        for word in bytes.as_chunks_mut::<8>().0 {
            *word = u64::from_ne_bytes(*word).to_le_bytes();
        }
        Ok(())
    }
}
