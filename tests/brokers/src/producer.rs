//! A producing application in a process of its own.

use std::path::PathBuf;

use crate::broker::Kafka;
use crate::process::{Process, Signal, lab};
use crate::wait;

/// A running `lab-producer`.
#[derive(Debug)]
pub struct Producer {
    process: Process,
    file: PathBuf,
}

impl Producer {
    /// Starts it under this producer name. `run` tells apart the files of several runs of one
    /// name; `more` are further
    /// arguments; the last of a name counts.
    #[must_use]
    pub fn start(kafka: &Kafka, topic: &str, name: &str, run: u32, more: &[&str]) -> Self {
        let file = kafka.directory(topic).join(format!("{name}-{run}"));
        let mut command = lab("lab-producer");
        command.arg(format!("brokers={}", kafka.brokers()));
        command.args([format!("topic={topic}"), format!("name={name}")]);
        command.arg(format!("out={}", file.display())).args(more);
        let process = Process::start(name, &mut command);
        Self { process, file }
    }

    /// What it writes to.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.file.clone()
    }

    /// Begins to send `count` messages as fast as it goes.
    pub fn send(&mut self, count: u64) {
        self.process.tell(&format!("send {count}"));
    }

    /// Begins to send at a rate, until it is told to stop.
    pub fn load(&mut self, per_second: u64) {
        self.send_at(1_000_000_000, per_second);
    }

    /// Begins to send `count` messages at a rate.
    pub fn send_at(&mut self, count: u64, per_second: u64) {
        self.process.tell(&format!("send {count} {per_second}"));
    }

    /// Waits until this many more messages are answered.
    pub fn goes_on(&mut self, count: u64) {
        let answered = |process: &mut Process| -> u64 {
            process.ask("count", "answered").parse().expect("a count is a number")
        };
        let wanted = answered(&mut self.process) + count;
        wait::until("the load goes on", || {
            let now = answered(&mut self.process);
            if now >= wanted { Ok(()) } else { Err(format!("{now} of {wanted}")) }
        });
    }

    /// Stops sending.
    pub fn stop(&mut self) {
        self.process.tell("stop");
    }

    /// Waits until all of them are answered and written down.
    pub fn wait(&mut self) {
        self.process.ask("wait", "idle");
    }

    /// Turns the stamping on or off.
    pub fn switch(&mut self, on: bool) {
        self.process.ask(if on { "on" } else { "off" }, "switched");
    }

    /// Sends `count` messages in one transaction and commits it.
    pub fn transact(&mut self, count: u64) {
        self.leave_open(count);
        self.commit();
    }

    /// Commits the transaction that is open.
    pub fn commit(&mut self) {
        self.process.ask("commit", "committed");
    }

    /// What its interceptor has counted of its ledger: records sent, and failed.
    pub fn reported(&mut self) -> (u64, u64) {
        let said = self.process.ask("reported", "reported");
        let counts: Vec<u64> = said.split(' ').map(|n| n.parse().expect("a count")).collect();
        (counts[0], counts[1])
    }

    /// Sends `count` messages in one transaction and rolls it back.
    pub fn roll_back(&mut self, count: u64) {
        self.leave_open(count);
        self.process.ask("abort", "aborted");
    }

    /// Sends `count` messages in a transaction and leaves it open.
    pub fn leave_open(&mut self, count: u64) {
        self.process.ask("begin", "begun");
        self.send(count);
        self.wait();
    }

    /// How many numbers it has taken.
    pub fn taken(&mut self) -> u64 {
        self.process.ask("taken", "taken").parse().expect("a count is a number")
    }

    /// Ends it at once, with whatever is under way.
    pub fn kill(mut self) {
        self.process.signal(Signal::Kill);
        self.process.ended();
    }

    /// Ends it in good order.
    pub fn finish(self) {
        self.process.finish();
    }
}
