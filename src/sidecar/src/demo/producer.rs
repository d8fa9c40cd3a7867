//! An application that sends, as anybody's would: its messages are stamped by the interceptor, and
//! it is told of nothing that happens to them afterwards.
#![expect(clippy::result_large_err, reason = "rdkafka gives a refused record back by value")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use lacuna_kafka::{Options, StampedThreadedProducer};
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaResult;
use rdkafka::producer::{BaseRecord, Producer};

use super::client::{Answers, insist};
use super::plan::{Dice, Stream};
use crate::clock;

/// Messages between the pauses that keep the pace.
const STEP: u64 = 50;
/// Longest wait for the last answers.
const FLUSH: Duration = Duration::from_secs(10);
/// How often the ledger is posted: well below the grace of the demonstration.
const LEDGER_INTERVAL: Duration = Duration::from_millis(200);

/// A message's payload, by which it is known on its way what may be done to it, and at the consumer
/// what was.
pub(super) mod mark {
    /// Nothing.
    pub(in crate::demo) const PLAIN: &[u8] = b"plain: an order of the demonstration";
    /// Nothing, and nothing must: something hangs on its lane's going on.
    pub(in crate::demo) const KEPT: &[u8] = b"kept: an order of the demonstration";
    /// The second copy.
    pub(in crate::demo) const COPY: &[u8] = b"copy: an order of the demonstration";
    /// It was overtaken.
    pub(in crate::demo) const OVERTAKEN: &[u8] = b"overtaken: an order of the demonstration";
    /// Not of a lane.
    pub(in crate::demo) const JUNK: &[u8] = b"junk: not an order";
}

/// How much is sent, and where to.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) brokers: String,
    /// Where the ledger is posted to.
    pub(super) sidecar: String,
    pub(super) name: &'static str,
    pub(super) dice: Dice,
    pub(super) messages: u64,
    /// How long that takes, ms.
    pub(super) within_ms: u64,
    /// Partitions of [`Stream::ALL`].
    pub(super) partitions: [i32; 2],
    /// Starts anew at half time.
    pub(super) restarts: bool,
    pub(super) runs: Runs,
    /// All that was sent by anybody.
    pub(super) sent: Arc<AtomicU64>,
}

/// Every run of every producer: name and epoch, and which run of that name it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs(Arc<Mutex<Vec<(&'static str, u64)>>>);

impl Runs {
    fn add(&self, name: &'static str, epoch: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((name, epoch));
    }

    /// The run's name, and its number among those of that name.
    pub(super) fn find(&self, name: &str, epoch: u64) -> Option<(&'static str, u64)> {
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_name = runs.iter().filter(|(own, _)| *own == name);
        (0..).zip(of_name).find(|(_, run)| run.1 == epoch).map(|(number, run)| (run.0, number))
    }
}

/// Sends all of it, and waits for the broker's answers. How often it started anew.
pub(super) fn produce(mut task: Task) -> KafkaResult<u64> {
    let mut run = Run::start(&task)?;
    let mut restarts = 0;
    let began_at = clock::now_ms();
    for index in 0..task.messages {
        let stream = if index % 4 == 3 { Stream::Payments } else { Stream::Orders };
        let count = task.partitions[stream as usize];
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number of partitions, and one below it"
        )]
        let partition = task.dice.roll(count as u64) as i32;
        run.send(stream, partition, mark::PLAIN)?;
        if task.restarts && index == task.messages / 2 {
            run.end(&task)?;
            // A later run of the same producer has a greater epoch.
            run = Run::start(&task)?;
            restarts += 1;
        }
        if index % STEP == 0 {
            let due = began_at + task.within_ms * index / task.messages;
            thread::sleep(Duration::from_millis(due.saturating_sub(clock::now_ms())));
        }
    }
    run.end(&task)?;
    Ok(restarts)
}

/// One run of a producer.
struct Run {
    client: StampedThreadedProducer<Answers>,
    sent: Arc<AtomicU64>,
}

impl Run {
    fn start(task: &Task) -> KafkaResult<Self> {
        let options = Options::default()
            .producer(task.name)
            .ledger(None)
            .sidecar(Some(&task.sidecar))
            .ledger_interval(LEDGER_INTERVAL);
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &task.brokers).set("linger.ms", "5");
        let client = StampedThreadedProducer::new(&config, Answers::default(), &options)?;
        task.runs.add(task.name, client.epoch());
        Ok(Self { client, sent: task.sent.clone() })
    }

    fn send(&self, stream: Stream, partition: i32, payload: &[u8]) -> KafkaResult<()> {
        let record =
            BaseRecord::<(), [u8]>::to(stream.topic()).partition(partition).payload(payload);
        insist(record, |record| self.client.send(record))?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Every lane ends with a message to which nothing is done, for what was overtaken needs one
    /// that comes after it.
    fn end(self, task: &Task) -> KafkaResult<()> {
        for stream in Stream::ALL {
            for partition in 0..task.partitions[stream as usize] {
                self.send(stream, partition, mark::KEPT)?;
            }
        }
        self.client.flush(FLUSH)?;
        self.client.client().context().all_good()
    }
}
