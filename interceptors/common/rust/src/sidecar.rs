//! The way to a sidecar: small requests over HTTP, by TCP or by a Unix socket. It waits, so it is
//! for threads of Lacuna's own.

use std::path::PathBuf;
use std::time::Duration;

use ureq::Agent;
use ureq::config::Config;
use ureq::unversioned::resolver::DefaultResolver;

use crate::unix::UnixConnector;

/// The sidecar's address for interceptors that are given none: `http://127.0.0.1:7117` or
/// `unix:/run/lacuna.sock`.
pub const SIDECAR_ENV: &str = "LACUNA_SIDECAR";

/// Longest wait for a connection: a sidecar is near.
const CONNECT: Duration = Duration::from_millis(500);
/// Longest wait for a whole request.
const REQUEST: Duration = Duration::from_secs(2);
/// What is read of a refusal, in bytes.
const MAX_REASON: u64 = 1_024;

/// Why something that was posted has not been taken.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The address is of neither form.
    #[error("{0:?} is no sidecar's address: write http://HOST:PORT or unix:/PATH")]
    Address(String),
    /// No answer came: it may have been taken, or not.
    #[error("no answer from the sidecar: {0}")]
    Unanswered(Box<ureq::Error>),
    /// The sidecar refuses it.
    #[error("the sidecar refuses it with status {status}: {reason}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says, shortened.
        reason: String,
    },
}

/// A sidecar's address, and the connections to it that are kept open. Clones share them.
#[derive(Clone, Debug)]
pub struct Sidecar {
    agent: Agent,
    /// What stands before a path; `Err`: the address as given, which is of neither form.
    base: Result<String, String>,
}

impl Sidecar {
    /// A sidecar at `http://HOST:PORT` or `unix:/PATH`. Nothing is asked yet; an address that is
    /// neither fails with every request.
    #[must_use]
    pub fn new(address: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(REQUEST))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent("lacuna")
            .build();
        let address = address.trim();
        if let Some(path) = address.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            return Self {
                agent: by_socket(config, path.into()),
                base: Ok("http://127.0.0.1".into()),
            };
        }
        let base = address.trim_end_matches('/');
        let http = base.strip_prefix("http://").is_some_and(|host| !host.is_empty());
        let base = if http { Ok(base.to_owned()) } else { Err(address.to_owned()) };
        Self { agent: Agent::new_with_config(config), base }
    }

    /// Posts lines of JSON, and waits for the answer, for two seconds at most.
    pub fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        lines: &[u8],
    ) -> Result<(), PostError> {
        let base = self.base.as_ref().map_err(|address| PostError::Address(address.clone()))?;
        let mut request = self.agent.post([base, path].concat());
        for &(name, value) in headers {
            request = request.header(name, value);
        }
        let sent = request.content_type("application/x-ndjson").send(lines);
        let mut response = sent.map_err(|error| PostError::Unanswered(Box::new(error)))?;
        // Read to its end, so that the connection can be used again.
        let body = response.body_mut().with_config().limit(MAX_REASON).read_to_string();
        if response.status().is_success() {
            return Ok(());
        }
        let (status, reason) = (response.status().as_u16(), body.unwrap_or_default());
        Err(PostError::Refused { status, reason })
    }
}

fn by_socket(config: Config, path: PathBuf) -> Agent {
    Agent::with_parts(config, UnixConnector::new(path), DefaultResolver::default())
}
