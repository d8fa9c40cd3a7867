//! The report as text: what is wrong first, then what was looked at.

use std::fmt;
use std::io::{self, Write};

use lacuna_core::report::{DuplicateRow, GapRow, Neighbour, Says, StreamRow};
use lacuna_core::totals::{Count, Totals};
use lacuna_core::verdict::{Reason, Stage, State};

use super::rows::{gap_state, reason_word, repeat_word, says_word, stage_word};
use crate::duration::Millis;
use crate::shown::shown;

/// What a text report shows.
#[derive(Debug)]
pub struct Text<'a> {
    /// The grace of streams without one of their own, ms.
    pub grace_ms: u64,
    /// The sum of everything.
    pub totals: &'a Totals,
    /// Streams of which a ledger speaks and that no view looks at.
    pub unwatched: &'a [String],
    /// Views of streams, their partitions included.
    pub streams: &'a [StreamRow],
    /// Findings, newest first.
    pub gaps: &'a [GapRow],
    /// Repeats, newest first.
    pub duplicates: &'a [DuplicateRow],
    /// How to see the findings that are not among these.
    pub more: &'a str,
}

/// Writes it.
pub fn write_text(out: &mut impl Write, text: &Text<'_>) -> io::Result<()> {
    writeln!(out, "{}", Headline(text.totals))?;
    if !text.gaps.is_empty() {
        writeln!(out)?;
        for gap in text.gaps {
            write_gap(out, gap)?;
        }
        let shown = text.gaps.iter().filter(|gap| super::rows::open(gap.state)).count() as u64;
        write_rest(out, text.totals.open_gaps.saturating_sub(shown), "gap", text.more)?;
    }
    if !text.duplicates.is_empty() {
        writeln!(out)?;
        for duplicate in text.duplicates {
            write_duplicate(out, duplicate)?;
        }
        let shown = text.duplicates.len() as u64;
        write_rest(out, text.totals.duplicates_sum().saturating_sub(shown), "repeat", "")?;
    }
    for stream in text.streams {
        writeln!(out)?;
        write_stream(out, stream)?;
    }
    for stream in text.unwatched {
        writeln!(
            out,
            "\nstream {}: a producer's ledger speaks of it, and nothing looks at it",
            shown(stream)
        )?;
    }
    writeln!(out, "\ngrace {}", Millis(text.grace_ms))
}

/// One line that says how it is.
struct Headline<'a>(&'a Totals);

impl fmt::Display for Headline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = self.0;
        let unknown = &totals.unknown;
        let unjudged = unknown.paused + unknown.evicted + unknown.transaction;
        let parts = [
            (totals.lost_sum(), "lost"),
            (totals.duplicates_sum().into(), "repeated"),
            (totals.missing, "missing, not judged yet"),
            (unjudged, "that cannot be judged"),
        ];
        let mut shown = parts.iter().filter(|(count, _)| *count > 0).peekable();
        if shown.peek().is_none() {
            return match totals.seen {
                0 => f.write_str("nothing to judge: no stamped message was seen"),
                seen => write!(f, "nothing lost, nothing repeated; {} seen", Grouped(seen.into())),
            };
        }
        for (index, (count, what)) in shown.enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{} {what}", Grouped(*count))?;
        }
        write!(f, "; {} seen", Grouped(totals.seen.into()))
    }
}

fn write_gap(out: &mut impl Write, gap: &GapRow) -> io::Result<()> {
    let GapRow { view, stream, partition, producer, epoch, first, last, state, .. } = gap;
    let detail = match state {
        Some(State::Lost(stage)) => format!(" ({})", stage_word(*stage)),
        Some(State::Unknown(reason)) => format!(" ({})", reason_word(*reason)),
        Some(State::Missing | State::Refused | State::ByDesign(_) | State::LostInLog) | None => {
            String::new()
        }
    };
    let numbers = if first == last {
        format!("number {first}")
    } else {
        format!("{} numbers, {first} to {last}", Grouped(Count::from(last - first + 1)))
    };
    let (view, stream) = (shown(view), shown(stream));
    writeln!(out, "{}{detail}: {numbers}", gap_state(*state))?;
    writeln!(
        out,
        "    stream {stream}, partition {partition}, view {view}, producer {producer}, epoch {epoch:x}"
    )?;
    if let Some(why) = explain(*state) {
        writeln!(out, "    {why}")?;
    }
    match (&gap.before, &gap.after) {
        (None, None) => {}
        (before, after) => {
            writeln!(out, "    after {}, before {}", Beside(before), Beside(after))?;
        }
    }
    if let Some((says, at)) = gap.says {
        let at = at.map_or_else(String::new, |at| format!(", {}", Time(at)));
        writeln!(out, "    the producer's ledger says {}{at}", spoken(says))?;
    }
    if !gap.seen_in.is_empty() {
        writeln!(out, "    seen in {}", gap.seen_in.join(", "))?;
    }
    match (gap.judged_at, gap.recovered_at) {
        (_, Some(at)) => {
            writeln!(out, "    open since {}, recovered {}", Time(gap.since), Time(at))
        }
        (Some(at), None) => {
            writeln!(out, "    open since {}, judged {}", Time(gap.since), Time(at))
        }
        (None, None) => writeln!(out, "    open since {}", Time(gap.since)),
    }
}

pub(crate) const fn explain(state: Option<State>) -> Option<&'static str> {
    Some(match state {
        Some(State::Lost(Stage::Produce)) => "never answered: lost on the way to the broker",
        Some(State::Lost(Stage::Store)) => "acknowledged by the broker, and not in its log",
        Some(State::Lost(Stage::Consume)) => "in the log, and not handed to this group",
        Some(State::Lost(Stage::Undetermined)) => "nothing proves where",
        Some(State::Missing) => "its grace is not over, or nothing later has been read yet",
        Some(State::Refused) => "refused, and the application was told",
        Some(State::Unknown(Reason::Joined)) => "from before the watch began",
        Some(State::Unknown(Reason::Paused)) => "from while nothing was watching",
        Some(State::Unknown(Reason::Evicted)) => "dropped to keep memory bounded",
        Some(State::Unknown(Reason::Transaction)) => "in the log, possibly rolled back",
        Some(State::ByDesign(_) | State::LostInLog) | None => return None,
    })
}

fn spoken(says: Says) -> &'static str {
    match says {
        Says::Pending => "it is still pending",
        Says::Unanswered | Says::Refused | Says::Aborted | Says::Acknowledged => says_word(says),
    }
}

/// A neighbour of a gap, or that it is not known.
struct Beside<'a>(&'a Option<Neighbour>);

impl fmt::Display for Beside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Neighbour { seq, partition, position, at, time }) = self.0 else {
            return f.write_str("nothing known");
        };
        write!(f, "{seq} (partition {partition}")?;
        if let Some(position) = position {
            write!(f, ", position {position}")?;
        }
        write!(f, ", {})", Time(time.unwrap_or(*at)))
    }
}

fn write_duplicate(out: &mut impl Write, row: &DuplicateRow) -> io::Result<()> {
    let DuplicateRow { view, stream, partition, producer, epoch, seq, kind, .. } = row;
    let (view, stream) = (shown(view), shown(stream));
    writeln!(out, "repeated ({}): number {seq}", repeat_word(*kind))?;
    writeln!(
        out,
        "    stream {stream}, partition {partition}, view {view}, producer {producer}, epoch {epoch:x}"
    )?;
    let position = |position: Option<u64>| match position {
        Some(position) => format!("position {position}"),
        None => "a position that is not known".to_owned(),
    };
    writeln!(
        out,
        "    again at {}, {}; before at {}",
        position(row.position),
        Time(row.time.unwrap_or(row.at)),
        position(row.earlier)
    )
}

fn write_rest(out: &mut impl Write, rest: u64, what: &str, how: &str) -> io::Result<()> {
    let s = if rest == 1 { "" } else { "s" };
    match rest {
        0 => Ok(()),
        rest => writeln!(out, "… and {} more {what}{s}{how}", Grouped(rest.into())),
    }
}

fn write_stream(out: &mut impl Write, row: &StreamRow) -> io::Result<()> {
    let StreamRow { view, stream, totals, partitions } = row;
    let (view, stream) = (shown(view), shown(stream));
    writeln!(out, "stream {stream}, view {view}, {}", Many(partitions.len() as u64, "partition"))?;
    let observed = &totals.observed;
    let messages = observed.valid
        + observed.absent
        + observed.malformed
        + observed.unsupported
        + observed.foreign;
    if messages > 0 && messages == observed.absent {
        writeln!(out, "    no message carries a stamp: its producers do not stamp yet")?;
    }
    let unknown = &totals.unknown;
    let by_design = &totals.by_design;
    let lines: [(&str, Count, &[(&str, Count)]); 8] = [
        (
            "messages",
            messages.into(),
            &[
                ("valid", observed.valid.into()),
                ("unstamped", observed.absent.into()),
                ("malformed", observed.malformed.into()),
                ("unsupported", observed.unsupported.into()),
                ("foreign", observed.foreign.into()),
            ],
        ),
        (
            "seen",
            totals.seen.into(),
            &[("reordered", totals.reordered.into()), ("recovered", totals.recovered.into())],
        ),
        ("missing", totals.missing, &[]),
        (
            "lost",
            totals.lost_sum(),
            &[
                ("produce", totals.lost.produce),
                ("store", totals.lost.store),
                ("consume", totals.lost.consume),
                ("undetermined", totals.lost.undetermined),
            ],
        ),
        (
            "repeated",
            totals.duplicates_sum().into(),
            &[
                ("resent", totals.duplicates.resent.into()),
                ("redelivered", totals.duplicates.redelivered.into()),
                ("undetermined", totals.duplicates.undetermined.into()),
            ],
        ),
        ("refused", totals.refused, &[]),
        (
            "by design",
            by_design.aborted + by_design.compacted + by_design.expired + by_design.retention,
            &[
                ("aborted", by_design.aborted),
                ("compacted", by_design.compacted),
                ("expired", by_design.expired),
                ("retention", by_design.retention),
            ],
        ),
        (
            "unknown",
            unknown.joined + unknown.paused + unknown.evicted + unknown.transaction,
            &[
                ("joined", unknown.joined),
                ("paused", unknown.paused),
                ("evicted", unknown.evicted),
                ("transaction", unknown.transaction),
            ],
        ),
    ];
    for (what, count, parts) in lines {
        if count > 0 || matches!(what, "messages" | "seen") {
            write_count(out, what, count, parts)?;
        }
    }
    if totals.log_cuts > 0 {
        writeln!(out, "    the log was cut back {}", Many(totals.log_cuts, "time"))?;
    }
    let silent = totals.lanes_without_ledger;
    writeln!(
        out,
        "    {} of {}; {} without a ledger: of those an end that was lost cannot be told",
        Many(totals.lanes, "lane"),
        Many(totals.producers, "producer"),
        Grouped(silent.into())
    )
}

fn write_count(
    out: &mut impl Write,
    what: &str,
    count: Count,
    parts: &[(&str, Count)],
) -> io::Result<()> {
    write!(out, "    {what:<10} {:>15}", Grouped(count).to_string())?;
    let shown = parts.iter().filter(|(_, count)| *count > 0);
    for (index, (part, count)) in shown.enumerate() {
        let comma = if index == 0 { "  " } else { ", " };
        write!(out, "{comma}{part} {}", Grouped(*count))?;
    }
    writeln!(out)
}

/// A count of things.
pub(crate) struct Many(pub(crate) u64, pub(crate) &'static str);

impl fmt::Display for Many {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{s}", Grouped(self.0.into()), self.1)
    }
}

/// A number with its thousands apart.
pub(crate) struct Grouped(pub(crate) Count);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.char_indices() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A time in ms since the Unix epoch, as people read it.
pub(crate) struct Time(pub(crate) u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0).ok();
        match time.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok()) {
            Some(time) => write!(f, "{time:.3}"),
            None => write!(f, "{} ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_and_times() {
        let table = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in table {
            assert_eq!(Grouped(number).to_string(), text);
        }
        assert_eq!(Time(1_763_631_000_123).to_string(), "2025-11-20T09:30:00.123Z");
        assert_eq!(Time(u64::MAX).to_string(), "18446744073709551615 ms");
    }
}
