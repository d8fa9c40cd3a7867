//! Findings, posted to another program as they come.
//!
//! What waits is the history of findings: it is bounded, outlives a restart, and is written whoever
//! reads it. So a receiver that is slow or gone holds up nothing. How far the receiver has been told is
//! kept in the same file.

use std::fmt;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use ureq::Agent;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ureq::http::{HeaderValue, Uri};

use crate::engine::{Engine, Stopped};
use crate::gauges::WebhookCounts;
use crate::state::{Finding, Store, StoreError, newest_finding, read_findings_after};

/// The name under which is kept how far the receiver has been told.
pub const TOLD: &str = "webhook";
/// Findings in one post: some 40 kB.
const BATCH: usize = 100;
/// How often the history is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Longest pause between two tries; the first one is as long as between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Where findings are posted, and which.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Where to; it may hold a token.
    pub url: Uri,
    /// The value of header `Authorization`.
    pub authorization: Option<HeaderValue>,
    /// A file that holds it instead, read at every post, so that it may change.
    pub authorization_file: Option<PathBuf>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// A finding is posted that comes into one of these states, or leaves it.
    pub states: Vec<String>,
}

/// Without what may be secret.
impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, authorization: _, authorization_file, timeout, states } = self;
        f.debug_struct("WebhookSettings")
            .field("host", &url.host())
            .field("authorization_file", authorization_file)
            .field("timeout", timeout)
            .field("states", states)
            .finish_non_exhaustive()
    }
}

/// How far the receiver has been told.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Told {
    /// Tells this state's numbers from another one's.
    source: String,
    /// The newest finding that it need not be told again.
    after: i64,
}

/// What one post says.
#[derive(Serialize)]
struct Post<'a> {
    v: u8,
    source: &'a str,
    /// Oldest first.
    findings: &'a [Finding],
}

/// Why a post was not taken.
#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error("its answer is {0}")]
    Status(u16),
    /// Of these none repeats the URL, which was read at the start.
    #[error(transparent)]
    Http(#[from] ureq::Error),
    #[error("webhook.authorization_file: {0}")]
    File(#[from] io::Error),
    #[error("webhook.authorization_file holds no header's value")]
    Authorization,
}

/// The way of findings to another program.
#[derive(Debug)]
pub struct Webhook {
    settings: WebhookSettings,
    agent: Agent,
    dir: PathBuf,
    told: Told,
    /// Tries since a post was taken.
    failed: u32,
}

impl Webhook {
    /// Begins where the run before has ended, or else with what is found from now on; `told` is what
    /// that run has kept as [`TOLD`].
    ///
    /// # Errors
    /// The history cannot be read.
    pub(crate) fn new(
        settings: WebhookSettings,
        dir: &Path,
        told: Option<&[u8]>,
    ) -> Result<Self, StoreError> {
        let told = told.and_then(|told| serde_json::from_slice(told).ok());
        let told = match told {
            Some(told) => told,
            None => Told {
                source: format!("{:016x}", RandomState::new().hash_one(())),
                after: newest(dir)?,
            },
        };
        let config = Agent::config_builder()
            .timeout_global(Some(settings.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("lacuna/", env!("CARGO_PKG_VERSION")));
        let agent = config.build().into();
        Ok(Self { settings, agent, dir: dir.to_owned(), told, failed: 0 })
    }

    /// Posts what is found, until the engine has ended.
    pub(crate) async fn run(mut self, engine: Engine, counts: WebhookCounts) {
        tracing::info!(host = self.settings.url.host(), "findings are posted");
        // Should it end before the first finding, the next run begins here.
        let mut stopped = self.keep(&engine).await;
        while stopped.is_ok() {
            let batch = self.waiting().await;
            let (Some(first), Some(last)) = (batch.first(), batch.last()) else {
                sleep(LOOK).await;
                continue;
            };
            let gone = first.id.abs_diff(self.told.after).saturating_sub(1);
            if gone > 0 {
                tracing::warn!(
                    findings = gone,
                    "dropped: they left the history (state.history) before the webhook took them"
                );
                counts.dropped.inc_by(gone);
            }
            let after = last.id;
            let wanted: Vec<_> = batch.into_iter().filter(|row| self.wants(row)).collect();
            self.deliver(&wanted, &counts).await;
            self.told.after = after;
            stopped = self.keep(&engine).await;
            // Counted once they do not come again.
            counts.delivered.inc_by(wanted.len() as u64);
        }
    }

    async fn keep(&self, engine: &Engine) -> Result<(), Stopped> {
        // A text and a number: there is nothing that JSON has no words for.
        let told = serde_json::to_vec(&self.told).unwrap_or_default();
        engine.keep_record(TOLD, told).await
    }

    /// What the receiver was not told of, oldest first.
    async fn waiting(&self) -> Vec<Finding> {
        let (dir, after) = (self.dir.clone(), self.told.after);
        let read = spawn_blocking(move || {
            let reader = Store::reader(&dir).map_err(|error| error.to_string())?;
            read_findings_after(&reader, after, BATCH).map_err(|error| error.to_string())
        });
        match read.await {
            Ok(Ok(findings)) => findings,
            Ok(Err(error)) => {
                // The keeper says what is wrong with the file; it is read again soon.
                tracing::debug!(error, "the history cannot be read");
                Vec::new()
            }
            // The process ends.
            Err(_) => Vec::new(),
        }
    }

    fn wants(&self, finding: &Finding) -> bool {
        let states = &self.settings.states;
        let wanted = |state: &String| states.contains(state);
        wanted(&finding.state) || finding.was.as_ref().is_some_and(wanted)
    }

    /// Tries until they are taken.
    async fn deliver(&mut self, findings: &[Finding], counts: &WebhookCounts) {
        let count = findings.len() as u64;
        if count == 0 {
            return;
        }
        let post = Post { v: 1, source: &self.told.source, findings };
        let body = serde_json::to_vec(&post).unwrap_or_default();
        let mut pause = LOOK;
        loop {
            let (agent, settings, body) = (self.agent.clone(), self.settings.clone(), body.clone());
            let posted = spawn_blocking(move || send(&agent, &settings, &body));
            match posted.await {
                Ok(Ok(())) => break,
                Ok(Err(error)) => {
                    counts.failed.inc_by(count);
                    self.has_failed(&error, count);
                }
                // It broke off: whether they were taken is not known.
                Err(_) => counts.failed.inc_by(count),
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        if self.failed > 0 {
            tracing::info!(tries = self.failed, "the webhook takes findings again");
            self.failed = 0;
        }
    }

    /// One line for all tries in a row.
    fn has_failed(&mut self, error: &PostError, findings: u64) {
        if self.failed == 0 {
            tracing::warn!(
                %error, findings, host = self.settings.url.host(),
                "the webhook does not take findings: they wait in the history, and are tried again"
            );
        }
        self.failed += 1;
    }
}

fn newest(dir: &Path) -> Result<i64, StoreError> {
    let reader = Store::reader(dir)?;
    newest_finding(&reader).map_err(|error| StoreError::Refused(dir.to_owned(), error))
}

fn send(agent: &Agent, settings: &WebhookSettings, body: &[u8]) -> Result<(), PostError> {
    let mut request = agent.post(&settings.url).header(CONTENT_TYPE, "application/json");
    if let Some(value) = &settings.authorization {
        request = request.header(AUTHORIZATION, value);
    } else if let Some(file) = &settings.authorization_file {
        let text = fs::read_to_string(file)?;
        let value: HeaderValue = text.trim_end().parse().map_err(|_| PostError::Authorization)?;
        request = request.header(AUTHORIZATION, value);
    }
    let status = request.send(body)?.status();
    if status.is_success() { Ok(()) } else { Err(PostError::Status(status.as_u16())) }
}
