//! `GET /metrics`, `/healthz` and `/readyz`.

use std::collections::BTreeSet;
use std::iter;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::router::Api;
use crate::metrics;

pub(super) async fn metrics(State(api): State<Api>) -> Result<Response, Problem> {
    let rows = api.engine.metrics().await?;
    api.gauges.set_sources(&api.engine.sources());
    let streams: BTreeSet<&str> = rows.iter().map(|row| row.stream.as_str()).collect();
    for stream in iter::once(None).chain(streams.into_iter().map(Some)) {
        api.gauges.set_checking(stream, api.engine.checking(stream));
    }
    let mut text = metrics::render(&rows, &api.engine.groups());
    api.gauges.write(&mut text)?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

/// Whether all workers still answer: one that has ended does not come back by itself.
pub(super) async fn alive(State(api): State<Api>) -> Result<&'static str, Problem> {
    api.engine.unwatched_streams().await?;
    Ok("ok\n")
}

pub(super) async fn ready(State(api): State<Api>) -> Result<&'static str, Problem> {
    if api.engine.ready() {
        return Ok("ready\n");
    }
    let sources = api.engine.sources();
    let waiting = sources.iter().filter(|source| !source.ready).map(|source| {
        let why = source.error.as_deref().unwrap_or("it has not begun to read");
        format!("source {:?}: {why}", source.name)
    });
    let detail = waiting.collect::<Vec<_>>().join("; ");
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
}
