//! Lacuna's core: which messages a queue lost or repeated.
//!
//! It is pure: no clock (`now` is an argument), no I/O, no log line, no broker. Observations and
//! ledger records go in; verdicts, counts and rows come out. What every rule means is written in
//! `docs/contracts.md`; the sections are cited where they are carried out.
//!
//! A [`Checker`] holds a cell for every partition of a stream, a cell one record a lane and one a
//! view of the lane; a lane is its next expected number and the numbers it has not seen.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "mutants"))]
extern crate std;

mod begin;
mod behind;
mod cell;
mod checker;
mod chunk;
mod context;
mod cut;
mod findings;
mod forget;
mod gaps;
mod hole;
mod intake;
mod judge;
mod lane;
pub mod ledger;
mod memory;
pub mod mutants;
mod note;
mod positions;
mod ranges;
mod read_times;
pub mod report;
mod retire;
mod room;
mod rows;
mod settings;
mod share;
mod span;
pub mod stamp;
pub mod state;
mod states;
mod streams;
mod taken;
mod team;
pub mod totals;
pub mod verdict;
mod view;
mod watch;

pub use checker::{Checker, Observation, PartitionId};
pub use rows::{ChangeRow, MetricsRow};
pub use settings::{Limits, Reached, Settings, StreamSettings};
pub use share::Share;
pub use team::{News, Passed};
pub use view::Watch;
