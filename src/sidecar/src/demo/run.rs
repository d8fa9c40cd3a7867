use std::collections::BTreeSet;
use std::future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use lacuna_core::report::Filter;
use lacuna_core::totals::Totals;
use lacuna_core::verdict::State;
use rdkafka::error::KafkaError;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::broker::{Broker, partitions_for};
use super::consumer;
use super::pipe::{self, Held};
use super::plan::{Dice, Stream};
use super::producer::{self, Runs};
use super::table::{self, Result as Outcome};
use super::truth::{LostRange, Truth};
use crate::cli::{DemoArgs, Format};
use crate::clock;
use crate::engine::{Engine, EngineSettings, Stopped, TakeError};
use crate::exit::Exit;
use crate::http::{self, Api, HttpLimits, KafkaBrokers};
use crate::source::kafka::{self, From, KafkaSettings, OpenError, Topics};

/// How long a number may be missing here before it is judged, ms.
const GRACE_MS: u64 = 2_000;
/// Messages where nothing else is asked for.
const MESSAGES: u64 = 60_000;
/// Fewest messages: below, faults would be too few to show anything.
const LEAST: u64 = 1_000;
/// Most messages: what the embedded broker keeps of them must fit into memory.
const MOST: u64 = 2_000_000;
/// How long the producers take for it, ms.
const WITHIN_MS: u64 = 6_000;
pub(super) const PRODUCERS: [&str; 3] = ["demo-web", "demo-mobile", "demo-batch"];
/// As long as the engine finds anything, it may find the rest; after so long without, ms, it is
/// waited for no more.
const PATIENCE_MS: u64 = 12_000;
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(100);
/// After that, nothing more may be found for so long.
const CALM: Duration = Duration::from_millis(GRACE_MS + 500);

/// Why there is no demonstration.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The engine does not take what is told.
    #[error(transparent)]
    Take(#[from] TakeError),
    /// Wrong usage.
    #[error("--messages {0}: {LEAST} to {MOST}")]
    Messages(u64),
    /// The embedded broker, or one of its clients, fails.
    #[error("embedded broker: {0}")]
    Kafka(#[from] KafkaError),
    /// The tap cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A worker of the engine has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The consumer is not handed what was written.
    #[error("the consumer is handed nothing more, and the log goes on")]
    Stuck,
    /// A thread of the demonstration has ended early.
    #[error("a thread of the demonstration has failed")]
    Thread,
    /// The system: threads, sockets, output.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl DemoError {
    /// The exit that it earns.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Messages(_) => Exit::Usage,
            Self::Kafka(_)
            | Self::Open(_)
            | Self::Take(_)
            | Self::Stopped(_)
            | Self::Stuck
            | Self::Thread
            | Self::Io(_) => Exit::Failed,
        }
    }
}

/// Runs it, and writes the closing table, or JSON, to `out`. It ends well only if all that was
/// injected was found, and nothing else.
pub fn run(args: &DemoArgs, out: &mut dyn Write) -> Result<Exit, DemoError> {
    let messages = args.messages.unwrap_or(MESSAGES);
    if !(LEAST..=MOST).contains(&messages) {
        return Err(DemoError::Messages(messages));
    }
    let seed = args.seed.unwrap_or_else(clock::now_ms);
    let runtime = Runtime::new()?;
    let (front, broker) = (Broker::start()?, Broker::start()?);
    let demo = Demo::start(&runtime, [&front, &broker], seed, messages, args.headless)?;
    let outcome = demo.play(&runtime)?;
    let exit = if outcome.is_exact() { Exit::DONE } else { Exit::Judged(1) };
    match args.format {
        Format::Text => table::write_text(out, &outcome)?,
        Format::Json => table::write_json(out, &outcome)?,
    }
    out.flush()?;
    if args.keep {
        demo.say(format_args!("the page stays until it is interrupted"));
        runtime.block_on(tokio::signal::ctrl_c())?;
    }
    runtime.block_on(demo.engine.drain())?;
    Ok(exit)
}

struct Demo {
    engine: Engine,
    /// The sidecar's own address.
    address: SocketAddr,
    /// The broker that the producers know.
    front: String,
    brokers: String,
    seed: u64,
    messages: u64,
    partitions: [i32; 2],
    headless: bool,
}

impl Demo {
    fn start(
        runtime: &Runtime,
        [front, broker]: [&Broker; 2],
        seed: u64,
        messages: u64,
        headless: bool,
    ) -> Result<Self, DemoError> {
        let partitions = [partitions_for(messages, 6), partitions_for(messages / 3, 4)];
        for stream in Stream::ALL {
            for broker in [front, broker] {
                broker.create_topic(stream.topic(), partitions[stream as usize])?;
            }
        }
        let (front, brokers) = (front.address(), broker.address());
        let mut settings = EngineSettings::default();
        settings.checker.default_stream.grace_ms = GRACE_MS;
        let names = Stream::ALL.map(|stream| stream.topic().to_owned());
        let mut topics = Topics::default();
        topics.names = names.to_vec();
        let mut kafka = KafkaSettings::new("demo", &brokers, topics);
        kafka.from = From::Beginning;
        kafka.metadata_interval = Duration::from_secs(1);
        let engine = Engine::start(&settings, vec![kafka::open(kafka, &settings)?])?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let demo = Self { engine, address, front, brokers, seed, messages, partitions, headless };
        demo.serve(runtime, listener, settings.checker.default_stream.clock_skew_ms);
        runtime.block_on(demo.wait(|_| demo.engine.ready()))?;
        Ok(demo)
    }

    /// Puts the page where a browser finds it, and takes the producers' ledgers.
    fn serve(&self, runtime: &Runtime, listener: TcpListener, clock_skew_ms: u64) {
        let brokers = KafkaBrokers { brokers: self.brokers.clone(), stream_prefix: String::new() };
        let limits = HttpLimits::default();
        let api =
            Api::new(self.engine.clone(), GRACE_MS, clock_skew_ms, limits).with_kafka([brokers]);
        runtime.spawn(http::serve(listener, api, future::pending()));
        self.say(format_args!("seed {}, {} messages", self.seed, self.messages));
        self.say(format_args!("the report, live: http://{}/", self.address));
    }

    fn say(&self, what: std::fmt::Arguments<'_>) {
        if !self.headless {
            // Progress is for those who look; where nobody does, it is not missed.
            drop(writeln!(io::stderr(), "{what}"));
        }
    }

    fn play(&self, runtime: &Runtime) -> Result<Outcome, DemoError> {
        let ends = Arc::new(OnceLock::new());
        let consumer = {
            let task = consumer::Task {
                brokers: self.brokers.clone(),
                partitions: self.partitions[Stream::Orders as usize],
                dice: Dice::new(self.seed, PRODUCERS.len() as u64),
                engine: self.engine.clone(),
                runtime: runtime.handle().clone(),
                producers: &PRODUCERS,
                ends: ends.clone(),
            };
            thread::spawn(move || consumer::consume(task))
        };
        let (mut truth, late) = self.produce(runtime)?;
        let of = |partition| truth.written.get(&(Stream::Orders, partition)).copied();
        let orders: Vec<u64> = (0..self.partitions[Stream::Orders as usize])
            .map(|partition| of(partition).unwrap_or(0))
            .collect();
        drop(ends.set(orders.clone()));
        truth.add(consumer.join().map_err(|_| DemoError::Thread)??);

        // What comes late comes after it was judged lost, and not before.
        let lost = (truth.swallowed.len() + late.len()) as u128;
        self.say(format_args!("all is sent but {} that come late", late.len()));
        runtime.block_on(self.wait(|totals| totals.lost.store == lost))?;
        truth.add(pipe::send_late(&self.brokers, late)?);

        let injected = truth.totals();
        runtime.block_on(async {
            let mut patience = Patience::new();
            loop {
                // The group is asked for nothing more, and its view says so.
                self.engine.observations(consumer::ends(&orders)).await?;
                sleep(LOOK).await;
                let found = self.engine.totals().await?;
                if found == injected || patience.ends(found) {
                    break;
                }
            }
            sleep(CALM).await;
            Ok::<_, DemoError>(())
        })?;
        let found = runtime.block_on(self.engine.totals())?;
        let found_ranges = runtime.block_on(self.ranges())?;
        let injected_ranges = truth.ranges();
        let restarts = truth.restarts;
        Ok(Outcome { injected, found, injected_ranges, found_ranges, restarts })
    }

    fn produce(&self, runtime: &Runtime) -> Result<(Truth, Vec<Held>), DemoError> {
        let (sent, done, runs) = (Arc::<AtomicU64>::default(), Arc::default(), Runs::default());
        let way = {
            let task = pipe::Task {
                from: self.front.clone(),
                to: self.brokers.clone(),
                seed: self.seed,
                partitions: self.partitions,
                runs: runs.clone(),
                sent: Arc::clone(&sent),
                done: Arc::<AtomicBool>::clone(&done),
            };
            thread::spawn(move || pipe::carry(&task))
        };
        let share = self.messages / PRODUCERS.len() as u64;
        let threads: Vec<_> = (0_u64..)
            .zip(PRODUCERS)
            .map(|(index, name)| {
                let task = producer::Task {
                    brokers: self.front.clone(),
                    sidecar: format!("http://{}", self.address),
                    name,
                    dice: Dice::new(self.seed, index),
                    messages: share,
                    within_ms: WITHIN_MS,
                    partitions: self.partitions,
                    restarts: index == 1,
                    runs: runs.clone(),
                    sent: Arc::clone(&sent),
                };
                thread::spawn(move || producer::produce(task))
            })
            .collect();
        while !threads.iter().all(thread::JoinHandle::is_finished) {
            runtime.block_on(async { sleep(Duration::from_secs(1)).await });
            let totals = runtime.block_on(self.engine.totals())?;
            self.say(format_args!(
                "sent {}, read {}, lost so far {}, repeated {}",
                sent.load(Ordering::Relaxed),
                totals.observed.valid,
                totals.lost_sum(),
                totals.duplicates_sum()
            ));
        }
        let restarts = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| DemoError::Thread)?.map_err(DemoError::from));
        let restarts = restarts.sum::<Result<u64, _>>();
        done.store(true, Ordering::Release);
        let outcome = way.join().map_err(|_| DemoError::Thread)??;
        let truth = Truth { restarts: restarts?, ..outcome.truth };
        Ok((truth, outcome.late))
    }

    async fn ranges(&self) -> Result<BTreeSet<LostRange>, Stopped> {
        let lost = |state| matches!(state, Some(State::Lost(_) | State::Missing));
        let rows = self.engine.gaps(Filter::default(), Arc::new(lost), None, usize::MAX).await?;
        let range = |row: lacuna_core::report::GapRow| LostRange {
            view: row.view,
            stream: row.stream,
            partition: row.partition,
            producer: row.producer,
            epoch: row.epoch,
            first: row.first,
            last: row.last,
            stage: match row.state {
                Some(State::Lost(stage)) => Some(stage),
                _ => None,
            },
        };
        Ok(rows.into_iter().map(range).collect())
    }

    /// Until this holds, or patience ends: then the table shows what is not equal.
    async fn wait(&self, holds: impl Fn(&Totals) -> bool) -> Result<(), Stopped> {
        let mut patience = Patience::new();
        loop {
            let found = self.engine.totals().await?;
            if holds(&found) || patience.ends(found) {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }
}

/// Waits as long as something changes.
struct Patience {
    last: Totals,
    changed_at: u64,
}

impl Patience {
    fn new() -> Self {
        Self { last: Totals::default(), changed_at: clock::now_ms() }
    }

    /// Whether nothing has changed for too long.
    fn ends(&mut self, found: Totals) -> bool {
        let now = clock::now_ms();
        if found != self.last {
            (self.last, self.changed_at) = (found, now);
        }
        now > self.changed_at + PATIENCE_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_injected_is_what_is_found() {
        let args = DemoArgs {
            seed: Some(7),
            messages: Some(6_000),
            format: Format::Json,
            headless: true,
            keep: false,
        };
        let mut out = Vec::new();
        let exit = run(&args, &mut out).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["injected"], json["found"]);
        assert_eq!((exit, &json["exact"]), (Exit::DONE, &true.into()));
        // Were nothing injected, the two would be equal too.
        for (kind, of) in [
            ("lost", "store"),
            ("lost", "consume"),
            ("duplicates", "resent"),
            ("duplicates", "redelivered"),
            ("observed", "foreign"),
        ] {
            assert_ne!(json["injected"][kind][of], 0, "{kind} {of}");
        }
        assert_ne!(json["injected"]["reordered"], 0);
        assert_ne!(json["injected"]["recovered"], 0);
    }

    #[test]
    fn one_number_less_or_another_range_is_not_exact() {
        let range = |first| LostRange {
            view: "log".to_owned(),
            stream: "s".to_owned(),
            partition: "0".to_owned(),
            producer: "p".to_owned(),
            epoch: 1,
            first,
            last: 9,
            stage: None,
        };
        let outcome = |seen, first| Outcome {
            injected: Totals { seen: 10, ..Totals::default() },
            found: Totals { seen, ..Totals::default() },
            injected_ranges: BTreeSet::from([range(5)]),
            found_ranges: BTreeSet::from([range(first)]),
            restarts: 0,
        };
        assert!(outcome(10, 5).is_exact());
        assert!(!outcome(9, 5).is_exact());
        assert!(!outcome(10, 6).is_exact());
    }
}
