//! `GET` and `PUT /v1/checking`: the switch.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::problem::Problem;
use super::query;
use super::report::json;
use super::router::Api;
use crate::engine::Switch;
use crate::gauges::Limit;

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
    turn(&api, stream.clone(), enabled).await?;
    json(&Checking { enabled: api.engine.checking(stream.as_deref()) })
}

/// Turns it, unless one more stream would be off by its own name than can be kept.
pub(super) async fn turn(api: &Api, stream: Option<String>, on: bool) -> Result<(), Problem> {
    let most = Switch::MOST_OFF;
    if !on && stream.as_ref().is_some_and(|stream| !api.engine.switch().has_room(stream)) {
        api.gauges.reached(Limit::StreamsOff);
        let what = format!("{most} streams are off by their own names, and no more can be");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, what));
    }
    Ok(api.engine.set_checking(stream, on).await?)
}
