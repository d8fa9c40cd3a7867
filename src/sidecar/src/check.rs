//! `lacuna check`: judges recorded observations, once, by their own times.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use lacuna_core::{Checker, Settings, StreamSettings};

use crate::cli::{CheckArgs, Output};
use crate::exit::Exit;
use crate::record::{Feed, Line, LineError, Lines, ReadError, TooManyPartitions};
use crate::report::{Header, write_report};

/// Bytes a read: many lines at once.
const READ: usize = 256 << 10;

/// Why a recording cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A file cannot be opened.
    #[error("cannot open {}: {why}", .file.display())]
    Open {
        /// Which.
        file: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// A line cannot be taken.
    #[error("{file}:{line}: {why}")]
    Line {
        /// Its file.
        file: String,
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        why: Why,
    },
    /// The report cannot be written.
    #[error("cannot write the report: {0}")]
    Write(#[source] io::Error),
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// It cannot be read from its file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not what a line is.
    #[error(transparent)]
    Parse(#[from] LineError),
    /// It is one too many.
    #[error(transparent)]
    Feed(#[from] TooManyPartitions),
}

/// Judges the files, or the standard input, and writes the report to `out`.
pub fn run(args: &CheckArgs, out: &mut dyn Write) -> Result<Exit, CheckError> {
    let stream = StreamSettings {
        grace_ms: args.output.grace.0,
        clock_skew_ms: args.clock_skew.0,
        aliases: Vec::new(),
    };
    let settings = Settings {
        default_stream: stream,
        hash_seed: RandomState::new().hash_one(()),
        ..Settings::default()
    };
    let mut feed = Feed::new(Checker::new(settings));
    let stdin = [PathBuf::from("-")];
    for file in if args.files.is_empty() { &stdin[..] } else { &args.files } {
        if file == Path::new("-") {
            read("standard input", io::stdin().lock(), &mut feed)?;
        } else {
            let input =
                File::open(file).map_err(|why| CheckError::Open { file: file.clone(), why })?;
            read(&file.display().to_string(), input, &mut feed)?;
        }
    }
    let mut checker = feed.into_checker();
    if args.complete {
        checker.complete();
    }
    let header = Header {
        at: checker.now(),
        checking: true,
        grace_ms: args.output.grace.0,
        clock_skew_ms: args.clock_skew.0,
        complete: args.complete,
    };
    let Output { format, gaps, .. } = args.output;
    write_report(&mut checker, format, gaps, header, out).map_err(CheckError::Write)
}

fn read(name: &str, input: impl Read, feed: &mut Feed) -> Result<(), CheckError> {
    let mut lines = Lines::new(BufReader::with_capacity(READ, input));
    let taken = take_all(&mut lines, feed);
    let line = lines.number();
    taken.map_err(|why| CheckError::Line { file: name.to_owned(), line, why })
}

fn take_all<R: io::BufRead>(lines: &mut Lines<R>, feed: &mut Feed) -> Result<(), Why> {
    while let Some(text) = lines.next_line()? {
        feed.take(&Line::parse(text)?)?;
    }
    Ok(())
}
