//! A real RabbitMQ, and what is around it in the tests.

pub mod broker;
pub mod consumer;
pub mod producer;
pub mod sidecar;
pub mod truth;
