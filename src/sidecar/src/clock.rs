//! The one clock: ms since the Unix epoch, read from the system once and then counted by the
//! monotonic clock, so that setting the system's time makes nothing late.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// How far it was set ahead of the system's, ms.
static AHEAD: AtomicU64 = AtomicU64::new(0);

/// Now, ms since the Unix epoch; never goes back.
#[must_use]
pub fn now_ms() -> u64 {
    let now = START.wall + START.monotonic.elapsed();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    now.saturating_add(AHEAD.load(Ordering::Relaxed))
}

/// Goes on from this time, if the system's is behind it: a process that ended here saw it already.
pub fn not_before(time: u64) {
    let behind = time.saturating_sub(now_ms());
    AHEAD.fetch_add(behind, Ordering::Relaxed);
}
