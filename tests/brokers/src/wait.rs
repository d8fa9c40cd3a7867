//! Waiting on conditions, never for a time.

use std::thread;
use std::time::{Duration, Instant};

/// How long any condition may take: far above what it takes on two busy cores, so that reaching it
/// is a failure and never a matter of load.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// Asks until there is an answer.
///
/// # Panics
/// When [`DEADLINE`] passes first; the message is `what`, with the last state `ask` told.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let since = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(state) if since.elapsed() > DEADLINE => {
                panic!("{what}: not within {} s; last state: {state}", DEADLINE.as_secs())
            }
            Err(_) => thread::sleep(Duration::from_millis(25)),
        }
    }
}

/// Keeps doing something for at least this long: for faults that last.
pub fn throughout(length: Duration, mut keep: impl FnMut()) {
    let since = Instant::now();
    while since.elapsed() < length {
        keep();
        thread::sleep(Duration::from_millis(25));
    }
}
