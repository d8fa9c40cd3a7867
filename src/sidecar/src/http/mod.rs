//! The HTTP interface (contracts §6).

mod acknowledging;
mod batches;
mod checking;
mod findings;
mod groups;
mod health;
mod intake;
mod origin;
mod page;
mod problem;
mod pulse;
mod query;
mod report;
mod router;

pub use problem::Problem;
pub use router::{Api, KafkaBrokers, router};
