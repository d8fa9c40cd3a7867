use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, Uri};
use axum::routing::{get, post};
use tokio::sync::Mutex;

use super::batches::Batches;
use super::problem::Problem;
use super::{checking, findings, groups, health, intake, report};
use crate::engine::Engine;
use crate::gauges::Gauges;

/// What the interface answers from.
#[derive(Clone, Debug)]
pub struct Api {
    pub(super) engine: Engine,
    pub(super) grace_ms: u64,
    pub(super) clock_skew_ms: u64,
    pub(super) batches: Arc<Mutex<Batches>>,
    pub(super) gauges: Gauges,
    pub(super) partition_label: bool,
}

impl Api {
    /// Answers from this engine; grace and clock skew, in ms, are what reports say of themselves.
    #[must_use]
    pub fn new(engine: Engine, grace_ms: u64, clock_skew_ms: u64) -> Self {
        Self {
            engine,
            grace_ms,
            clock_skew_ms,
            batches: Arc::default(),
            gauges: Gauges::new(),
            partition_label: true,
        }
    }

    /// Whether metrics tell partitions apart; they do, unless told otherwise.
    #[must_use]
    pub fn with_partition_label(self, partition_label: bool) -> Self {
        Self { partition_label, ..self }
    }
}

/// All paths; no body may be longer than this.
pub fn router(api: Api, max_body_bytes: usize) -> Router {
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
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .with_state(api)
}
