//! `Lacuna-Lease: <ms>`, beside `Lacuna-Batch`: a member that says when it will be heard again.

use axum::http::HeaderValue;

use lacuna_core::Watch;

use super::problem::Problem;
use crate::members::Lease;
use crate::record::{Event, Line, Place};

/// Longest lease, in ms: until it is over, nothing that its views lack can be judged.
const MAX_MS: u64 = 60_000;

pub(super) fn read(header: &HeaderValue) -> Result<Lease, Problem> {
    let lease = header.to_str().ok().and_then(|text| {
        let mut parts = text.split(';');
        let ms = parts.next()?.parse().ok().filter(|ms| *ms <= MAX_MS)?;
        parts.try_fold(Lease { ms, more: false, busy: false }, |lease, part| match part {
            "more" => Some(Lease { more: true, ..lease }),
            "busy" => Some(Lease { busy: true, ..lease }),
            _ => None,
        })
    });
    lease.ok_or_else(|| {
        Problem::bad(format!("Lacuna-Lease is not <ms>[;more][;busy], with at most {MAX_MS} ms"))
    })
}

/// The places that lines speak of, and how they are watched, as far as they say.
pub(super) fn places(lines: &[Line<'static>]) -> Vec<(Place<'static>, Option<Watch>)> {
    let mut places: Vec<(Place<'static>, Option<Watch>)> = Vec::new();
    for line in lines {
        let Line::At(place, event) = line else { continue };
        let watch = if let Event::Watch(watch) = event { Some(*watch) } else { None };
        // Messages come in runs.
        if watch.is_some() || places.last().is_none_or(|(last, _)| last != place) {
            places.push((place.clone(), watch));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_and_what_it_says() {
        let read = |text| read(&HeaderValue::from_static(text)).ok();
        let lease = |ms, more, busy| Some(Lease { ms, more, busy });
        assert_eq!(read("5000"), lease(5_000, false, false));
        assert_eq!(read("0"), lease(0, false, false));
        assert_eq!(read("60000;more;busy"), lease(60_000, true, true));
        assert_eq!(read("1;busy"), lease(1, false, true));
        for text in ["", "x", "-1", "60001", "1;", "1;idle", "more"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
