//! The HTTP interface (contracts §6).

mod batches;
mod checking;
mod findings;
mod groups;
mod health;
mod intake;
mod lease;
mod problem;
mod query;
mod report;
mod router;

pub use problem::Problem;
pub use router::{Api, router};
