//! From a real Kafka through the sidecar, a real Prometheus and a real Alertmanager to a webhook.
#![expect(clippy::disallowed_methods, reason = "how long it takes is told by the real clock")]

mod harness;
mod lost;
mod retention;
