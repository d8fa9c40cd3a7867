//! Text to [`Line`]: strict about what a checker needs, silent about members that it does not know.

use std::borrow::Cow;

use lacuna_core::ledger::{LedgerError, Range};
use lacuna_core::{Watch, stamp, verdict::Cause};
use serde::Deserialize;

use super::line::{Event, Ledger, Line, Message, Place};
use super::plain;
use crate::shown::shown;

/// Why a line cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not JSON, or a member of another type.
    #[error("{}", shown(&without_line(.0)))]
    Json(#[from] serde_json::Error),
    /// JSON, but for the object that a line is.
    #[error("not a JSON object")]
    NotObject,
    /// A member without which nothing can be judged.
    #[error("missing field `{0}`")]
    Missing(&'static str),
    /// A partition in another spelling than a lane's label.
    #[error("partition {0:?} is not 1 to 64 of A-Z a-z 0-9 . _ : @ -, without a leading zero")]
    Partition(String),
    /// More than one kind of line in one object.
    #[error("`{0}` and `{1}` in one line: one object is one of them")]
    Mixed(&'static str, &'static str),
    /// An epoch in another spelling than the stamp's.
    #[error("epoch {0:?} is not lower-case hex without a leading zero")]
    Epoch(String),
    /// A ledger of another version.
    #[error("ledger version {0} is not supported, 1 is")]
    Version(u64),
    /// A ledger that breaks contracts §2.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A name that no broker would give.
    #[error("`{0}` is longer than {MAX_NAME} bytes")]
    Name(&'static str),
    /// First above last.
    #[error("absent: first {0} is above last {1}")]
    Backwards(u64, u64),
}

/// The input is one line, so serde's line number would only mislead; its column does not.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) => format!("{what} at column {}", error.column()),
        None => text,
    }
}

impl<'a> Line<'a> {
    /// Reads one line of contracts §3.
    pub fn parse(text: &'a [u8]) -> Result<Self, LineError> {
        let line = match plain::message(text) {
            Some(line) => line,
            None => Self::parse_any(text)?,
        };
        if let Self::At(Place { partition, .. }, _) = &line
            && (!stamp::is_lane(partition.as_bytes()) || partition == stamp::SPAN)
        {
            return Err(LineError::Partition(partition.clone().into_owned()));
        }
        match &line {
            Self::At(Place { view, stream, .. }, _) => {
                short("view", view)?;
                short("stream", stream)?;
            }
            Self::Ledger(ledger) => short("stream", &ledger.stream)?,
        }
        Ok(line)
    }

    pub(super) fn parse_any(text: &'a [u8]) -> Result<Self, LineError> {
        let raw: RawLine<'a> = object(text)?;
        raw.lone_kind()?;
        if let Some(ledger) = raw.ledger {
            return Ok(Self::Ledger(ledger.parse()?));
        }
        if let Some(watch) = raw.watch {
            return Ok(watch.parse());
        }
        if let Some(end) = raw.end {
            return Ok(end.parse(|position, at| Event::End { position, at }));
        }
        if let Some(cut) = raw.cut {
            return Ok(cut.parse(|position, at| Event::Cut { position, at }));
        }
        if let Some(absent) = raw.absent {
            return absent.parse();
        }
        let stream = raw.stream.ok_or(LineError::Missing("stream"))?;
        let partition = raw.partition.ok_or(LineError::Missing("partition"))?;
        let message = Message {
            position: raw.position,
            at: raw.at.ok_or(LineError::Missing("at"))?,
            time: raw.time,
            stamp: raw.stamp.map(|Text(stamp)| stamp),
            redelivered: raw.redelivered,
        };
        Ok(Self::At(place(raw.view, stream, partition), Event::Message(message)))
    }
}

impl Ledger {
    /// Reads one ledger record of contracts §2 and checks its form.
    pub fn parse(text: &[u8]) -> Result<Self, LineError> {
        let ledger = object::<RawLedger>(text)?.parse()?;
        short("stream", &ledger.stream)?;
        Ok(ledger)
    }
}

/// Longest name of a view or a stream, in bytes: a name is kept for as long as the process runs, and
/// brokers' are a few hundred bytes at most.
const MAX_NAME: usize = 4_096;

fn short(what: &'static str, name: &str) -> Result<(), LineError> {
    if name.len() <= MAX_NAME { Ok(()) } else { Err(LineError::Name(what)) }
}

/// serde would take a list of the members' values for an object too.
fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, LineError> {
    if !text.trim_ascii_start().starts_with(b"{") {
        // What is no JSON at all is told as that.
        serde_json::from_slice::<serde::de::IgnoredAny>(text)?;
        return Err(LineError::NotObject);
    }
    Ok(serde_json::from_slice(text)?)
}

fn place<'a>(view: Option<Text<'a>>, stream: Text<'a>, partition: Text<'a>) -> Place<'a> {
    Place {
        view: view.map_or(Cow::Borrowed("log"), |Text(view)| view),
        stream: stream.0,
        partition: partition.0,
    }
}

/// A string that stays in its line where it has no escapes. serde borrows `Cow` only where a field
/// is one itself, never inside an `Option`; this newtype takes it there.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Every kind of line at once. What is rare is boxed, as this is moved about for every message.
#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(borrow)]
    view: Option<Text<'a>>,
    #[serde(borrow)]
    stream: Option<Text<'a>>,
    #[serde(borrow)]
    partition: Option<Text<'a>>,
    position: Option<u64>,
    at: Option<u64>,
    time: Option<u64>,
    #[serde(borrow)]
    stamp: Option<Text<'a>>,
    redelivered: Option<bool>,
    ledger: Option<Box<RawLedger>>,
    #[serde(borrow)]
    watch: Option<Box<RawWatch<'a>>>,
    #[serde(borrow)]
    end: Option<Box<RawMark<'a, Option<u64>>>>,
    #[serde(borrow)]
    cut: Option<Box<RawMark<'a, u64>>>,
    #[serde(borrow)]
    absent: Option<Box<RawAbsent<'a>>>,
}

impl RawLine<'_> {
    fn lone_kind(&self) -> Result<(), LineError> {
        let message = [
            ("stream", self.stream.is_some()),
            ("partition", self.partition.is_some()),
            ("stamp", self.stamp.is_some()),
        ];
        let others = [
            ("ledger", self.ledger.is_some()),
            ("watch", self.watch.is_some()),
            ("end", self.end.is_some()),
            ("cut", self.cut.is_some()),
            ("absent", self.absent.is_some()),
        ];
        let mut kinds = others.into_iter().filter(|(_, is)| *is).map(|(kind, _)| kind);
        let Some(kind) = kinds.next() else { return Ok(()) };
        let mut message = message.into_iter().filter(|(_, is)| *is).map(|(member, _)| member);
        match kinds.next().or_else(|| message.next()) {
            Some(second) => Err(LineError::Mixed(kind, second)),
            None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
struct RawWatch<'a> {
    #[serde(borrow)]
    view: Option<Text<'a>>,
    #[serde(borrow)]
    stream: Text<'a>,
    #[serde(borrow)]
    partition: Text<'a>,
    #[serde(default)]
    from: From,
    position: Option<u64>,
    at: u64,
    #[serde(default)]
    committed: bool,
    #[serde(default)]
    handover: bool,
    ordered: Option<bool>,
}

#[derive(Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum From {
    Start,
    #[default]
    Here,
}

impl<'a> RawWatch<'a> {
    fn parse(self) -> Line<'a> {
        let watch = Watch {
            from_start: self.from == From::Start,
            position: self.position,
            at: self.at,
            committed: self.committed,
            handover: self.handover,
            ordered: self.ordered.unwrap_or(true),
        };
        Line::At(place(self.view, self.stream, self.partition), Event::Watch(watch))
    }
}

/// An end, or a cut where it has a position.
#[derive(Deserialize)]
struct RawMark<'a, P> {
    #[serde(borrow)]
    view: Option<Text<'a>>,
    #[serde(borrow)]
    stream: Text<'a>,
    #[serde(borrow)]
    partition: Text<'a>,
    position: P,
    at: u64,
}

impl<'a, P> RawMark<'a, P> {
    fn parse(self, event: impl FnOnce(P, u64) -> Event<'a>) -> Line<'a> {
        let Self { view, stream, partition, position, at } = self;
        Line::At(place(view, stream, partition), event(position, at))
    }
}

#[derive(Deserialize)]
struct RawAbsent<'a> {
    #[serde(borrow)]
    view: Option<Text<'a>>,
    #[serde(borrow)]
    stream: Text<'a>,
    #[serde(borrow)]
    partition: Text<'a>,
    first: u64,
    last: u64,
    cause: RawCause,
    at: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawCause {
    Retention,
    Compacted,
    Aborted,
    Expired,
}

impl<'a> RawAbsent<'a> {
    fn parse(self) -> Result<Line<'a>, LineError> {
        let Self { first, last, at, .. } = self;
        if first > last {
            return Err(LineError::Backwards(first, last));
        }
        let cause = match self.cause {
            RawCause::Retention => Cause::Retention,
            RawCause::Compacted => Cause::Compacted,
            RawCause::Aborted => Cause::Aborted,
            RawCause::Expired => Cause::Expired,
        };
        let place = place(self.view, self.stream, self.partition);
        Ok(Line::At(place, Event::Absent { first, last, cause, at }))
    }
}

#[derive(Deserialize)]
struct RawLedger {
    v: Option<u64>,
    producer: String,
    epoch: String,
    stream: String,
    lane: String,
    #[serde(default)]
    rev: u64,
    #[serde(default)]
    from: u64,
    next: u64,
    #[serde(default)]
    pending: Vec<Range>,
    #[serde(default)]
    unanswered: Vec<Range>,
    #[serde(default)]
    refused: Vec<Range>,
    #[serde(default)]
    aborted: Vec<Range>,
    #[serde(default)]
    closed: bool,
    at: Option<u64>,
}

impl RawLedger {
    fn parse(self) -> Result<Ledger, LineError> {
        if let Some(version @ (0 | 2..)) = self.v {
            return Err(LineError::Version(version));
        }
        let epoch =
            stamp::parse_epoch(self.epoch.as_bytes()).ok_or(LineError::Epoch(self.epoch))?;
        let ledger = Ledger {
            producer: self.producer,
            stream: self.stream,
            lane: self.lane,
            epoch,
            rev: self.rev,
            from: self.from,
            next: self.next,
            pending: self.pending,
            unanswered: self.unanswered,
            refused: self.refused,
            aborted: self.aborted,
            closed: self.closed,
            at: self.at,
        };
        ledger.record().validate()?;
        Ok(ledger)
    }
}
