//! Where observations come from.

mod health;
pub mod kafka;
pub mod rabbitmq;
