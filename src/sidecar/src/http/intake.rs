//! `POST /v1/observations` and `/v1/ledger`: a body is taken as a whole, or not at all.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use serde::Serialize;

use super::body::Body;
use super::lease;
use super::limits::Held;
use super::problem::Problem;
use super::report::json;
use super::router::Api;
use crate::engine::{self, Batch, Stopped};
use crate::members::Lease;
use crate::record::{Ledger, Line, LineError, Lines};

#[derive(Serialize)]
struct Taken {
    v: u8,
    /// Lines that were taken by this request.
    taken: usize,
    /// It had been taken before, so that nothing was by this one.
    repeated: bool,
}

pub(super) async fn observations(
    State(api): State<Api>,
    headers: HeaderMap,
    Body { bytes, held }: Body,
) -> Result<Response, Problem> {
    let batch = headers.get("lacuna-batch").map(batch).transpose()?;
    let lease = headers.get("lacuna-lease").map(lease::read).transpose()?;
    let lines = lines(&bytes, |text| Line::parse(text).map(Line::into_owned))?;
    if lease.is_some() && batch.is_none() {
        return Err(Problem::bad("Lacuna-Lease is a batch's: Lacuna-Batch is missing"));
    }
    // A client that gives up ends its request in the middle; what was begun here must not be, nor
    // room be made for others meanwhile.
    let taking = tokio::spawn(async move {
        let taken = take(api, batch, lease, lines).await;
        drop::<Held>(held);
        taken
    });
    json(&taking.await.map_err(|_| Stopped)??)
}

/// Takes lines, unless they are a batch that was taken before.
async fn take(
    api: Api,
    batch: Option<Batch>,
    lease: Option<Lease>,
    lines: Vec<Line<'static>>,
) -> Result<Taken, Problem> {
    let taken = lines.len();
    let lease = lease.map(|lease| (lease, lease::places(&lines)));
    Ok(match api.engine.take(batch, lease, lines).await? {
        engine::Taken::Now => Taken { v: 1, taken, repeated: false },
        engine::Taken::Before => Taken { v: 1, taken: 0, repeated: true },
    })
}

fn batch(header: &HeaderValue) -> Result<Batch, Problem> {
    header.to_str().ok().and_then(Batch::parse).ok_or_else(|| {
        Problem::bad(format!(
            "Lacuna-Batch is not <source>;<n>, a name of at most {} bytes and a number",
            Batch::MAX_NAME
        ))
    })
}

pub(super) async fn ledger(
    State(api): State<Api>,
    Body { bytes, held }: Body,
) -> Result<Response, Problem> {
    let records: Vec<_> = lines(&bytes, Ledger::parse)?;
    let taking = tokio::spawn(async move {
        let records = records.into_iter().map(Line::Ledger).collect();
        let taken = take(api, None, None, records).await;
        drop::<Held>(held);
        taken
    });
    json(&taking.await.map_err(|_| Stopped)??)
}

/// All lines of a body, or the first that is not of the form.
fn lines<T>(body: &[u8], parse: impl Fn(&[u8]) -> Result<T, LineError>) -> Result<Vec<T>, Problem> {
    let mut lines = Lines::new(body);
    let mut parsed = Vec::new();
    loop {
        let line = match lines.next_line() {
            Ok(Some(text)) => parse(text),
            Ok(None) => return Ok(parsed),
            Err(error) => return Err(Problem::line(lines.number(), error)),
        };
        match line {
            Ok(line) => parsed.push(line),
            Err(error) => return Err(Problem::line(lines.number(), error)),
        }
    }
}
