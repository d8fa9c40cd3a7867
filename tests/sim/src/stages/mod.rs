//! Histories in which every number's fate is known, told in every order.
//!
//! A history is drawn with a fate for each number: acknowledged, refused, rolled back, unclear, lost
//! at a stage, taken by retention or by a cut. It is told by independent tellers, as contracts §3
//! has them: the ledger, each partition of the log, each partition of each group. Each teller keeps
//! its own order; how they interleave is drawn anew, again and again, and the ledger's records may
//! overtake each other. When all is told, what is found must be what was drawn.
//!
//! Its seeds are its own: nothing here changes what [`crate::traffic`] draws.

mod counters;
mod evidence;
mod expected;
mod history;
mod ledger;
mod log;
mod order;
mod readers;
mod trial;

pub use history::{History, generate};
pub use trial::{Ending, Failure, account, run_seed};
