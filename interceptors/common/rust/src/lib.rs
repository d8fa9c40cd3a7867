//! What the interceptors of all brokers share: whose number a message takes, and what became of
//! it. An application uses an interceptor, such as `lacuna-kafka`, and not this.
//!
//! ```text
//! interceptor ─ identity ─▶ lane ─── next number and its stamp ──▶ message
//!                            └ book ◀── what became of the number ── broker's answer
//! ```
//!
//! Nothing in here throws, waits for a network on the application's threads, or keeps a message
//! from going out.
#![forbid(unsafe_code)]

mod book;
pub mod clock;
mod counts;
mod identity;
mod lane;
mod map;
mod options;
mod ranges;
mod switch;
mod table;

pub use book::{Answers, Outcome};
pub use counts::{Counts, Unstamped};
pub use identity::{Identity, PRODUCER_ENV};
pub use lane::{Lane, Turn, lock};
pub use map::LaneMap;
pub use options::Options;
pub use switch::{CHECK_ENV, STAMP_ENV, Switch};
pub use table::Table;
