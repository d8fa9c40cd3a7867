//! A consuming application in a process of its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::broker::Kafka;
use crate::process::{Process, Signal, lab};
use crate::wait;

/// A running `lab-consumer`: a member of the group that is named as its topic is, with `-group`
/// behind it.
#[derive(Debug)]
pub struct Member {
    process: Process,
    file: PathBuf,
}

/// The name of the group that reads a topic; also of its view.
#[must_use]
pub fn group(topic: &str) -> String {
    format!("{topic}-group")
}

impl Member {
    /// Joins the group. Reports to the sidecar at `observe`; `more` are further arguments.
    #[must_use]
    pub fn join(
        kafka: &Kafka,
        topic: &str,
        name: &str,
        observe: SocketAddr,
        more: &[&str],
    ) -> Self {
        let file = kafka.directory(topic).join(name);
        let mut command = lab("lab-consumer");
        command.arg(format!("brokers={}", kafka.brokers()));
        command.args([format!("topic={topic}"), format!("group={}", group(topic))]);
        command.args([format!("out={}", file.display()), format!("observe={observe}")]).args(more);
        Self { process: Process::start(name, &mut command), file }
    }

    /// What it writes to.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.file.clone()
    }

    /// How many messages it was handed; all are written down and reported.
    pub fn handed(&mut self) -> u64 {
        self.process.ask("count", "handed").parse().expect("a count is a number")
    }

    /// Commits this much below what it has handled in each partition; below 0, ahead of it.
    pub fn commit(&mut self, below: i64) {
        self.process.ask(&format!("commit {below}"), "committed");
    }

    /// Has it report the ends of what it has read to the end.
    pub fn report_ends(&mut self) {
        self.process.ask("end", "ended");
    }

    /// What its own checker says: numbers seen, redelivered, and lost or missing.
    pub fn totals(&mut self) -> [u64; 3] {
        let said = self.process.ask("totals", "totals");
        let mut numbers = said.split(' ').map(|number| number.parse().expect("totals are numbers"));
        std::array::from_fn(|_| numbers.next().expect("three totals"))
    }

    /// Waits until the members have been handed this many messages together.
    pub fn all_handed(members: &mut [&mut Self], count: u64) {
        wait::until(&format!("the group is handed {count} messages"), || {
            let handed: u64 = members.iter_mut().map(|member| member.handed()).sum();
            if handed == count { Ok(()) } else { Err(handed.to_string()) }
        });
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.process.signal(Signal::Kill);
        let _ = self.process.ended();
    }

    /// Leaves the group in good order.
    pub fn leave(self) {
        self.process.finish();
    }
}
