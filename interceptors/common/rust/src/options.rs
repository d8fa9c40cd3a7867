//! What an application may set of its stamping, whatever the broker; the environment sets the
//! defaults.

use crate::identity::Identity;
use crate::switch::{STAMP_ENV, Switch};

/// How a producer stamps.
#[derive(Clone, Debug)]
pub struct Options {
    /// The producer's name: the same across restarts, another one for every sending client.
    /// `None`: by [`PRODUCER_ENV`](crate::PRODUCER_ENV), else client or service, `@`, host.
    pub producer: Option<String>,
    /// The switch that governs this producer.
    pub switch: Switch,
}

impl Default for Options {
    /// Named by the environment; on unless [`STAMP_ENV`] says off.
    fn default() -> Self {
        Self { producer: None, switch: Switch::from_env(STAMP_ENV) }
    }
}

impl Options {
    /// Who stamps with these options; `client` is the name that the client library was given.
    #[must_use]
    pub fn identity(&self, client: Option<&str>) -> Identity {
        Identity::new(self.producer.as_deref(), client)
    }
}
