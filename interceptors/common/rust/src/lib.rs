//! What the interceptors of all brokers share: whose number a message takes, and what became of
//! it. An application uses an interceptor, such as `lacuna-kafka`, and not this.
//!
//! ```text
//! interceptor ─ identity ─▶ lane ─── next number and its stamp ──▶ message
//!                            └ book ◀── what became of the number ── broker's answer
//!                                └ reporter ─ carriers ─▶ lacuna.ledger, sidecar
//!
//! consumer ─ telling ─▶ teller ─ way ─┬ ring ─▶ sidecar
//!                                     └ poster ─ lines ─▶ sidecar
//! ```
//!
//! Nothing in here throws, waits for a network on the application's threads, or keeps a message
//! from going out.
#![forbid(unsafe_code)]

mod book;
mod carrier;
mod check;
pub mod clock;
mod counts;
mod identity;
mod lane;
mod line;
mod map;
mod observed;
mod options;
mod poster;
mod ranges;
mod reporter;
mod said;
mod sidecar;
mod switch;
mod table;
mod teller;
mod telling;
mod unix;
mod way;
mod work;

pub use book::{Answers, End, Outcome};
pub use carrier::Carrier;
pub use check::CheckOptions;
pub use counts::{Counts, Unstamped};
pub use identity::{Identity, PRODUCER_ENV};
pub use lane::{Lane, Turn, lock};
pub use map::LaneMap;
pub use options::{LEDGER, LEDGER_ENV, LedgerOptions, Options};
pub use reporter::{Lanes, Reported, Reporter};
pub use sidecar::{PostError, SIDECAR_ENV, Sidecar};
pub use switch::{CHECK_ENV, STAMP_ENV, Switch};
pub use table::Table;
pub use teller::Teller;
pub use telling::Telling;
