//! The sidecar beside a RabbitMQ.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use super::broker::RabbitMq;
use crate::sidecar::{GRACE_S, Sidecar};

/// Starts the sidecar on these queues, each with the lines that its source has beside the usual
/// ones, and waits until it is ready.
#[must_use]
pub fn start(rabbitmq: &RabbitMq, name: &str, queues: &[(&str, &str)]) -> Sidecar {
    through(rabbitmq, &rabbitmq.url(), name, queues)
}

/// As [`start`], by another way to the broker.
#[must_use]
pub fn through(rabbitmq: &RabbitMq, url: &str, name: &str, queues: &[(&str, &str)]) -> Sidecar {
    let (sidecar, _) = launch(rabbitmq, url, name, queues, &[]);
    sidecar.ready();
    sidecar
}

/// As [`start`], by TLS, trusting the broker's own authority.
#[must_use]
pub fn by_tls(rabbitmq: &RabbitMq, name: &str, queues: &[(&str, &str)]) -> Sidecar {
    let authority = rabbitmq.authority();
    let variables = [("SSL_CERT_FILE", authority.to_str().expect("a path of text"))];
    let (sidecar, _) = launch(rabbitmq, &rabbitmq.tls_url(), name, queues, &variables);
    sidecar.ready();
    sidecar
}

/// As [`start`], with its state kept in a directory of its own.
#[must_use]
pub fn keeping(rabbitmq: &RabbitMq, name: &str, queues: &[(&str, &str)]) -> Sidecar {
    let state = rabbitmq.directory(name).join("state");
    let variables = [("LACUNA_STATE__PATH", state.to_str().expect("a path of text"))];
    let (sidecar, _) = launch(rabbitmq, &rabbitmq.url(), name, queues, &variables);
    sidecar.ready();
    sidecar
}

/// As [`start`], where it is never ready; gives its log, too.
#[must_use]
pub fn not_ready(rabbitmq: &RabbitMq, name: &str, queues: &[(&str, &str)]) -> (Sidecar, PathBuf) {
    let (sidecar, log) = launch(rabbitmq, &rabbitmq.url(), name, queues, &[]);
    sidecar.answers();
    (sidecar, log)
}

fn launch(
    rabbitmq: &RabbitMq,
    url: &str,
    name: &str,
    queues: &[(&str, &str)],
    variables: &[(&str, &str)],
) -> (Sidecar, PathBuf) {
    let address = rabbitmq.port(60);
    let directory = rabbitmq.directory(name);
    let rings = directory.join("rings");
    // Producers begin after the sidecar, in one process's clock: none of it is skew.
    let mut config = format!(
        "http.listen = \"{address}\"\nchecking.grace = \"{GRACE_S}s\"\nchecking.clock_skew = \"0s\"\nmembers.ring_dir = {rings:?}\n"
    );
    for (queue, lines) in queues {
        let management = match lines.contains("management = ") {
            true => String::new(),
            false => format!("management = \"{}\"", rabbitmq.management()),
        };
        writeln!(
            config,
            "[source.\"{queue}\"]\nkind = \"rabbitmq\"\nurl = \"{url}\"\nqueue = \"{queue}\"\n\
             {management}\n{lines}"
        )
        .expect("a string can be written");
    }
    let file = directory.join("sidecar.toml");
    fs::write(&file, config).expect("the run's directory can be written");
    let file = file.to_str().expect("a path of text");
    let log = directory.join("sidecar.log");
    (Sidecar::launch(&["--config", file], variables, address, log.clone(), rings), log)
}
