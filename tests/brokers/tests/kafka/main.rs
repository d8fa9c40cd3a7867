//! The proof on a real Kafka: what was injected is what is found, in totals and in ranges.
//!
//! Every scenario has topics and a sidecar of its own; the broker is shared, one scenario after the
//! other.

mod absent;
mod changes;
mod clean;
mod clock;
mod documents;
mod faults;
mod groups;
mod harness;
mod host;
mod isolation;
mod kept;
mod ledger;
mod load;
mod members;
mod outages;
mod overload;
mod renamed;
mod retention;
mod secured;
mod soak;
mod survival;
mod transactions;
mod unchanged;
