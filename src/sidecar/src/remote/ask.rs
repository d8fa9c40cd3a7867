use std::io;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use ureq::Agent;

use crate::cli::RemoteArgs;
use crate::exit::Exit;

/// Longest wait for an answer: a report may have a million lanes.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest answer, in bytes.
const MAX_ANSWER: u64 = 1 << 30;
/// Rows that are asked for at once.
const PAGE: usize = 10_000;

/// Why a sidecar's word cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It is not there.
    #[error("cannot ask {0}: {1}; --url names where a sidecar listens")]
    Away(String, Box<ureq::Error>),
    /// It does not take the question.
    #[error("{url} answers {status}: {detail}")]
    Refused {
        /// What was asked.
        url: String,
        /// The answer's status.
        status: u16,
        /// Why.
        detail: String,
    },
    /// It is no sidecar.
    #[error("{0} answers what no sidecar does: {1}; --url names where one listens")]
    Strange(String, serde_json::Error),
    /// It cannot be written.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
    /// It cannot be written as CSV.
    #[error("cannot write: {0}")]
    Csv(#[from] csv::Error),
}

impl RemoteError {
    /// The exit that it earns.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Refused { status: 400, .. } => Exit::Usage,
            Self::Away(..)
            | Self::Refused { .. }
            | Self::Strange(..)
            | Self::Write(_)
            | Self::Csv(_) => Exit::Failed,
        }
    }
}

/// A sidecar, and which of its rows are asked for.
pub(super) struct Remote {
    agent: Agent,
    base: String,
    query: Vec<(&'static str, String)>,
}

/// A page of rows.
#[derive(Deserialize)]
struct Page {
    #[serde(alias = "gaps", alias = "duplicates")]
    rows: Vec<Value>,
    cursor: Option<String>,
}

impl Remote {
    pub(super) fn new(args: &RemoteArgs) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .build();
        let RemoteArgs { url, view, stream, partition, producer, format: _ } = args;
        let filters =
            [("view", view), ("stream", stream), ("partition", partition), ("producer", producer)];
        let query =
            filters.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
        Self { agent: config.into(), base: url.trim_end_matches('/').to_owned(), query }
    }

    pub(super) fn with(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_owned())));
        self
    }

    /// The answer's body, as it is.
    pub(super) fn text(&self, path: &str) -> Result<String, RemoteError> {
        let url = self.url(path);
        let away = |error| RemoteError::Away(url.clone(), Box::new(error));
        let mut answer = self.agent.get(&url).call().map_err(away)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
        let body = body.map_err(away)?;
        if status == 200 {
            return Ok(body);
        }
        let problem: Option<Value> = serde_json::from_str(&body).ok();
        let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
        let detail = detail.unwrap_or("without a reason").to_owned();
        Err(RemoteError::Refused { url, status, detail })
    }

    /// All rows of a path, page by page.
    pub(super) fn rows(mut self, path: &str) -> Result<Vec<Value>, RemoteError> {
        let mut rows = Vec::new();
        self.query.push(("limit", PAGE.to_string()));
        loop {
            let page: Page = self.read(&self.text(path)?)?;
            rows.extend(page.rows);
            let Some(cursor) = page.cursor else { return Ok(rows) };
            self.query.retain(|(name, _)| *name != "cursor");
            self.query.push(("cursor", cursor));
        }
    }

    pub(super) fn read<'a, T: Deserialize<'a>>(&self, body: &'a str) -> Result<T, RemoteError> {
        serde_json::from_str(body).map_err(|error| RemoteError::Strange(self.base.clone(), error))
    }

    fn url(&self, path: &str) -> String {
        let mut url = format!("{}{path}", self.base);
        for (index, (name, value)) in self.query.iter().enumerate() {
            let sign = if index == 0 { '?' } else { '&' };
            url.push_str(&format!("{sign}{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        }
        url
    }
}
