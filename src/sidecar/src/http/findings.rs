//! `GET /v1/gaps` and `/v1/duplicates`: one row a finding, newest first.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;

use super::problem::Problem;
use super::query::{self, Rows};
use super::report::json;
use super::router::Api;
use crate::engine::Wanted;
use crate::report::{DuplicateJson, GapJson, gap_state, open, parse_state};

#[derive(Serialize)]
struct Gaps<'a> {
    v: u8,
    gaps: Vec<GapJson<'a>>,
    cursor: Option<String>,
}

pub(super) async fn gaps(State(api): State<Api>, uri: Uri) -> Result<Response, Problem> {
    let query: Rows = query::read(&uri)?;
    query.without(&[("depth", query.depth.is_some())])?;
    let wanted: Wanted = match query.state.as_deref() {
        None => Arc::new(open),
        Some(text) => {
            let states = parse_state(text).map_err(Problem::bad)?;
            Arc::new(move |state| states.contains(&gap_state(state)))
        }
    };
    let limit = query.limit()?;
    // One more than is shown tells whether there is another page.
    let mut rows = api.engine.gaps(query.filter(), wanted, query.age()?, limit + 1).await?;
    let cursor = cut(&mut rows, limit, |row| row.age);
    let rows = api.acknowledgements().split_all(rows);
    let gaps = rows.iter().map(|(row, said)| GapJson::of(row, said.as_ref())).collect();
    json(&Gaps { v: 1, gaps, cursor })
}

#[derive(Serialize)]
struct Duplicates<'a> {
    v: u8,
    duplicates: Vec<DuplicateJson<'a>>,
    cursor: Option<String>,
}

pub(super) async fn duplicates(State(api): State<Api>, uri: Uri) -> Result<Response, Problem> {
    let query: Rows = query::read(&uri)?;
    query.without(&[("depth", query.depth.is_some()), ("state", query.state.is_some())])?;
    let limit = query.limit()?;
    let mut rows = api.engine.duplicates(query.filter(), query.age()?, limit + 1).await?;
    let cursor = cut(&mut rows, limit, |row| row.age);
    json(&Duplicates { v: 1, duplicates: rows.iter().map(DuplicateJson::from).collect(), cursor })
}

/// Cuts the rows to a page; where there are more, the age of the page's last row.
pub(super) fn cut<T>(rows: &mut Vec<T>, limit: usize, age: impl Fn(&T) -> u64) -> Option<String> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    rows.last().filter(|_| more).map(|row| age(row).to_string())
}
