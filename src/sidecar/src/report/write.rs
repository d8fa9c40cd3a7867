//! A checker's whole report, as `check` and `audit` end with it.

use std::io::{self, BufWriter, Write};

use lacuna_core::Checker;
use lacuna_core::report::Filter;
use lacuna_core::verdict::State;

use super::json::{Depth, Document, Header};
use super::rows::open;
use super::text::{Text, write_text};
use crate::cli::{Format, Gaps};
use crate::exit::Exit;

/// Findings of a text report that does not ask for all of them.
const FEW: usize = 20;

/// Writes the report to `out`, with the gaps that are asked for, and says how the command ends.
pub fn write_report(
    checker: &mut Checker,
    format: Format,
    gaps: Option<Gaps>,
    header: Header,
    out: &mut dyn Write,
) -> io::Result<Exit> {
    let mut out = BufWriter::new(out);
    let everything = Filter::default();
    // Brings all of the rest up to date.
    let totals = checker.totals();
    match format {
        Format::Json => {
            let gaps = gaps.map(|gaps| {
                checker.gaps(&everything, &|state| wanted(gaps, state), None, usize::MAX)
            });
            let document = Document {
                header,
                totals: &totals,
                unwatched: &checker.unwatched_streams(),
                streams: &checker.report(&everything, true),
                depth: Depth::Lanes,
                gaps: gaps.as_deref(),
                cursor: None,
            };
            serde_json::to_writer(&mut out, &document)?;
            out.write_all(b"\n")?;
        }
        Format::Text => {
            let (which, limit) = match gaps {
                Some(which) => (which, usize::MAX),
                None => (Gaps::Open, FEW),
            };
            let text = Text {
                grace_ms: header.grace_ms,
                totals: &totals,
                unwatched: &checker.unwatched_streams(),
                streams: &checker.report(&everything, false),
                gaps: &checker.gaps(&everything, &|state| wanted(which, state), None, limit),
                duplicates: &checker.duplicates(&everything, None, FEW),
                more: "; --gaps shows all",
            };
            write_text(&mut out, &text)?;
        }
    }
    out.flush()?;
    Ok(Exit::of(&totals))
}

fn wanted(gaps: Gaps, state: Option<State>) -> bool {
    match gaps {
        Gaps::Open => open(state),
        // What the log lost is a row of the log's.
        Gaps::All => state != Some(State::LostInLog),
    }
}
