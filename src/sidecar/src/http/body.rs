//! A body, read as a whole within its limits: so long, so fast, and no more of all together.

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::limits::Held;
use super::problem::Problem;
use super::router::Api;
use crate::gauges::Limit;

/// The bytes, and the room that they take up while they are looked at.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) held: Held,
}

impl FromRequest<Api> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let limit = api.limits.body_timeout;
        match timeout(limit, read(request, api)).await {
            Ok(body) => body,
            Err(_) => {
                api.gauges.reached(Limit::BodyTimeout);
                let what = format!("the body did not come within {} ms", limit.as_millis());
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, what))
            }
        }
    }
}

async fn read(request: Request, api: &Api) -> Result<Body, Problem> {
    let longest = api.limits.max_body_bytes;
    let mut body = Body { bytes: Vec::new(), held: Held::default() };
    let mut pieces = request.into_body().into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| Problem::bad(format!("the body broke off: {error}")))?;
        if body.bytes.len() + piece.len() > longest {
            api.gauges.reached(Limit::Body);
            let what = format!("the body is longer than {longest} bytes, http.max_body_bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, what));
        }
        if !api.room.hold(&mut body.held, piece.len()) {
            api.gauges.reached(Limit::Bodies);
            let what = "other bodies take up http.max_bodies_bytes: send it again later";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, what));
        }
        body.bytes.extend_from_slice(&piece);
    }
    Ok(body)
}
