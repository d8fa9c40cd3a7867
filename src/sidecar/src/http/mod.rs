//! The HTTP interface (contracts §6).

mod batches;
mod body;
mod checking;
mod findings;
mod groups;
mod health;
mod intake;
mod lease;
mod limits;
mod paced;
mod problem;
mod query;
mod report;
mod router;
mod serve;

pub use limits::HttpLimits;
pub use problem::Problem;
pub use router::{Api, router};
pub use serve::serve;
