//! `GET /`, and what the page's forms post. They are there for those without a script too: an answer
//! leads back to the page.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use lacuna_core::verdict::State as Verdict;
use serde::Deserialize;

use super::super::acknowledging::{self, Word};
use super::super::checking;
use super::super::findings::cut;
use super::super::problem::Problem;
use super::super::query;
use super::super::router::Api;
use super::frame;
use super::query::Query;
use super::shown::Shown;
use crate::clock;
use crate::engine::{Look, Wanted};
use crate::report::{gap_state, parse_state};

/// Gap rows of one page.
const GAPS: usize = 25;
/// Repeats of one page.
const REPEATS: usize = 20;

/// Nothing but what comes from here runs, is loaded, is framed or is posted to.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

pub(in crate::http) async fn page(State(api): State<Api>, uri: Uri) -> Result<Response, Problem> {
    let query: Query = query::read(&uri)?;
    // One at a time: people at many screens must not keep the workers from reading.
    let turn = api.page_turn.lock().await;
    let shown = look(&api, query).await?;
    drop(turn);
    let mut answer = frame::document(&shown).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(answer)
}

async fn look(api: &Api, query: Query) -> Result<Shown, Problem> {
    let wanted: Wanted = match query.state.as_deref() {
        None => Arc::new(|state| matches!(state, Some(Verdict::Lost(_)))),
        Some(text) => {
            let states = parse_state(text).map_err(Problem::bad)?;
            Arc::new(move |state| states.contains(&gap_state(state)))
        }
    };
    let acknowledged = Arc::new(api.acknowledgements().clone());
    let look = Look {
        filter: query.filter(),
        wanted,
        gaps_before: query::age(query.cursor.as_deref())?,
        // One more than is shown tells whether there is another page.
        limit: GAPS + 1,
        repeats_before: query::age(query.repeats.as_deref())?,
        repeats: REPEATS + 1,
        acknowledged: Arc::clone(&acknowledged),
    };
    let mut overview = api.engine.overview(look).await?;
    let older = cut(&mut overview.gaps, GAPS, |row| row.age);
    let older_repeats = cut(&mut overview.duplicates, REPEATS, |row| row.age);
    let gaps = acknowledged.split_all(std::mem::take(&mut overview.gaps));
    Ok(Shown {
        at: clock::now_ms(),
        query,
        overview,
        gaps,
        older,
        older_repeats,
        sources: api.engine.sources(),
        groups: api.engine.groups(),
        switch: api.engine.switch(),
        grace_ms: api.grace_ms(),
        clock_skew_ms: api.clock_skew_ms(),
        brokers: Arc::clone(&api.brokers),
    })
}

/// What the form of a gap row sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Acknowledgement {
    id: String,
    last: u64,
    #[serde(default)]
    by: String,
    #[serde(default)]
    note: String,
    /// The word is taken back instead.
    #[serde(default)]
    take_back: bool,
}

pub(in crate::http) async fn acknowledge(
    State(api): State<Api>,
    uri: Uri,
    form: Result<Form<Acknowledgement>, FormRejection>,
) -> Result<Redirect, Problem> {
    let query: Query = query::read(&uri)?;
    let Form(Acknowledgement { id, last, by, note, take_back }) = form?;
    if take_back {
        acknowledging::take_back(&api, &id).await?;
    } else {
        acknowledging::acknowledge(&api, &id, Word { by, note, last: Some(last) }).await?;
    }
    Ok(back(&query, "numbers"))
}

/// What the form of the switch sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Checking {
    enabled: bool,
    stream: Option<String>,
}

pub(in crate::http) async fn set_checking(
    State(api): State<Api>,
    uri: Uri,
    form: Result<Form<Checking>, FormRejection>,
) -> Result<Redirect, Problem> {
    let query: Query = query::read(&uri)?;
    let Form(Checking { enabled, stream }) = form?;
    checking::turn(&api, stream, enabled).await?;
    Ok(back(&query, "checking"))
}

/// The page that the form stood on.
fn back(query: &Query, section: &str) -> Redirect {
    Redirect::to(&format!("{}#{section}", query.link()))
}

impl From<FormRejection> for Problem {
    fn from(rejection: FormRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}
