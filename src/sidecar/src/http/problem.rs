//! What went wrong, as an RFC 9457 problem document.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::engine::{Stopped, TakeError};

/// A problem. Nothing of the request that earned it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    line: Option<u64>,
}

impl Problem {
    /// This status, for this reason.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), line: None }
    }

    /// A request that is not of the form.
    #[must_use]
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// A line of a body, by its number from 1, that is not of the form.
    #[must_use]
    pub fn line(line: u64, why: impl std::fmt::Display) -> Self {
        Self { line: Some(line), ..Self::bad(format!("line {line}: {why}")) }
    }
}

impl From<Stopped> for Problem {
    fn from(stopped: Stopped) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, stopped.to_string())
    }
}

impl From<TakeError> for Problem {
    fn from(error: TakeError) -> Self {
        let status = match error {
            TakeError::Stopped(_) | TakeError::NotKept(_) | TakeError::TooMany => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            TakeError::TooOld(_) | TakeError::Unheard => StatusCode::CONFLICT,
        };
        Self::new(status, error.to_string())
    }
}

impl From<prometheus::Error> for Problem {
    fn from(error: prometheus::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("metrics: {error}"))
    }
}

#[derive(Serialize)]
struct Document<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, detail, line } = self;
        // `type` is left out, which means about:blank: the title is the status's own.
        let document = Document {
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            detail: &detail,
            line,
        };
        match serde_json::to_vec(&document) {
            Ok(body) => {
                (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
            }
            Err(_) => status.into_response(),
        }
    }
}
