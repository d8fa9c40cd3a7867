//! What loses and repeats messages on the way to the broker, as a process.

use crate::broker::Kafka;
use crate::process::{Process, lab};

/// Starts a `lab-relay` to this topic, with these partitions and faults; gives it and, as a
/// producer's argument, where it serves.
#[must_use]
pub fn start(kafka: &Kafka, topic: &str, more: &[&str]) -> (Process, String) {
    let mut command = lab("lab-relay");
    command.args([format!("to={}", kafka.brokers()), format!("topic={topic}")]).args(more);
    let mut relay = Process::start("relay", &mut command);
    let brokers = format!("brokers={}", relay.hear("serving"));
    (relay, brokers)
}
