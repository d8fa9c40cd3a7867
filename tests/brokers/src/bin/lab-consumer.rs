//! A consuming application, one member of a group: writes what it was handed to a file of its own,
//! and reports it to a sidecar as its group's view.
//!
//! ```text
//! lab-consumer brokers=B topic=T group=G out=FILE observe=HOST:PORT [first=yes] [set.PROPERTY=VALUE …]
//! ```
//!
//! It handles all that it is handed and commits nothing by itself. It is told, a line each: `count`
//! (says `handed N`, all of them written and reported), `commit N` (commits N below what it has
//! handled in each partition; below 0: ahead of it; says `committed`), `end` (reports the log's end
//! of what it has read to the end; says `ended`), `totals` (says what its own checker counts). At
//! the end of its input it leaves the group.
#![expect(clippy::disallowed_methods, reason = "it tells when it was handed a message")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead};
use std::path::Path;
use std::sync::mpsc::{self, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lacuna_brokers::arguments::Arguments;
use lacuna_brokers::files::{Line, Writer};
use lacuna_brokers::http;
use lacuna_brokers::process::say;
use lacuna_kafka::{CheckContext, CheckedConsumer, CheckedContext};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, Rebalance};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(30);

/// The application's own context: it hears of rebalances.
#[derive(Clone, Default)]
struct Assignments(Arc<Mutex<Vec<i32>>>);

impl ClientContext for Assignments {}

impl CheckedContext for Assignments {
    fn post_rebalance(&self, _: &BaseConsumer<CheckContext<Self>>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            let mut fresh = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            fresh.extend(partitions.elements().iter().map(|element| element.partition()));
        }
    }
}

struct Member {
    consumer: CheckedConsumer<Assignments>,
    fresh: Assignments,
    arguments: Arguments,
    out: Writer,
    /// Lines of the group's view that the sidecar does not have yet.
    unreported: String,
    handed: u64,
    /// What comes next, by partition.
    next: BTreeMap<i32, i64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            drop(tell.send(line));
        }
    });
    let mut member = Member::join(Arguments::of_this_process())?;
    loop {
        match told.try_recv() {
            Ok(line) => member.carry_out(&line)?,
            Err(TryRecvError::Empty) => member.handle_one()?,
            Err(TryRecvError::Disconnected) => break,
        }
    }
    Ok(())
}

impl Member {
    fn join(arguments: Arguments) -> Result<Self, Box<dyn Error>> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", arguments.text("brokers"))
            .set("group.id", arguments.text("group"))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", "1500")
            .set("heartbeat.interval.ms", "300");
        for (property, value) in arguments.beginning("set.") {
            config.set(property, value);
        }
        let fresh = Assignments::default();
        let consumer: CheckedConsumer<_> = config.create_with_context(fresh.clone())?;
        consumer.subscribe(&[arguments.text("topic")])?;
        let out = Writer::create(Path::new(arguments.text("out")));
        let (unreported, next) = (String::new(), BTreeMap::new());
        Ok(Self { consumer, fresh, arguments, out, unreported, handed: 0, next })
    }

    fn carry_out(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["count"] => {
                self.report()?;
                self.out.flush();
                say(&format!("handed {}", self.handed));
            }
            ["commit", below] => {
                let below: i64 = below.parse()?;
                let mut offsets = TopicPartitionList::new();
                for (&partition, next) in &self.next {
                    let offset = Offset::Offset((next - below).max(0));
                    offsets.add_partition_offset(self.topic(), partition, offset)?;
                }
                self.consumer.commit(&offsets, CommitMode::Sync)?;
                say("committed");
            }
            ["end"] => {
                let mut ends = Vec::new();
                for (&partition, &next) in &self.next {
                    let (_, end) =
                        self.consumer.fetch_watermarks(self.topic(), partition, TIMEOUT)?;
                    if next == end {
                        ends.push((partition, end));
                    }
                }
                for (partition, end) in ends {
                    let line = self.line(partition, json!({ "position": end }));
                    self.add(&json!({ "end": line }));
                }
                self.report()?;
                say("ended");
            }
            ["totals"] => {
                let totals = self.consumer.checker(|checker| checker.totals());
                let totals = totals.ok_or("a fault has ended the checking")?;
                say(&format!(
                    "totals {} {} {}",
                    totals.seen,
                    totals.duplicates.redelivered,
                    totals.lost.consume + totals.lost.undetermined + totals.missing
                ));
            }
            _ => return Err(format!("not understood: {line}").into()),
        }
        Ok(())
    }

    fn handle_one(&mut self) -> Result<(), Box<dyn Error>> {
        let message = self.consumer.poll(Duration::from_millis(50)).transpose()?;
        let handed = message.as_ref().map(Handed::of);
        drop(message);
        let fresh =
            std::mem::take(&mut *self.fresh.0.lock().unwrap_or_else(PoisonError::into_inner));
        for partition in fresh {
            // The first member of all begins at the start; any other goes on where the group is.
            let from = self.arguments.optional("first").map_or("here", |_| "start");
            let committed =
                self.arguments.optional("set.isolation.level") == Some("read_committed");
            let line = json!({ "from": from, "handover": true, "committed": committed });
            let line = self.line(partition, line);
            self.add(&json!({ "watch": line }));
        }
        let Some(Handed { stamp, partition, offset }) = handed else {
            return self.report();
        };
        let position = u64::try_from(offset)?;
        let line = json!({ "stamp": stamp, "position": position });
        let line = self.line(partition, line);
        self.add(&line);
        self.out.write(Line::Handed {
            stamp: stamp.as_deref(),
            partition: u32::try_from(partition)?,
            offset: position,
        });
        self.next.insert(partition, offset + 1);
        self.handed += 1;
        if self.unreported.len() > 64 * 1024 {
            self.report()?;
        }
        Ok(())
    }

    fn topic(&self) -> &str {
        self.arguments.text("topic")
    }

    /// A line's common fields, and these.
    fn line(&self, partition: i32, mut line: Value) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        line["view"] = self.arguments.text("group").into();
        line["stream"] = self.topic().into();
        line["partition"] = partition.to_string().into();
        line["at"] = u64::try_from(now.as_millis()).unwrap_or_default().into();
        line
    }

    fn add(&mut self, line: &Value) {
        self.unreported.push_str(&line.to_string());
        self.unreported.push('\n');
    }

    /// Reports what was handed over since the last report.
    fn report(&mut self) -> Result<(), Box<dyn Error>> {
        if self.unreported.is_empty() {
            return Ok(());
        }
        let address = self.arguments.text("observe").parse()?;
        let lines = std::mem::take(&mut self.unreported);
        match http::exchange(address, "POST", "/v1/observations", &lines)? {
            (200..=299, _) => Ok(()),
            (status, said) => {
                Err(format!("the sidecar refused what it was told: {status} {said}").into())
            }
        }
    }
}

struct Handed {
    stamp: Option<String>,
    partition: i32,
    offset: i64,
}

impl Handed {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let stamp = message.headers().and_then(|headers| {
            let header = headers.iter().find(|header| header.key == "lacuna-stamp")?;
            Some(String::from_utf8_lossy(header.value?).into_owned())
        });
        Self { stamp, partition: message.partition(), offset: message.offset() }
    }
}
