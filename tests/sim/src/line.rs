//! The lines of contracts §3, as the generator writes them and both judges read them.
//!
//! Nothing here is parsed: a stamp is what the generator meant by it, and becomes bytes only on its
//! way to the core. Ledgers are plain sets.

use std::collections::BTreeSet;
use std::fmt;

/// Names come from fixed tables, so that lines are cheap to copy.
pub type Name = &'static str;
/// The view of what the broker stored.
pub const LOG: Name = "log";
/// The lane label of a count over the whole stream.
pub const SPAN: Name = "*";

/// One unbroken count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneKey {
    /// The stream.
    pub stream: Name,
    /// The partition's label, or [`SPAN`].
    pub label: Name,
    /// The sending client.
    pub producer: Name,
    /// Its run.
    pub epoch: u64,
}

/// A partition in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// [`LOG`] or a group.
    pub view: Name,
    /// The stream.
    pub stream: Name,
    /// The partition's label.
    pub partition: Name,
}

/// What a message carries as its stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// No header.
    None,
    /// A header that is no stamp.
    Malformed(Name),
    /// A later version's.
    Unsupported(Name),
    /// A stamp that was copied along from another stream or partition.
    Foreign(LaneKey, u64),
    /// This lane's number.
    Of(LaneKey, u64),
}

/// Why positions hold nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Rolled back.
    Aborted,
    /// Compacted away.
    Compacted,
    /// Outlived.
    Expired,
    /// Deleted before it was read.
    Retention,
}

/// A producer's record of one lane, its ranges as plain sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The lane.
    pub lane: LaneKey,
    /// +1 a record.
    pub rev: u64,
    /// Complete from here on.
    pub from: u64,
    /// All below are taken.
    pub next: u64,
    /// No answer yet.
    pub pending: BTreeSet<u64>,
    /// Given up.
    pub unanswered: BTreeSet<u64>,
    /// Not part of the stream, and told so.
    pub refused: BTreeSet<u64>,
    /// Rolled back.
    pub aborted: BTreeSet<u64>,
    /// Ended in good order.
    pub closed: bool,
    /// Producer's clock.
    pub at: u64,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A message was read.
    Message {
        /// Where.
        place: Place,
        /// The broker's offset.
        position: Option<u64>,
        /// When.
        at: u64,
        /// Its stamp.
        mark: Mark,
        /// The broker's flag.
        redelivered: Option<bool>,
    },
    /// A producer's record arrived.
    Ledger(Entry),
    /// The view begins to watch, or begins again.
    Watch {
        /// Where.
        place: Place,
        /// From the very first message.
        start: bool,
        /// Where reading begins.
        position: Option<u64>,
        /// When.
        at: u64,
        /// A group that reads committed messages only.
        committed: bool,
        /// A former member's hand-over is complete.
        handover: bool,
        /// The view promises an order.
        ordered: bool,
    },
    /// The view has read all that was there.
    End {
        /// Where.
        place: Place,
        /// The log's end.
        position: Option<u64>,
        /// When the broker was asked.
        at: u64,
    },
    /// The log was cut back.
    Cut {
        /// Where.
        place: Place,
        /// What stood here and above is gone.
        position: u64,
        /// When.
        at: u64,
    },
    /// Positions hold nothing, for a reason that has a name.
    Absent {
        /// Where.
        place: Place,
        /// The first position.
        first: u64,
        /// The last.
        last: u64,
        /// The reason.
        why: Why,
        /// When.
        at: u64,
    },
}

impl Line {
    /// Its `at`; a ledger has none of the checker's.
    #[must_use]
    pub fn at(&self) -> Option<u64> {
        match *self {
            Self::Ledger(_) => None,
            Self::Message { at, .. }
            | Self::Watch { at, .. }
            | Self::End { at, .. }
            | Self::Cut { at, .. }
            | Self::Absent { at, .. } => Some(at),
        }
    }
}

/// A stream's origin, as zlib's `crc32` gives it for its name.
#[must_use]
pub fn origin(stream: Name) -> Name {
    match stream {
        "s" => "1b0ecf0b",
        "t" => "856a5aa8",
        "orders" => "e52ffdee",
        _ => "00000000",
    }
}

impl Mark {
    /// The header's value.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        match *self {
            Self::None => None,
            Self::Malformed(text) | Self::Unsupported(text) => Some(text.to_owned()),
            Self::Foreign(lane, seq) | Self::Of(lane, seq) => {
                let LaneKey { stream, label, producer, epoch } = lane;
                Some(format!("1;{producer};{epoch:x};{};{label};{seq}", origin(stream)))
            }
        }
    }
}

/// The inclusive ranges of a set.
#[must_use]
pub fn ranges(set: &BTreeSet<u64>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &n in set {
        match ranges.last_mut() {
            Some(last) if last.1 + 1 == n => last.1 = n,
            _ => ranges.push((n, n)),
        }
    }
    ranges
}

impl fmt::Display for Line {
    /// NDJSON of contracts §3. No name has a character that JSON escapes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { place, position, at, mark, redelivered } => {
                write!(f, "{{{},\"at\":{at}", head(place, *position))?;
                if let Some(value) = mark.value() {
                    write!(f, ",\"stamp\":\"{value}\"")?;
                }
                if let Some(flag) = redelivered {
                    write!(f, ",\"redelivered\":{flag}")?;
                }
                f.write_str("}")
            }
            Self::Ledger(entry) => ledger(f, entry),
            Self::Watch { place, start, position, at, committed, handover, ordered } => {
                let from = if *start { "start" } else { "here" };
                let head = head(place, *position);
                write!(f, "{{\"watch\":{{{head},\"from\":\"{from}\",\"at\":{at}")?;
                if *committed {
                    f.write_str(",\"committed\":true")?;
                }
                if *handover {
                    f.write_str(",\"handover\":true")?;
                }
                if !*ordered {
                    f.write_str(",\"ordered\":false")?;
                }
                f.write_str("}}")
            }
            Self::End { place, position, at } => {
                write!(f, "{{\"end\":{{{},\"at\":{at}}}}}", head(place, *position))
            }
            Self::Cut { place, position, at } => {
                write!(f, "{{\"cut\":{{{},\"at\":{at}}}}}", head(place, Some(*position)))
            }
            Self::Absent { place, first, last, why, at } => {
                let cause = match why {
                    Why::Aborted => "aborted",
                    Why::Compacted => "compacted",
                    Why::Expired => "expired",
                    Why::Retention => "retention",
                };
                let head = head(place, None);
                write!(f, "{{\"absent\":{{{head},\"first\":{first},\"last\":{last}")?;
                write!(f, ",\"cause\":\"{cause}\",\"at\":{at}}}}}")
            }
        }
    }
}

fn head(place: &Place, position: Option<u64>) -> String {
    let Place { view, stream, partition } = place;
    let mut head =
        format!("\"view\":\"{view}\",\"stream\":\"{stream}\",\"partition\":\"{partition}\"");
    if let Some(position) = position {
        head.push_str(&format!(",\"position\":{position}"));
    }
    head
}

fn ledger(f: &mut fmt::Formatter<'_>, entry: &Entry) -> fmt::Result {
    let LaneKey { stream, label, producer, epoch } = entry.lane;
    write!(f, "{{\"ledger\":{{\"v\":1,\"rev\":{},\"producer\":\"{producer}\"", entry.rev)?;
    write!(f, ",\"epoch\":\"{epoch:x}\",\"stream\":\"{stream}\",\"lane\":\"{label}\"")?;
    write!(f, ",\"from\":{},\"next\":{}", entry.from, entry.next)?;
    for (name, set) in [
        ("pending", &entry.pending),
        ("unanswered", &entry.unanswered),
        ("refused", &entry.refused),
        ("aborted", &entry.aborted),
    ] {
        let list: Vec<String> =
            ranges(set).iter().map(|(first, last)| format!("[{first},{last}]")).collect();
        write!(f, ",\"{name}\":[{}]", list.join(","))?;
    }
    write!(f, ",\"closed\":{},\"at\":{}}}}}", entry.closed, entry.at)
}
