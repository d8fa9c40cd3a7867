//! Who stamps: the producer's name and the epoch of this run (contracts §1).

use std::collections::HashMap;
use std::env;
use std::sync::{Mutex, PoisonError};

use lacuna_core::stamp::{MAX_PRODUCER, is_producer};

use crate::clock;

/// Overrides the producer's name for every producer of the process that is given none.
pub const PRODUCER_ENV: &str = "LACUNA_PRODUCER";

/// One run of one named producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The producer's name, of the form that a stamp asks for.
    pub producer: String,
    /// Greater in every later run of the same name, and for every other client of it.
    pub epoch: u64,
}

impl Identity {
    /// The name that the application gave, else the environment's, else the client's or the
    /// service's, `@` and the host's. What is not of the form is made so rather than refused.
    #[must_use]
    pub fn new(given: Option<&str>, client: Option<&str>) -> Self {
        let producer = given
            .map(str::to_owned)
            .or_else(|| env::var(PRODUCER_ENV).ok())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| [&client_name(client), "@", &host_name()].concat());
        let producer = well_formed(&producer);
        let epoch = next_epoch(&producer, clock::unix_ms());
        Self { producer, epoch }
    }
}

fn client_name(client: Option<&str>) -> String {
    let service = || env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    let program = || {
        let path = env::current_exe().ok()?;
        Some(path.file_stem()?.to_string_lossy().into_owned())
    };
    client
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
        .or_else(service)
        .or_else(program)
        .unwrap_or_else(|| "producer".to_owned())
}

fn host_name() -> String {
    hostname::get().map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into())
}

fn well_formed(name: &str) -> String {
    let mut name: String = name
        .chars()
        .map(|c| if c.is_ascii() && is_producer(c.to_string().as_bytes()) { c } else { '-' })
        .collect();
    name.truncate(MAX_PRODUCER);
    if name.is_empty() { "producer".to_owned() } else { name }
}

/// The time in ms, or the next one that no other producer of this name took in this process.
fn next_epoch(producer: &str, now: u64) -> u64 {
    static LATEST: Mutex<Option<HashMap<String, u64>>> = Mutex::new(None);
    let mut latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
    let epoch = latest.get_or_insert_default().entry(producer.to_owned()).or_default();
    *epoch = now.max(epoch.saturating_add(1));
    *epoch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_producers_of_one_name_never_share_an_epoch() {
        let now = 1_763_631_000_123;
        assert_eq!(next_epoch("twin", now), now);
        assert_eq!(next_epoch("twin", now), now + 1);
        assert_eq!(next_epoch("twin", now - 5), now + 2);
        assert_eq!(next_epoch("other", now), now);
    }

    #[test]
    fn a_name_is_made_of_the_form() {
        assert_eq!(well_formed("orders-api@web-3"), "orders-api@web-3");
        assert_eq!(well_formed("käse; api"), "k-se--api");
        assert_eq!(well_formed(""), "producer");
        assert_eq!(well_formed(&"x".repeat(200)).len(), MAX_PRODUCER);
    }

    #[test]
    fn the_client_s_name_names_the_producer() {
        let identity = Identity::new(None, Some("orders"));
        assert!(identity.producer.starts_with("orders@"), "{identity:?}");
        assert_eq!(Identity::new(Some("mine"), Some("orders")).producer, "mine");
    }
}
