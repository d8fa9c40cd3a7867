//! Faulty traffic from a seed: producers, a broker's log, readers of it, and a clumsy postman for
//! the ledger. What is injected is noted where it is injected.

mod broker;
mod knobs;
mod mishaps;
mod producer;
mod reader;
mod reading;
mod scenario;
mod sending;

pub use knobs::Knobs;
pub use scenario::{Injected, Scenario, generate, generate_with};
