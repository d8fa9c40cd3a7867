//! Lacuna on the application's side of Kafka: producers that stamp what they send, and consumers
//! that observe what they are handed.
//!
//! ```text
//! application ─ record ─▶ stamper ───── record + stamp ──▶ librdkafka ──▶ Kafka
//!                          │ partition: where will it go?       │
//!                          │ lanes: its next number             │
//!                          │ carrier: one header                │
//!                          └ book ◀──── delivery reports ───────┘
//!
//! application ◀─ message ─ observer ◀── message ────────── librdkafka ◀── Kafka
//!                          └ ring: shared memory that a sidecar reads
//! ```
//!
//! Adopting it is a change of type: [`StampedProducer`], [`StampedThreadedProducer`] and
//! [`StampedFutureProducer`] stand for rdkafka's producers, [`CheckedConsumer`] and
//! [`CheckedStreamConsumer`] for its consumers. Nothing in here throws into the application, waits
//! for the network in a send, or keeps a message from going out.
#![deny(unsafe_code)]

mod carrier;
mod consumer;
mod context;
mod future;
mod lanes;
mod ledger;
mod metadata;
mod native;
mod observer;
mod options;
mod partition;
mod producer;
mod stamper;

pub use consumer::{CheckContext, Checked, CheckedConsumer, CheckedContext, CheckedStreamConsumer};
pub use context::StampContext;
pub use future::{DeliveryFuture, FutureContext, StampedFutureProducer};
pub use lacuna_interceptor::{
    CHECK_ENV, CheckOptions, Counts, LEDGER_ENV, PRODUCER_ENV, Reported, SIDECAR_ENV, STAMP_ENV,
    Switch,
};
pub use options::Options;
pub use producer::{Enqueue, StampedProducer, StampedThreadedProducer};
