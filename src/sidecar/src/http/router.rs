use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::limits::{HttpLimits, Room};
use super::problem::Problem;
use super::pulse::{self, Pulse};
use super::{
    acknowledging, checking, findings, groups, health, history, intake, origin, page, report,
};
use crate::acknowledged::Acknowledgements;
use crate::engine::Engine;
use crate::gauges::{Gauges, Limit, WebhookCounts};

/// What all of it looks like, for programs.
const OPENAPI: &str = include_str!("../../openapi.json");

/// What the interface answers from.
#[derive(Clone, Debug)]
pub struct Api {
    pub(super) engine: Engine,
    judging: Arc<[AtomicU64; 2]>,
    pub(super) gauges: Gauges,
    pub(super) limits: HttpLimits,
    pub(super) room: Room,
    pub(super) pulse: Pulse,
    pub(super) page_turn: Arc<Mutex<()>>,
    pub(super) brokers: Arc<[KafkaBrokers]>,
    pub(super) partition_label: bool,
    acknowledged: Arc<std::sync::Mutex<Acknowledgements>>,
    closing: watch::Sender<bool>,
}

/// Where a stream's topic is, for commands that people copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaBrokers {
    /// `bootstrap.servers`.
    pub brokers: String,
    /// What stands before the topic's name in the stream's.
    pub stream_prefix: String,
}

impl Api {
    /// Answers from this engine; grace and clock skew, in ms, are what reports say of themselves.
    #[must_use]
    pub fn new(engine: Engine, grace_ms: u64, clock_skew_ms: u64, limits: HttpLimits) -> Self {
        Self {
            engine,
            judging: Arc::new([grace_ms, clock_skew_ms].map(AtomicU64::new)),
            gauges: Gauges::new(),
            limits,
            room: Room::new(limits.max_bodies_bytes),
            pulse: Pulse::default(),
            page_turn: Arc::default(),
            brokers: Arc::default(),
            partition_label: true,
            acknowledged: Arc::default(),
            closing: watch::Sender::new(false),
        }
    }

    /// What becomes of findings that are posted.
    pub(crate) fn webhook_counts(&self) -> WebhookCounts {
        self.gauges.webhook()
    }

    /// Names the Kafka clusters that the streams are read from.
    #[must_use]
    pub fn with_kafka(self, brokers: impl IntoIterator<Item = KafkaBrokers>) -> Self {
        Self { brokers: brokers.into_iter().collect(), ..self }
    }

    /// Reports say this grace and clock skew, in ms, from now on.
    pub fn judges_by(&self, grace_ms: u64, clock_skew_ms: u64) {
        self.judging[0].store(grace_ms, Ordering::Relaxed);
        self.judging[1].store(clock_skew_ms, Ordering::Relaxed);
    }

    pub(super) fn grace_ms(&self) -> u64 {
        self.judging[0].load(Ordering::Relaxed)
    }

    pub(super) fn clock_skew_ms(&self) -> u64 {
        self.judging[1].load(Ordering::Relaxed)
    }

    /// Whether metrics tell partitions apart; they do, unless told otherwise.
    #[must_use]
    pub fn with_partition_label(self, partition_label: bool) -> Self {
        Self { partition_label, ..self }
    }

    /// Begins with what people had dealt with before.
    #[must_use]
    pub fn with_acknowledgements(self, all: Acknowledgements) -> Self {
        *self.acknowledgements() = all;
        self
    }

    /// What people have dealt with. Nothing may be awaited while it is held.
    pub fn acknowledgements(&self) -> MutexGuard<'_, Acknowledgements> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the answers that go on for ever.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Waits until those answers are to end.
    pub(super) async fn closed(&self) {
        // The sender is this struct's own: it cannot be gone.
        drop(self.closing.subscribe().wait_for(|closing| *closing).await);
    }
}

/// All paths.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/assets/{name}", get(page::asset))
        .route("/page/acknowledgement", post(page::acknowledge))
        .route("/page/checking", post(page::set_checking))
        .route("/v1/report", get(report::report))
        .route("/v1/gaps", get(findings::gaps))
        .route(
            "/v1/gaps/{id}/acknowledgement",
            put(acknowledging::add).delete(acknowledging::remove),
        )
        .route("/v1/acknowledgements", get(acknowledging::list))
        .route("/v1/events", get(pulse::events))
        .route("/v1/duplicates", get(findings::duplicates))
        .route("/v1/findings", get(history::findings))
        .route("/v1/groups", get(groups::groups))
        .route("/v1/observations", post(intake::observations))
        .route("/v1/ledger", post(intake::ledger))
        .route("/v1/checking", get(checking::show).put(checking::set))
        .route(
            "/openapi.json",
            get(async || ([(header::CONTENT_TYPE, "application/json")], OPENAPI)),
        )
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
        .layer(from_fn(origin::guard))
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
