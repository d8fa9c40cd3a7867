//! The files in which producing and consuming processes write what happened to them, one line a
//! message.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What became of one message, as the process saw it that sent it or was handed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// The broker acknowledged it.
    Acknowledged {
        /// Its stamp, if it had one.
        stamp: Option<&'a str>,
        /// Where the broker says that it stands.
        partition: u32,
        /// At this offset.
        offset: u64,
    },
    /// The client gave it up, or the broker refused it.
    Failed {
        /// Its stamp, if it had one.
        stamp: Option<&'a str>,
        /// Why.
        error: &'a str,
    },
    /// It was handed to the application.
    Handed {
        /// Its stamp, if it had one.
        stamp: Option<&'a str>,
        /// Where it stands.
        partition: u32,
        /// At this offset.
        offset: u64,
    },
}

/// A file that threads write lines to.
#[derive(Debug)]
pub struct Writer(Mutex<BufWriter<File>>);

impl Writer {
    /// A new file.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn create(path: &Path) -> Self {
        let file = File::create(path)
            .unwrap_or_else(|error| panic!("{}: cannot be made: {error}", path.display()));
        Self(Mutex::new(BufWriter::new(file)))
    }

    /// Adds a line.
    ///
    /// # Panics
    /// If the disk refuses it: an incomplete witness is none.
    pub fn write(&self, line: Line<'_>) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match line {
            Line::Acknowledged { stamp, partition, offset } => {
                writeln!(file, "acknowledged {} {partition} {offset}", stamp.unwrap_or("-"))
            }
            Line::Failed { stamp, error } => {
                writeln!(file, "failed {} {error}", stamp.unwrap_or("-"))
            }
            Line::Handed { stamp, partition, offset } => {
                writeln!(file, "handed {} {partition} {offset}", stamp.unwrap_or("-"))
            }
        }
        .expect("the disk takes the line");
    }

    /// Brings all lines so far to the file.
    ///
    /// # Panics
    /// If the disk refuses them.
    pub fn flush(&self) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.flush().expect("the disk takes the lines");
    }
}

/// Reads a file's lines one by one. One that is being written, or was when its process was killed, is
/// none yet.
///
/// # Panics
/// If it cannot be read, or a line is none of ours.
pub fn read(path: &Path, mut each: impl FnMut(Line<'_>)) {
    let file = File::open(path)
        .unwrap_or_else(|error| panic!("{}: cannot be read: {error}", path.display()));
    let (mut file, mut line) = (BufReader::new(file), String::new());
    while file.read_line(&mut line).expect("what we wrote is UTF-8") > 0 {
        let Some(whole) = line.strip_suffix('\n') else { return };
        each(parse(whole).unwrap_or_else(|| panic!("{}: {line:?}", path.display())));
        line.clear();
    }
}

fn parse(line: &str) -> Option<Line<'_>> {
    let (kind, rest) = line.split_once(' ')?;
    let (stamp, rest) = rest.split_once(' ')?;
    let stamp = (stamp != "-").then_some(stamp);
    if kind == "failed" {
        return Some(Line::Failed { stamp, error: rest });
    }
    let (partition, offset) = rest.split_once(' ')?;
    let (partition, offset) = (partition.parse().ok()?, offset.parse().ok()?);
    match kind {
        "acknowledged" => Some(Line::Acknowledged { stamp, partition, offset }),
        "handed" => Some(Line::Handed { stamp, partition, offset }),
        _ => None,
    }
}
