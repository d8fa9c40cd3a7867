//! `GET /v1/events`: server-sent events that say when the report has changed, and else that we are
//! still here.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use lacuna_core::report::Filter;
use lacuna_core::totals::Totals;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::router::Api;
use crate::clock;
use crate::engine::{SourceStatus, Stopped};

/// How often it is looked whether anything has changed.
const LOOK: Duration = Duration::from_secs(1);
/// After so long without a change, ms, a word that says so.
const ALIVE_MS: u64 = 5_000;

/// Looks for all who listen, so that many of them cost what one does.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulse(Arc<Mutex<Seen>>);

/// What was seen last.
#[derive(Debug, Default)]
struct Seen {
    at: u64,
    /// Grows with every change.
    beat: u64,
    state: Option<Box<Moment>>,
}

/// What must not change without a word.
#[derive(Debug, PartialEq, Eq)]
struct Moment {
    totals: Totals,
    sources: Vec<SourceStatus>,
    switched: u64,
    acknowledged: u64,
}

impl Pulse {
    /// Which change is the newest.
    async fn beat(&self, api: &Api) -> Result<u64, Stopped> {
        let mut seen = self.0.lock().await;
        let now = clock::now_ms();
        if seen.state.is_some() && now.saturating_sub(seen.at) < ALIVE_MS / 10 {
            return Ok(seen.beat);
        }
        let mut totals = Totals::default();
        for stream in api.engine.report(Filter::default(), false).await? {
            totals += &stream.totals;
        }
        let state = Some(Box::new(Moment {
            totals,
            sources: api.engine.sources(),
            switched: api.engine.switch().moved(),
            acknowledged: api.acknowledgements().revision(),
        }));
        if seen.state != state {
            seen.beat += 1;
            seen.state = state;
        }
        seen.at = now;
        Ok(seen.beat)
    }
}

pub(super) async fn events(State(api): State<Api>) -> Response {
    let began = Listener { api, heard: None, said_at: 0 };
    let events = stream::unfold(began, Listener::next);
    // A proxy that gathers answers would make this one silent.
    let headers = [(header::CACHE_CONTROL, "no-store"), (BUFFERING, "no")];
    (headers, Sse::new(events)).into_response()
}

const BUFFERING: header::HeaderName = header::HeaderName::from_static("x-accel-buffering");

struct Listener {
    api: Api,
    heard: Option<u64>,
    said_at: u64,
}

impl Listener {
    /// The next word, when there is one; none any more when the process ends or a worker has.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            let beat = self.api.pulse.beat(&self.api).await.ok()?;
            let now = clock::now_ms();
            let changed = self.heard.replace(beat) != Some(beat);
            if changed || now >= self.said_at + ALIVE_MS {
                self.said_at = now;
                let name = if changed { "changed" } else { "alive" };
                let data = format!("{{\"v\":1,\"at\":{now}}}");
                return Some((Ok(Event::default().event(name).data(data)), self));
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = self.api.closed() => return None,
            }
        }
    }
}
