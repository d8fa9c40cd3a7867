//! The one place where this crate reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch; 0 if the clock stands before it.
#[expect(clippy::disallowed_methods, reason = "this crate's one wall clock")]
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A clock that only goes forward.
#[expect(clippy::disallowed_methods, reason = "this crate's one monotonic clock")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}
