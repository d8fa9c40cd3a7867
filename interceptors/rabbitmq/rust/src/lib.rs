//! Lacuna on the application's side of RabbitMQ, around lapin: channels that stamp what they
//! publish, and consumers that observe what they are handed.
//!
//! ```text
//! application ─ publish ─▶ stamper ──── message + stamp ──▶ lapin ──▶ RabbitMQ
//!                          │ lanes: its next number           │
//!                          │ carrier: one header              │
//!                          └ book ◀── confirms, returns ──────┘
//!
//! application ◀─ delivery ─ observer ◀─ delivery ────── lapin ◀── RabbitMQ
//!                           └ tells the sidecar, which judges the view
//! ```
//!
//! Adopting it is one call for each channel: [`Stamper::channel`]. The [`Stamper`] outlives its
//! channels, so numbers go on after a reconnect. Nothing in here throws into the application, waits
//! for the network in a publish, or keeps a message from going out.
#![forbid(unsafe_code)]

mod carrier;
mod confirm;
mod confirms;
mod consumer;
mod idle;
mod ledger;
mod observer;
mod options;
mod producer;
mod stamper;
mod transaction;

pub use confirm::{Number, StampedConfirm};
pub use consumer::{CheckedConsumer, Members};
pub use lacuna_interceptor::{
    CHECK_ENV, CheckOptions, Counts, LEDGER_ENV, PRODUCER_ENV, Reported, SIDECAR_ENV, STAMP_ENV,
    Switch,
};
pub use options::Options;
pub use producer::{Publish, StampedChannel};
pub use stamper::Stamper;
