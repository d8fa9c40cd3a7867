//! The report of contracts §6, for programs and for people.

mod counts;
mod json;
mod rows;
mod text;
mod write;

pub use counts::Counts;
pub use json::{Depth, Document, Header};
pub(crate) use rows::STATES;
pub use rows::{DuplicateJson, GapJson, gap_state, open, parse_state};
pub(crate) use rows::{cause_word, reason_word, repeat_word, says_word, stage_word};
pub(crate) use text::{Grouped, Many, explain};
pub use text::{Text, write_text};
pub use write::write_report;
