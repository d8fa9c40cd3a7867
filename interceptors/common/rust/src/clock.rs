//! The one place where interceptors read a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch; 0 if the clock stands before it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the interceptors' one wall clock")]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A clock that only goes forward.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the interceptors' one monotonic clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}
