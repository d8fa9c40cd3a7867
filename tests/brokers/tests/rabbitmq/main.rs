//! The proof on a real RabbitMQ: what was injected is what is found, in totals and in ranges.
//!
//! Every scenario has exchanges, queues and a sidecar of its own; the broker is shared, one scenario
//! after the other.

mod clean;
mod consumers;
mod documents;
mod dropped;
mod firehose;
mod flight;
mod host;
mod ledger;
mod moved;
mod outages;
mod shovel;
mod survival;
mod tls;
mod transactions;
mod unroutable;
