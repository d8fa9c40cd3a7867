//! The log: what becomes of `tracing`'s events.

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

use crate::config::{Log, LogFormat};

/// Writes the process's log to standard error from now on, as configured.
pub(crate) fn start(log: &Log) -> Result<(), TryInitError> {
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // A connection that breaks is an error to it, and a warning of the source's to us.
    let quiet = [("lapin", LevelFilter::OFF), ("io_loop", LevelFilter::OFF)];
    let level = log.level.clone().with_targets(quiet);
    tracing_subscriber::registry().with(lines.with_filter(level)).try_init()
}
