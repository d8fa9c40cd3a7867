use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::batches::Batches;
use super::limits::{HttpLimits, Room};
use super::problem::Problem;
use super::{checking, findings, groups, health, intake, report};
use crate::engine::Engine;
use crate::gauges::{Gauges, Limit};

/// What the interface answers from.
#[derive(Clone, Debug)]
pub struct Api {
    pub(super) engine: Engine,
    pub(super) grace_ms: u64,
    pub(super) clock_skew_ms: u64,
    pub(super) batches: Arc<Mutex<Batches>>,
    pub(super) gauges: Gauges,
    pub(super) limits: HttpLimits,
    pub(super) room: Room,
}

impl Api {
    /// Answers from this engine; grace and clock skew, in ms, are what reports say of themselves.
    #[must_use]
    pub fn new(engine: Engine, grace_ms: u64, clock_skew_ms: u64, limits: HttpLimits) -> Self {
        Self {
            engine,
            grace_ms,
            clock_skew_ms,
            batches: Arc::default(),
            gauges: Gauges::new(),
            limits,
            room: Room::new(limits.max_bodies_bytes),
        }
    }
}

/// All paths.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/report", get(report::report))
        .route("/v1/gaps", get(findings::gaps))
        .route("/v1/duplicates", get(findings::duplicates))
        .route("/v1/groups", get(groups::groups))
        .route("/v1/observations", post(intake::observations))
        .route("/v1/ledger", post(intake::ledger))
        .route("/v1/checking", get(checking::show).put(checking::set))
        .route("/metrics", get(health::metrics))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(async |uri: Uri| {
            Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()))
        })
        .method_not_allowed_fallback(async |uri: Uri| {
            let what = format!("{} does not take this method", uri.path());
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, what)
        })
        .layer(from_fn_with_state(api.clone(), in_time))
        .with_state(api)
}

/// Gives up on an answer that takes too long to be made: whoever waits for it is told.
async fn in_time(State(api): State<Api>, request: Request, next: Next) -> Response {
    // The time that a body may take to come is its own.
    let limit = api.limits.answer_timeout + api.limits.body_timeout;
    match timeout(limit, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => {
            api.gauges.reached(Limit::AnswerTimeout);
            let what = "the answer takes longer than http.answer_timeout: checking is behind, or \
                        too much is asked at a time";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, what).into_response()
        }
    }
}
