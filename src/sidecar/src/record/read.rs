//! Lines of any input, left where they were read where they can be.

use std::io::{self, BufRead, Read};
use std::mem;

/// Longest line, in bytes: far above any record, and what keeps an input without line ends from
/// filling the memory.
pub const MAX_LINE: usize = 16 << 20;

/// Why an input cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The input itself failed.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
    /// No line end in sight.
    #[error("longer than {MAX_LINE} bytes: records are lines of their own")]
    TooLong,
}

/// The lines of an input that are not blank, with their numbers, from 1.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    /// Bytes at the beginning of the input's buffer that are the line that was given last.
    given: usize,
    /// A line that does not lie in the input's buffer as a whole.
    pieces: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Reads `input`; each read of it should bring many lines.
    pub const fn new(input: R) -> Self {
        Self { input, given: 0, pieces: Vec::new(), number: 0 }
    }

    /// The number of the line that was given last.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The next line, without its end; `None` at the input's. An error is one of line
    /// [`Self::number`].
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, ReadError> {
        loop {
            self.input.consume(mem::take(&mut self.given));
            self.number += 1;
            // What fails here fails again below, or was only interrupted.
            let buffer = self.input.fill_buf().unwrap_or_default();
            let Some(end) = memchr::memchr(b'\n', buffer) else { break };
            self.given = end + 1;
            if !buffer[..end].trim_ascii().is_empty() {
                return Ok(Some(self.input.fill_buf()?[..end].trim_ascii_end()));
            }
        }
        self.next_in_pieces()
    }

    fn next_in_pieces(&mut self) -> Result<Option<&[u8]>, ReadError> {
        loop {
            self.pieces.clear();
            let limit = MAX_LINE as u64 + 1;
            if (&mut self.input).take(limit).read_until(b'\n', &mut self.pieces)? == 0 {
                return Ok(None);
            }
            if self.pieces.len() > MAX_LINE {
                return Err(ReadError::TooLong);
            }
            // Not in one `if` with the return: the borrow of what is returned would outlast it.
            if !self.pieces.trim_ascii().is_empty() {
                break;
            }
            self.number += 1;
        }
        // A parser that met the line's end would report the next line's beginning.
        Ok(Some(self.pieces.trim_ascii_end()))
    }
}
