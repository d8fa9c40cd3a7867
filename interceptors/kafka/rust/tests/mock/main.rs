//! The interceptor against librdkafka's embedded broker: the mechanics, without a network.
#![expect(clippy::unwrap_used, reason = "tests")]

mod book;
mod consumer;
mod future;
mod ledger;
mod placement;
mod stamping;
mod support;
