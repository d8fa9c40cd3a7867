//! `GET /metrics`, `/healthz` and `/readyz`.

use std::collections::{BTreeSet, HashMap};
use std::iter;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lacuna_core::MetricsRow;
use lacuna_core::report::{Filter, GapRow};
use lacuna_core::totals::Count;
use lacuna_core::verdict::State as Verdict;

use super::problem::Problem;
use super::router::Api;
use crate::acknowledged::Said;
use crate::engine::stage_mut;
use crate::exposition::Exposition;
use crate::metrics;

pub(super) async fn metrics(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let dealt_with = api.acknowledgements().clone();
    let (mut rows, lost) = api.engine.metrics(dealt_with.filters()).await?;
    less_acknowledged(&mut rows, dealt_with.split_all(lost));
    let sources = api.engine.sources();
    api.gauges.set_sources(&sources);
    api.gauges.set_reached(&api.engine.reached().await?, &sources);
    api.gauges.set_state(api.engine.keeping().as_ref());
    let streams: BTreeSet<&str> = rows.iter().map(|row| row.stream.as_str()).collect();
    for stream in iter::once(None).chain(streams.into_iter().map(Some)) {
        api.gauges.set_checking(stream, api.engine.checking(stream));
    }
    let mut groups = api.engine.groups();
    if !api.partition_label {
        let report = api.engine.report(Filter::default(), false).await?;
        rows = metrics::by_stream(rows, &report);
        groups = metrics::groups_by_stream(groups);
    }
    let mut text = metrics::render(&rows, &groups);
    api.gauges.write(&mut text)?;
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Exposition::accepted(accept.unwrap_or_default());
    Ok(([(header::CONTENT_TYPE, format.media_type())], format.of(text)).into_response())
}

/// What a person has dealt with leaves the current losses.
fn less_acknowledged(rows: &mut [MetricsRow], lost: Vec<(GapRow, Option<Said>)>) {
    let places = rows.iter_mut().map(|row| {
        let MetricsRow { view, stream, partition, totals, .. } = row;
        ((view.as_str(), stream.as_str(), partition.as_str()), &mut totals.lost)
    });
    let mut places: HashMap<_, _> = places.collect();
    for row in lost.iter().filter_map(|(row, said)| said.as_ref().map(|_| row)) {
        let place = (row.view.as_str(), row.stream.as_str(), row.partition.as_str());
        if let (Some(Verdict::Lost(stage)), Some(lost)) = (row.state, places.get_mut(&place)) {
            let lost = stage_mut(lost, stage);
            *lost = lost.saturating_sub(Count::from(row.last - row.first) + 1);
        }
    }
}

/// Whether all workers still answer: one that has ended does not come back by itself.
pub(super) async fn alive(State(api): State<Api>) -> Result<&'static str, Problem> {
    api.engine.unwatched_streams().await?;
    Ok("ok\n")
}

pub(super) async fn ready(State(api): State<Api>) -> Result<&'static str, Problem> {
    if let Some(why) = api.engine.keeping().and_then(|health| health.failing) {
        let what = format!("the state cannot be kept, checking goes on in memory: {why}");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, what));
    }
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
