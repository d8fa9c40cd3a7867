//! A consuming application in a process of its own.

use std::path::PathBuf;

use super::broker::RabbitMq;
use crate::process::{Process, Signal, lab};
use crate::sidecar::Sidecar;
use crate::wait;

/// A running `lab-rabbitmq-consumer`.
#[derive(Debug)]
pub struct Consumer {
    process: Process,
    file: PathBuf,
}

impl Consumer {
    /// Starts a member on this queue, which is fed by these streams; `more` are further arguments.
    /// It tells the sidecar through a ring, with `way=http` by posting, with `way=none` nothing. Waits
    /// until its view watches them.
    #[must_use]
    pub fn start(
        rabbitmq: &RabbitMq,
        sidecar: &Sidecar,
        queue: &str,
        member: &str,
        streams: &str,
        more: &[&str],
    ) -> Self {
        let file = rabbitmq.directory(queue).join(format!("{member}-handed"));
        let mut command = lab("lab-rabbitmq-consumer");
        command.env("SSL_CERT_FILE", rabbitmq.authority());
        command.args([format!("url={}", rabbitmq.url()), format!("queue={queue}")]);
        let checked = !more.contains(&"way=none");
        if more.contains(&"way=http") {
            command.env("LACUNA_SIDECAR", format!("http://{}", sidecar.address()));
        } else if checked {
            command.env("LACUNA_RING_DIR", sidecar.rings());
        }
        command.args([format!("streams={streams}"), format!("out={}", file.display())]).args(more);
        let mut process = Process::start(member, &mut command);
        process.hear("ready");
        // Who publishes from now on is watched from the first message on.
        for stream in streams.split(',').filter(|_| checked) {
            wait::until(&format!("{queue} watches {stream}"), || {
                let rows = sidecar.report(queue, stream);
                let watched = &rows["streams"][0]["partitions"][0]["watched"];
                if watched.is_object() { Ok(()) } else { Err(rows.to_string()) }
            });
        }
        Self { process, file }
    }

    /// What it writes to.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.file.clone()
    }

    /// How many messages it was handed.
    pub fn handed(&mut self) -> u64 {
        self.process.ask("count", "handed").parse().expect("a number")
    }

    /// Waits until the members have been handed this many messages together.
    pub fn all_handed(members: &mut [&mut Self], count: u64) {
        wait::until(&format!("the members are handed {count} messages"), || {
            let handed: u64 = members.iter_mut().map(|member| member.handed()).sum();
            if handed >= count { Ok(()) } else { Err(handed.to_string()) }
        });
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.process.signal(Signal::Kill);
        let _ = self.process.ended();
    }

    /// Ends it in good order: what it observed is told.
    pub fn finish(self) {
        self.process.finish();
    }
}
