//! A publishing application in a process of its own.

use std::path::PathBuf;

use super::broker::RabbitMq;
use crate::process::{Process, lab};
use crate::sidecar::Sidecar;
use crate::wait;

/// A running `lab-rabbitmq-producer`.
#[derive(Debug)]
pub struct Producer {
    process: Process,
    file: PathBuf,
}

impl Producer {
    /// Starts it under this producer name; its targets are `exchange/key`, joined by commas; `more`
    /// are further arguments, the last of a name counts.
    #[must_use]
    pub fn start(
        rabbitmq: &RabbitMq,
        sidecar: &Sidecar,
        test: &str,
        name: &str,
        targets: &str,
        more: &[&str],
    ) -> Self {
        let file = rabbitmq.directory(test).join(name);
        let mut command = lab("lab-rabbitmq-producer");
        command.env("SSL_CERT_FILE", rabbitmq.authority());
        command.args([format!("url={}", rabbitmq.url()), format!("name={name}")]);
        command.arg(format!("sidecar=http://{}", sidecar.address()));
        command.args([format!("targets={targets}"), format!("out={}", file.display())]).args(more);
        let mut process = Process::start(name, &mut command);
        process.hear("ready");
        Self { process, file }
    }

    /// What it writes to.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.file.clone()
    }

    /// Begins to publish `count` messages as fast as it goes.
    pub fn send(&mut self, count: u64) {
        self.process.tell(&format!("send {count}"));
    }

    /// Begins to publish until it is told to stop.
    pub fn load(&mut self) {
        self.process.tell("load");
    }

    /// Ends the load.
    pub fn stop(&mut self) {
        self.process.tell("stop");
    }

    /// How many messages of the load are answered.
    pub fn count(&mut self) -> u64 {
        self.process.ask("count", "answered").parse().expect("a number")
    }

    /// Waits until this many messages of the load are answered.
    pub fn answered(&mut self, wanted: u64) {
        wait::until("the load goes on", || {
            let now = self.count();
            if now >= wanted { Ok(()) } else { Err(format!("{now} of {wanted}")) }
        });
    }

    /// Waits until all that it was told to publish is answered.
    pub fn wait(&mut self) {
        self.process.hear("sent");
    }

    /// One transaction of `count` messages, and its end: `commit`, `rollback` or `lose`.
    pub fn transact(&mut self, count: u64, end: &str) {
        self.process.tell(&format!("transact {count} {end}"));
        self.process.hear("transacted");
    }

    /// What its interceptor has counted of its ledger: records sent, and failed.
    pub fn reported(&mut self) -> (u64, u64) {
        let said = self.process.ask("reported", "reported");
        let counts: Vec<u64> = said.split(' ').map(|n| n.parse().expect("a count")).collect();
        (counts[0], counts[1])
    }

    /// Ends it in good order: its lanes are closed.
    pub fn finish(self) {
        self.process.finish();
    }
}
