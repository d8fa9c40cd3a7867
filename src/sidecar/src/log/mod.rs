//! The log: what becomes of `tracing`'s events.

mod held;

use std::io::{self, Stderr, Write};

use tracing_subscriber::filter::{FilterExt, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

use self::held::Held;
use crate::config::{Log, LogFormat};
use crate::shown::{in_json, shown};

/// Writes the process's log to standard error from now on, as configured. What is held back is said
/// whenever the window is turned.
pub(crate) fn start(log: &Log) -> Result<Held, TryInitError> {
    let format = log.format;
    let lines = fmt::layer().with_writer(move || Lines { format, to: io::stderr() });
    let lines = match format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // A connection that breaks is an error to it, and a warning of the source's to us.
    let quiet = [("lapin", LevelFilter::OFF), ("io_loop", LevelFilter::OFF)];
    let level = log.level.clone().with_targets(quiet);
    let held = Held::new(log.limit);
    let lines = lines.with_filter(level.and(held.clone()));
    tracing_subscriber::registry().with(lines).try_init().map(|()| held)
}

/// Takes an event at a time, and writes a line: names in it are others', and none may end the line,
/// begin one of its own, or move the cursor of who reads it.
#[derive(Debug)]
struct Lines<W = Stderr> {
    format: LogFormat,
    to: W,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        let line = match self.format {
            LogFormat::Text => shown(line),
            LogFormat::Json => in_json(line),
        };
        self.to.write_all([&line, end].concat().as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    pub(super) struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        pub(super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const NAMES: [&str; 6] = [
        "a\nERROR lacuna::findings: lost",
        "a\r\x1b[2K\x1b]0;owned\x07",
        "a\u{9b}31m\u{7f}\0\t",
        "a\u{202e}gpj.exe\u{2066}",
        "a\u{200b}\u{feff}\u{2028}\u{e0041}",
        "\"}{\\",
    ];

    fn logged(format: LogFormat, name: &str) -> String {
        let kept = Kept::default();
        let to = kept.clone();
        let lines = fmt::layer().with_writer(move || Lines { format, to: to.clone() });
        let lines = match format {
            LogFormat::Text => lines.with_ansi(false).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(stream = %name, quoted = name, "lost: {name}");
        });
        kept.text()
    }

    #[test]
    fn no_name_writes_a_line_of_its_own() {
        let long = "x".repeat(100_000);
        for name in NAMES.into_iter().chain([&*long]) {
            for format in [LogFormat::Text, LogFormat::Json] {
                let text = logged(format, name);
                let line = text.strip_suffix('\n').unwrap();
                assert_eq!(shown(line), line, "{name:?}");
            }
            let json: serde_json::Value =
                serde_json::from_str(&logged(LogFormat::Json, name)).unwrap();
            assert_eq!(json["stream"], name);
        }
    }
}
