//! The HTTP interface (contracts §6).

mod acknowledging;
mod body;
mod checking;
mod findings;
mod groups;
mod health;
mod history;
mod intake;
mod lease;
mod limits;
mod origin;
mod paced;
mod page;
mod problem;
mod pulse;
mod query;
mod report;
mod router;
mod serve;
mod socket;

pub use acknowledging::ACKNOWLEDGED;
pub use limits::HttpLimits;
pub use problem::Problem;
pub use router::{Api, KafkaBrokers, router};
pub use serve::{Accept, serve};
pub use socket::socket;
