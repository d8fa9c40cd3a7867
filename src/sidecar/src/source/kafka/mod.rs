//! The Kafka source: a tap on the log that no consumer group knows of.
//!
//! A group that is watched is asked for its commits by a thread of its own, which looks at it from
//! outside.
//!
//! A source has one control thread, which finds topics and asks the broker for offsets, and one
//! [`Tap`](crate::engine::Tap) in every worker of the engine, which reads. They talk in batches of
//! orders and notes; per message the tap's own thread does everything, with nothing shared. Another
//! thread reads the ledger's topic for all of them.
//!
//! ```text
//!              ┌ control thread ┐  notes: ask for ends, a position is gone   ┌ worker ───────────┐
//!  brokers ────┤ metadata,      │◄───────────────────────────────────────────┤ tap ──► checker   │
//!     │        │ ListOffsets    ├───────────────────────────────────────────►│  ▲                │
//!     │        └────────────────┘  orders: start here, ends, go on there     └──┼────────────────┘
//!     └──────────────────────── batch queue (librdkafka) ───────────────────────┘
//! ```

mod asker;
mod batch;
mod client;
mod control;
mod describe;
mod groups;
mod ledger;
mod lineage;
mod open;
mod orders;
mod policy;
mod range;
mod reading;
mod resume;
mod settings;
mod slot;
mod tap;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_ledger;
mod topics;

pub use client::{MANAGED, OpenError};
pub use open::open;
pub use range::{Bound, Progress, Range, RangeError, read as read_range};
pub use settings::{From, KafkaSettings};
pub use topics::Topics;
