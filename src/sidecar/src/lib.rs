//! The sidecar: reads what a broker stored, is told what was observed elsewhere, and says which
//! messages were lost or repeated.
//!
//! What judges is `lacuna-core`; this crate brings it observations, and its verdicts to people
//! and programs.

pub mod acknowledged;
pub mod app;
pub mod audit;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod duration;
pub mod engine;
mod exit;
mod exposition;
mod gauges;
pub mod groups;
pub mod http;
mod log;
pub mod members;
pub mod metrics;
pub mod record;
mod reload;
pub mod remote;
pub mod report;
mod shown;
pub mod source;
pub mod state;
pub mod webhook;

pub use exit::Exit;
