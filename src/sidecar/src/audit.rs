//! `lacuna audit kafka`: judges a range of a real topic once, by its records' own times, and ends.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, IsTerminal, Write};

use jiff::Timestamp;
use lacuna_core::{Checker, Settings, StreamSettings};

use crate::cli::{AuditKafkaArgs, Output};
use crate::clock;
use crate::exit::Exit;
use crate::report::{Header, write_report};
use crate::source::kafka::{Bound, KafkaSettings, Progress, Range, RangeError, Topics, read_range};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A bound is neither an offset nor a time.
    #[error("{flag} {text:?}: neither an offset nor an RFC 3339 time, as 2026-01-31T12:00:00Z")]
    Bound {
        /// Of which flag.
        flag: &'static str,
        /// What was given.
        text: String,
    },
    /// The topic cannot be read.
    #[error("cannot audit {topic:?}: {error}")]
    Read {
        /// Which.
        topic: String,
        /// Why.
        error: Box<RangeError>,
    },
    /// The report cannot be written.
    #[error("cannot write the report: {0}")]
    Write(#[source] io::Error),
}

impl AuditError {
    /// The exit that it earns.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Bound { .. } => Exit::Usage,
            Self::Read { error, .. } if matches!(**error, RangeError::Open(_)) => Exit::Usage,
            Self::Read { .. } | Self::Write(_) => Exit::Failed,
        }
    }
}

/// Reads the range, and writes the report to `out` and, on a terminal, its progress to the standard
/// error.
pub fn run_kafka(args: &AuditKafkaArgs, out: &mut dyn Write) -> Result<Exit, AuditError> {
    let range = Range {
        from: bound("--from", args.from.as_deref())?,
        to: bound("--to", args.to.as_deref())?,
    };
    let mut kafka = KafkaSettings::new("audit", &args.cluster.brokers, Topics::named(&args.topic));
    kafka.properties = args.cluster.properties.iter().cloned().collect();
    let stream = StreamSettings { grace_ms: args.output.grace.0, ..StreamSettings::default() };
    let settings = Settings {
        default_stream: stream,
        hash_seed: RandomState::new().hash_one(()),
        ..Settings::default()
    };
    let mut checker = Checker::new(settings);
    let line = ProgressLine::new();
    read_range(&kafka, &args.topic, range, &mut checker, |progress| line.show(progress))
        .map_err(|error| AuditError::Read { topic: args.topic.clone(), error: Box::new(error) })?;
    line.clear();
    let header = Header {
        at: checker.now(),
        checking: true,
        grace_ms: args.output.grace.0,
        clock_skew_ms: StreamSettings::default().clock_skew_ms,
        complete: false,
    };
    let Output { format, gaps, .. } = args.output;
    write_report(&mut checker, format, gaps, header, out).map_err(AuditError::Write)
}

fn bound(flag: &'static str, text: Option<&str>) -> Result<Option<Bound>, AuditError> {
    let Some(text) = text else { return Ok(None) };
    if let Ok(offset) = text.parse() {
        return Ok(Some(Bound::Offset(offset)));
    }
    let time =
        text.parse().ok().and_then(|time: Timestamp| u64::try_from(time.as_millisecond()).ok());
    let error = || AuditError::Bound { flag, text: text.to_owned() };
    time.map(|time| Some(Bound::Time(time))).ok_or_else(error)
}

/// Rate and time left, one line that is written over.
struct ProgressLine {
    shown: bool,
    began_at: u64,
}

impl ProgressLine {
    fn new() -> Self {
        Self { shown: io::stderr().is_terminal(), began_at: clock::now_ms() }
    }

    fn show(&self, Progress { done, all }: Progress) {
        let spent = clock::now_ms().saturating_sub(self.began_at).max(1);
        let rate = done.saturating_mul(1000) / spent;
        let left = match all.saturating_sub(done).checked_div(rate) {
            Some(seconds) => format!("{seconds}s left"),
            None => "waiting for the broker".to_owned(),
        };
        self.write(format_args!("\r\x1b[K{done} of {all} messages, {rate}/s, {left}"));
    }

    fn clear(&self) {
        self.write(format_args!("\r\x1b[K"));
    }

    fn write(&self, text: std::fmt::Arguments<'_>) {
        if self.shown {
            // A terminal that went away takes nothing from the audit.
            drop(io::stderr().write_fmt(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_an_offset_or_a_time() {
        assert_eq!(bound("--from", None).unwrap(), None);
        assert_eq!(bound("--from", Some("12")).unwrap(), Some(Bound::Offset(12)));
        let time = bound("--to", Some("1970-01-01T00:00:01.5Z")).unwrap();
        assert_eq!(time, Some(Bound::Time(1500)));
        for text in ["-1", "yesterday", "", "1969-12-31T23:59:59Z"] {
            let error = bound("--to", Some(text)).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{text:?}");
        }
    }
}
