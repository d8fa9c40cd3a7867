//! The one clock: ms since the Unix epoch, read from the system once and then counted by the
//! monotonic clock, so that setting the system's time makes nothing late.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

struct Start {
    wall: Duration,
    monotonic: Instant,
}

#[expect(clippy::disallowed_methods, reason = "this is the one clock")]
static START: LazyLock<Start> = LazyLock::new(|| Start {
    wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    monotonic: Instant::now(),
});

/// Now, ms since the Unix epoch; never goes back.
#[must_use]
pub fn now_ms() -> u64 {
    let now = START.wall + START.monotonic.elapsed();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
