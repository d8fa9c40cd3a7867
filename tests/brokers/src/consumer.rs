//! A consuming application in a process of its own.

use std::path::PathBuf;

use crate::broker::Kafka;
use crate::process::{Process, Signal, lab};
use crate::sidecar::Sidecar;
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
    /// Joins the group, and tells the sidecar, if there is one, what it is handed: through a ring, with
    /// `way=socket` by its socket; with `tell=ADDRESS` it posts to that address; `more` are further
    /// arguments.
    #[must_use]
    pub fn join(
        kafka: &Kafka,
        topic: &str,
        name: &str,
        sidecar: Option<&Sidecar>,
        more: &[&str],
    ) -> Self {
        let file = kafka.directory(topic).join(name);
        let mut command = lab("lab-consumer");
        command.arg(format!("brokers={}", kafka.brokers()));
        command.args([format!("topic={topic}"), format!("group={}", group(topic))]);
        command.arg(format!("out={}", file.display())).args(more);
        match sidecar {
            Some(sidecar) if more.contains(&"way=socket") => {
                command.env("LACUNA_SIDECAR", format!("unix:{}", sidecar.socket().display()));
            }
            Some(sidecar) => {
                command.env("LACUNA_RING_DIR", sidecar.rings());
            }
            None => {}
        }
        if let Some(address) = more.iter().find_map(|word| word.strip_prefix("tell=")) {
            command.env("LACUNA_SIDECAR", address);
        }
        Self { process: Process::start(name, &mut command), file }
    }

    /// What it writes to.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.file.clone()
    }

    /// How many messages it was handed; all are written down.
    pub fn handed(&mut self) -> u64 {
        self.process.ask("count", "handed").parse().expect("a count is a number")
    }

    /// How many of them were not told to its sidecar, as it counts.
    pub fn untold(&mut self) -> u64 {
        self.process.ask("untold", "untold").parse().expect("a count is a number")
    }

    /// Commits this much below what it has handled in each partition; below 0, ahead of it.
    pub fn commit(&mut self, below: i64) {
        self.process.ask(&format!("commit {below}"), "committed");
    }

    /// How many partitions it has been given.
    pub fn partitions(&mut self) -> usize {
        self.process.ask("partitions", "has").parse().expect("a count is a number")
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
