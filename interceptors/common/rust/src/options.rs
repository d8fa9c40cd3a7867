//! What an application may set of its stamping, whatever the broker; the environment sets the
//! defaults.

use std::env;
use std::time::Duration;

use crate::identity::Identity;
use crate::sidecar::SIDECAR_ENV;
use crate::switch::{STAMP_ENV, Switch, says_on};

/// Where the ledger goes on the broker that carries the traffic: the name of a topic or queue, or
/// `off`.
pub const LEDGER_ENV: &str = "LACUNA_LEDGER";
/// The topic or queue of the ledger, unless it is named otherwise.
pub const LEDGER: &str = "lacuna.ledger";
/// How often lanes that move or have pending numbers are reported. A number that is called pending
/// is not judged while reports come within the grace, so it stays well below that.
const INTERVAL: Duration = Duration::from_secs(2);

/// How a producer stamps.
#[derive(Clone, Debug)]
pub struct Options {
    /// The producer's name: the same across restarts, another one for every sending client.
    /// `None`: by [`PRODUCER_ENV`](crate::PRODUCER_ENV), else client or service, `@`, host.
    pub producer: Option<String>,
    /// The switch that governs this producer.
    pub switch: Switch,
    /// How it reports what became of its messages.
    pub ledger: LedgerOptions,
}

/// How a producer reports what became of its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerOptions {
    /// The topic or queue on the broker that carries the traffic; `None`: it is not sent there.
    pub name: Option<String>,
    /// A sidecar's address, `http://HOST:PORT` or `unix:/PATH`, to which it is posted as well;
    /// `None`: it is not.
    pub sidecar: Option<String>,
    /// How often lanes that move or have pending numbers are reported.
    pub interval: Duration,
}

impl Default for Options {
    /// Named by the environment; on unless [`STAMP_ENV`] says off.
    fn default() -> Self {
        Self {
            producer: None,
            switch: Switch::from_env(STAMP_ENV),
            ledger: LedgerOptions::default(),
        }
    }
}

impl Default for LedgerOptions {
    /// To [`LEDGER`], unless [`LEDGER_ENV`] names another one or says off, and to the sidecar that
    /// [`SIDECAR_ENV`] names.
    fn default() -> Self {
        let set = |variable| env::var(variable).ok().filter(|value| !value.trim().is_empty());
        Self {
            name: Some(set(LEDGER_ENV).unwrap_or_else(|| LEDGER.to_owned()))
                .filter(|name| says_on(name)),
            sidecar: set(SIDECAR_ENV),
            interval: INTERVAL,
        }
    }
}

impl Options {
    /// Who stamps with these options; `client` is the name that the client library was given.
    #[must_use]
    pub fn identity(&self, client: Option<&str>) -> Identity {
        Identity::new(self.producer.as_deref(), client)
    }
}
