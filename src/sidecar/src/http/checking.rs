//! `GET` and `PUT /v1/checking`: the switch.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::problem::Problem;
use super::query;
use super::report::json;
use super::router::Api;

/// Of one stream, or of all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    stream: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Checking {
    enabled: bool,
}

pub(super) async fn show(State(api): State<Api>, uri: Uri) -> Result<Response, Problem> {
    let Which { stream } = query::read(&uri)?;
    json(&Checking { enabled: api.engine.checking(stream.as_deref()) })
}

pub(super) async fn set(State(api): State<Api>, uri: Uri, body: Body) -> Result<Response, Problem> {
    let Which { stream } = query::read(&uri)?;
    let Checking { enabled } = serde_json::from_slice(&body.bytes)
        .map_err(|error| Problem::bad(format!("body is not {{\"enabled\":true}}: {error}")))?;
    api.engine.set_checking(stream.clone(), enabled).await?;
    json(&Checking { enabled: api.engine.checking(stream.as_deref()) })
}
