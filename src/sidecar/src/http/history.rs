//! `GET /v1/findings`: what was found, and when, newest first.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::query;
use super::report::json;
use super::router::Api;
use crate::state::{Finding, Store, Wanted, read_findings};

/// Which findings; times in ms since the Unix epoch.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    view: Option<String>,
    stream: Option<String>,
    partition: Option<String>,
    producer: Option<String>,
    state: Option<String>,
    since: Option<u64>,
    until: Option<u64>,
    limit: Option<usize>,
    cursor: Option<i64>,
}

#[derive(Serialize)]
struct Findings {
    v: u8,
    findings: Vec<Finding>,
    cursor: Option<String>,
}

pub(super) async fn findings(State(api): State<Api>, uri: Uri) -> Result<Response, Problem> {
    let Query { view, stream, partition, producer, state, since, until, limit, cursor } =
        query::read(&uri)?;
    let limit = query::limit(limit)?;
    let Some(dir) = api.engine.history().map(ToOwned::to_owned) else {
        let what = "there is no history where no state is kept (state.path)";
        return Err(Problem::new(StatusCode::NOT_FOUND, what));
    };
    let wanted = Wanted { view, stream, partition, producer, state, since, until, before: cursor };
    let read = move || -> Result<Vec<Finding>, String> {
        let reader = Store::reader(&dir).map_err(|error| error.to_string())?;
        // One more than is shown tells whether there is another page.
        read_findings(&reader, &wanted, limit + 1).map_err(|error| error.to_string())
    };
    let failed = |what: String| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, what);
    let read = tokio::task::spawn_blocking(read).await;
    let mut findings = read.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
    let more = findings.len() > limit;
    findings.truncate(limit);
    let cursor = findings.last().filter(|_| more).map(|last| last.id.to_string());
    json(&Findings { v: 1, findings, cursor })
}
