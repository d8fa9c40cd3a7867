//! The configuration: file, environment, flags, in that order, over the embedded default one.

mod kafka;
mod layers;
mod rabbitmq;
mod sources;
mod state;
mod take;
mod types;
mod webhook;

pub use kafka::parse_from;
pub use layers::{ConfigError, Layers, Mistake, Place};
pub use types::{Config, Http, Log, LogFormat, SourceSettings, State, Stream};

/// The default configuration, which explains every key.
pub const DEFAULT: &str = include_str!("../../default.toml");
