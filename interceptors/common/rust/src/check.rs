//! What an application may set of its checking, whatever the broker; the environment sets the
//! defaults.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use lacuna_ring::RING_DIR_ENV;

use crate::sidecar::SIDECAR_ENV;
use crate::switch::{CHECK_ENV, Switch};

/// Room for some ten thousand messages: the sidecar reads every few milliseconds.
const RING_BYTES: usize = 4 << 20;

/// How consumers are checked.
///
/// What they are handed is told through a ring in the directory that the sidecar on this machine
/// reads. Where there is none it is posted to a sidecar; where neither is named, nobody is told.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    pub(crate) switch: Switch,
    pub(crate) ring_dir: Option<PathBuf>,
    pub(crate) ring_bytes: usize,
    pub(crate) sidecar: Option<String>,
}

impl Default for CheckOptions {
    /// On unless [`CHECK_ENV`] says off, in the directory that [`RING_DIR_ENV`] names, else to the
    /// sidecar that [`SIDECAR_ENV`] names.
    fn default() -> Self {
        let set = |variable| env::var_os(variable).filter(|value: &OsString| !value.is_empty());
        Self {
            switch: Switch::from_env(CHECK_ENV),
            ring_dir: set(RING_DIR_ENV).map(PathBuf::from),
            ring_bytes: RING_BYTES,
            sidecar: set(SIDECAR_ENV).and_then(|address| address.into_string().ok()),
        }
    }
}

impl CheckOptions {
    /// The switch that governs this checking.
    #[must_use]
    pub fn switch(mut self, switch: Switch) -> Self {
        self.switch = switch;
        self
    }

    /// The directory that a sidecar reads: its `members.ring_dir`.
    #[must_use]
    pub fn ring_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.ring_dir = Some(dir.into());
        self
    }

    /// Room for what the sidecar has not read yet, in bytes. What finds none is unknown to it.
    #[must_use]
    pub fn ring_bytes(mut self, bytes: usize) -> Self {
        self.ring_bytes = bytes;
        self
    }

    /// A sidecar's address, `http://HOST:PORT` or `unix:/PATH`, for where there is no ring.
    #[must_use]
    pub fn sidecar(mut self, address: impl Into<String>) -> Self {
        self.sidecar = Some(address.into());
        self
    }
}
