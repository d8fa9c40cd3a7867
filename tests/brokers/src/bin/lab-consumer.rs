//! A consuming application, one member of a group: writes what it was handed to a file of its own,
//! and tells a sidecar in its own way, if `LACUNA_RING_DIR` names one's directory.
//!
//! ```text
//! lab-consumer brokers=B topic=T group=G out=FILE [most=N] [set.PROPERTY=VALUE …]
//! ```
//!
//! It handles all that it is handed, or `most` messages, and commits nothing by itself. It is told, a
//! line each: `count` (says `handed N`, all of them written), `untold` (says `untold N`, as the
//! interceptor counts), `partitions` (says `has N`, how many it has been given), `commit N` (commits N
//! below what it has handled in each partition; below 0: ahead of it; says `committed`). At the end of
//! its input it leaves the group.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::{self, BufRead};
use std::path::Path;
use std::sync::mpsc::{self, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use lacuna_brokers::arguments::Arguments;
use lacuna_brokers::files::{Line, Writer};
use lacuna_brokers::process::say;
use lacuna_kafka::{CheckContext, CheckedConsumer, CheckedContext};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// The application's own context: it hears of rebalances.
#[derive(Clone, Default)]
struct Partitions(Arc<Mutex<BTreeSet<i32>>>);

impl Partitions {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeSet<i32>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Partitions {}

impl CheckedContext for Partitions {
    fn post_rebalance(&self, _: &BaseConsumer<CheckContext<Self>>, rebalance: &Rebalance<'_>) {
        let each = |list: &TopicPartitionList| -> Vec<i32> {
            list.elements().iter().map(|element| element.partition()).collect()
        };
        match rebalance {
            Rebalance::Assign(list) => self.with(|has| has.extend(each(list))),
            Rebalance::Revoke(list) => {
                self.with(|has| has.retain(|partition| !each(list).contains(partition)));
            }
            Rebalance::Error(_) => {}
        }
    }
}

struct Member {
    consumer: CheckedConsumer<Partitions>,
    partitions: Partitions,
    arguments: Arguments,
    out: Writer,
    handed: u64,
    most: u64,
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
        let line = if member.has_most() {
            told.recv().map_err(|_| TryRecvError::Disconnected)
        } else {
            told.try_recv()
        };
        match line {
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
            // To a group that reads committed messages only, one that it was not handed may have
            // been rolled back: without a ledger nobody knows.
            .set("isolation.level", "read_uncommitted")
            .set("session.timeout.ms", "1500")
            .set("heartbeat.interval.ms", "300");
        for (property, value) in arguments.beginning("set.") {
            config.set(property, value);
        }
        let partitions = Partitions::default();
        let consumer: CheckedConsumer<_> = config.create_with_context(partitions.clone())?;
        consumer.subscribe(&[arguments.text("topic")])?;
        let out = Writer::create(Path::new(arguments.text("out")));
        let most = arguments.optional("most").map_or(u64::MAX, |_| arguments.number("most"));
        Ok(Self { consumer, partitions, arguments, out, handed: 0, most, next: BTreeMap::new() })
    }

    /// It takes no more.
    fn has_most(&self) -> bool {
        self.handed >= self.most
    }

    fn carry_out(&self, line: &str) -> Result<(), Box<dyn Error>> {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["count"] => {
                self.out.flush();
                say(&format!("handed {}", self.handed));
            }
            ["untold"] => say(&format!("untold {}", self.consumer.untold())),
            ["partitions"] => say(&format!("has {}", self.partitions.with(|has| has.len()))),
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
            _ => return Err(format!("not understood: {line}").into()),
        }
        Ok(())
    }

    fn handle_one(&mut self) -> Result<(), Box<dyn Error>> {
        let message = match self.consumer.poll(Duration::from_millis(50)) {
            // It comes back.
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
            ))) => None,
            other => other.transpose()?,
        };
        let Some(Handed { stamp, partition, offset }) = message.as_ref().map(Handed::of) else {
            return Ok(());
        };
        drop(message);
        self.out.write(Line::Handed {
            stamp: stamp.as_deref(),
            partition: u32::try_from(partition)?,
            offset: u64::try_from(offset)?,
        });
        self.next.insert(partition, offset + 1);
        self.handed += 1;
        Ok(())
    }

    fn topic(&self) -> &str {
        self.arguments.text("topic")
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
