//! How a consumer tells a sidecar beside it what it was handed: a file that is used
//! as a ring. The consumer has mapped it into memory, the sidecar reads it.
//!
//! ```text
//!                      ┌ header ┬────────────── words ───────────────┐
//! consumer ─ record ─▶ │        │ …read│ record │ record │ …free     │ ─▶ sidecar
//!                      └────────┴──────┴────────┴────────┴───────────┘
//!                                     tail              head
//! ```
//!
//! A record is there once the head has passed it, so what a process wrote before it was killed can
//! be read out to the last whole record. The consumer never waits: what finds no room is counted
//! and told as [`Record::Lost`] as soon as there is room again. A lock on the file, which ends with
//! its process whatever way that ends, tells a living consumer from a dead one.
//!
//! Both sides run on one machine, in the byte order and on the clock that they share; the form is
//! not stable and is checked by a version.
#![deny(unsafe_code)]

mod file;
mod map;
mod reader;
mod reading;
mod record;
mod writer;

pub use map::OpenError;
pub use reader::{Garbled, Reader};
pub use reading::Reading;
pub use record::Record;
pub use writer::Writer;

/// The environment's directory for rings: `LACUNA_RING_DIR=/run/lacuna`.
pub const RING_DIR_ENV: &str = "LACUNA_RING_DIR";

/// What the file of a ring is called at its end.
pub(crate) const EXTENSION: &str = "ring";

/// A clock that all processes of this machine share and that only goes forward, in ns: what was
/// told at a smaller value was told before.
#[must_use]
pub fn order() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}
