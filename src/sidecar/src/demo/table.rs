//! What was injected against what was found.

use std::collections::BTreeSet;
use std::io::{self, Write};

use lacuna_core::totals::Totals;
use serde::Serialize;

use super::truth::LostRange;
use crate::report::Counts;

/// Ranges that are named, of those found as injected; of the others all are.
const NAMED: usize = 10;

/// How it came out.
pub(super) struct Result {
    pub(super) injected: Totals,
    pub(super) found: Totals,
    pub(super) injected_ranges: BTreeSet<LostRange>,
    pub(super) found_ranges: BTreeSet<LostRange>,
    pub(super) restarts: u64,
}

impl Result {
    /// All that was injected was found, and nothing else: every count and every range.
    pub(super) fn is_exact(&self) -> bool {
        self.injected == self.found && self.injected_ranges == self.found_ranges
    }

    fn rows(&self) -> Vec<(&'static str, u128, u128)> {
        let (i, f) = (&self.injected, &self.found);
        let unknown = |t: &Totals| {
            t.unknown.joined + t.unknown.paused + t.unknown.evicted + t.unknown.transaction
        };
        let by_design = |t: &Totals| {
            t.by_design.aborted
                + t.by_design.compacted
                + t.by_design.expired
                + t.by_design.retention
        };
        vec![
            ("lost after the acknowledgement", i.lost.store, f.lost.store),
            ("skipped by the consumer", i.lost.consume, f.lost.consume),
            ("stored twice", i.duplicates.resent.into(), f.duplicates.resent.into()),
            ("handed over again", i.duplicates.redelivered.into(), f.duplicates.redelivered.into()),
            ("late, within the grace", i.reordered.into(), f.reordered.into()),
            ("late, after it was judged lost", i.recovered.into(), f.recovered.into()),
            ("foreign stamps", i.observed.foreign.into(), f.observed.foreign.into()),
            ("no stamp", i.observed.absent.into(), f.observed.absent.into()),
            ("malformed stamps", i.observed.malformed.into(), f.observed.malformed.into()),
            (
                "stamps of a later version",
                i.observed.unsupported.into(),
                f.observed.unsupported.into(),
            ),
            ("lanes, a restart's own included", i.lanes.into(), f.lanes.into()),
            ("ranges of lost numbers", i.open_gaps.into(), f.open_gaps.into()),
            ("numbers seen", i.seen.into(), f.seen.into()),
            ("valid messages", i.observed.valid.into(), f.observed.valid.into()),
            (
                "anything else",
                i.missing
                    + i.refused
                    + i.lost.produce
                    + i.lost.undetermined
                    + unknown(i)
                    + by_design(i),
                f.missing
                    + f.refused
                    + f.lost.produce
                    + f.lost.undetermined
                    + unknown(f)
                    + by_design(f),
            ),
        ]
    }
}

/// For people.
pub(super) fn write_text(out: &mut dyn Write, result: &Result) -> io::Result<()> {
    writeln!(out, "{:<34}{:>12}{:>12}", "both views together", "injected", "found")?;
    for (kind, injected, found) in result.rows() {
        let mark = if injected == found { "" } else { "   <- not equal" };
        writeln!(out, "{kind:<34}{injected:>12}{found:>12}{mark}")?;
    }
    writeln!(out, "\nproducer restarts: {}", result.restarts)?;
    let both: Vec<_> = result.injected_ranges.intersection(&result.found_ranges).collect();
    writeln!(out, "\nranges injected and found: {}", both.len())?;
    both.iter().take(NAMED).try_for_each(|range| write_range(out, range))?;
    if both.len() > NAMED {
        writeln!(out, "  and {} more", both.len() - NAMED)?;
    }
    write_ranges(
        out,
        "injected and not found",
        result.injected_ranges.difference(&result.found_ranges),
    )?;
    write_ranges(
        out,
        "found and not injected",
        result.found_ranges.difference(&result.injected_ranges),
    )?;
    let verdict = if result.is_exact() {
        "exact: all that was injected was found, and nothing else"
    } else {
        "not exact"
    };
    writeln!(out, "\n{verdict}")
}

fn write_ranges<'a>(
    out: &mut dyn Write,
    title: &str,
    ranges: impl Iterator<Item = &'a LostRange>,
) -> io::Result<()> {
    let mut ranges = ranges.peekable();
    if ranges.peek().is_none() {
        return Ok(());
    }
    writeln!(out, "\n{title}:")?;
    ranges.try_for_each(|range| write_range(out, range))
}

fn write_range(out: &mut dyn Write, range: &LostRange) -> io::Result<()> {
    let LostRange { view, stream, partition, producer, epoch, first, last, stage } = range;
    let stage = match stage {
        Some(stage) => format!("{stage:?}").to_lowercase(),
        None => "missing".to_owned(),
    };
    writeln!(
        out,
        "  {view:<13} {stream} [{partition}] {producer} epoch {epoch:x}: {first} to {last} ({stage})"
    )
}

/// For programs.
pub(super) fn write_json(out: &mut dyn Write, result: &Result) -> io::Result<()> {
    #[derive(Serialize)]
    struct Json<'a> {
        injected: Counts<'a>,
        found: Counts<'a>,
        exact: bool,
    }
    let json = Json {
        injected: Counts { totals: &result.injected, sparse: false },
        found: Counts { totals: &result.found, sparse: false },
        exact: result.is_exact(),
    };
    serde_json::to_writer(&mut *out, &json)?;
    writeln!(out)
}
