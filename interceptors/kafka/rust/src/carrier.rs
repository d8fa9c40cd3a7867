//! How a stamp travels in Kafka: one header, the last one.

use lacuna_core::stamp::HEADER;
use rdkafka::message::{Header, OwnedHeaders};

use crate::native;

/// What [`stamp`] found, so that [`restore`] can give the application its own headers back.
#[derive(Debug)]
pub(crate) enum Before {
    /// No headers at all.
    None,
    /// Headers without a stamp.
    Unstamped,
    /// Headers with a stamp that was removed: a copy of them.
    Stamped(OwnedHeaders),
}

/// Puts a stamp behind the headers; one that is already there goes, all others keep their order.
pub(crate) fn stamp(headers: Option<OwnedHeaders>, value: &[u8]) -> (OwnedHeaders, Before) {
    let (headers, before) = match headers {
        None => (OwnedHeaders::new_with_capacity(1), Before::None),
        Some(mut headers) if native::is_stamped(&headers) => {
            let before = Before::Stamped(headers.clone());
            native::remove_stamps(&mut headers);
            (headers, before)
        }
        Some(headers) => (headers, Before::Unstamped),
    };
    (headers.insert(Header { key: HEADER, value: Some(value) }), before)
}

/// The headers without any stamp; `None` where there were none.
pub(crate) fn unstamp(headers: Option<OwnedHeaders>, before: &Before) -> Option<OwnedHeaders> {
    match before {
        Before::None => None,
        Before::Unstamped | Before::Stamped(_) => headers.map(|mut headers| {
            native::remove_stamps(&mut headers);
            headers
        }),
    }
}

/// The headers as the application gave them.
pub(crate) fn restore(headers: Option<OwnedHeaders>, before: Before) -> Option<OwnedHeaders> {
    match before {
        Before::Stamped(original) => Some(original),
        Before::None | Before::Unstamped => unstamp(headers, &before),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers;

    use super::*;

    fn headers(list: &[(&str, &str)]) -> OwnedHeaders {
        list.iter().fold(OwnedHeaders::new(), |headers, &(key, value)| {
            headers.insert(Header { key, value: Some(value) })
        })
    }

    fn read(headers: Option<&OwnedHeaders>) -> Vec<(String, Vec<u8>)> {
        headers.map_or_else(Vec::new, |headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
                .collect()
        })
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        list.iter().map(|&(key, value)| (key.to_owned(), value.into())).collect()
    }

    #[test]
    fn a_stamp_is_put_behind_and_taken_away_again() {
        let (stamped, before) = stamp(Some(headers(&[("a", "1"), ("a", "2")])), b"new");
        assert_eq!(read(Some(&stamped)), pairs(&[("a", "1"), ("a", "2"), ("lacuna-stamp", "new")]));
        assert_eq!(read(restore(Some(stamped), before).as_ref()), pairs(&[("a", "1"), ("a", "2")]));
    }

    #[test]
    fn an_old_stamp_is_replaced_and_comes_back_with_a_refusal() {
        let given = [
            ("a", "1"),
            ("lacuna-stamp", "old"),
            ("b", "2"),
            ("lacuna-stamp", "older"),
            ("a", "3"),
        ];
        let (stamped, before) = stamp(Some(headers(&given)), b"new");
        let others = [("a", "1"), ("b", "2"), ("a", "3")];
        let with_new = [("a", "1"), ("b", "2"), ("a", "3"), ("lacuna-stamp", "new")];
        assert_eq!(read(Some(&stamped)), pairs(&with_new));
        let bare = unstamp(Some(stamped), &before);
        assert_eq!(read(bare.as_ref()), pairs(&others));
        assert_eq!(read(restore(bare, before).as_ref()), pairs(&given));
    }

    #[test]
    fn no_headers_stay_none() {
        let (stamped, before) = stamp(None, b"new");
        assert_eq!(stamped.count(), 1);
        assert!(restore(Some(stamped), before).is_none());
    }
}
