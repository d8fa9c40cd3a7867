//! A producing application: stamps what it sends, and writes what became of it to a file of its
//! own.
//!
//! ```text
//! lab-producer brokers=B topic=T name=N out=FILE [threads=4] [size=100] [long=N]
//!              [shape=mixed|free|keyed] [stamp=yes|no] [choose=yes|no] [prefetch=yes|no]
//!              [ledger=TOPIC] [sidecar=ADDRESS] [set.PROPERTY=VALUE …]
//! ```
//!
//! With `long` every Nth message has twenty times the size.
//!
//! It is told, a line each: `send COUNT [PER_SECOND]` (in the background), `stop` (sending), `count`
//! (says `answered N`), `taken` (numbers so far; says `taken N`), `reported` (ledger records; says
//! `reported SENT FAILED`), `wait` (for sending to end and the
//! broker to answer; says `idle`), `off` and `on` (the switch; says `switched`), `begin`, `commit`
//! and `abort` (a transaction; says `begun`, `committed`, `aborted`). At the end of its input it
//! ends.
#![expect(clippy::disallowed_methods, reason = "a rate needs the real clock")]

use std::error::Error;
use std::io::{self, BufRead};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lacuna_brokers::arguments::Arguments;
use lacuna_brokers::files::{Line, Writer};
use lacuna_brokers::process::say;
use lacuna_kafka::{Options, StampedThreadedProducer, Switch};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

const TIMEOUT: Duration = Duration::from_secs(120);
/// Well below the grace that tests run with.
const LEDGER_INTERVAL: Duration = Duration::from_millis(200);

/// The application's own context: what the broker answered goes into the file.
#[derive(Clone)]
struct Witness {
    out: Arc<Writer>,
    answered: Arc<AtomicU64>,
}

impl ClientContext for Witness {}

impl ProducerContext for Witness {
    type DeliveryOpaque = ();

    fn delivery(&self, report: &DeliveryResult<'_>, (): ()) {
        let (message, error) = match report {
            // Without an answer there is no offset.
            Ok(message) if message.offset() < 0 => (message, Some("not asked".to_owned())),
            Ok(message) => (message, None),
            Err((error, message)) => (message, Some(error.to_string())),
        };
        let stamp = message.headers().and_then(|headers| {
            let header = headers.iter().find(|header| header.key == "lacuna-stamp")?;
            str::from_utf8(header.value?).ok()
        });
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.out.write(match &error {
            None => Line::Acknowledged {
                stamp,
                partition: u32::try_from(message.partition()).expect("it has a partition"),
                offset: u64::try_from(message.offset()).expect("it has an offset"),
            },
            Some(error) => Line::Failed { stamp, error },
        });
    }
}

enum Client {
    Stamped(StampedThreadedProducer<Witness>),
    Plain(ThreadedProducer<Witness>),
}

type Refusal<'a> = (KafkaError, BaseRecord<'a, str, str>);

impl Client {
    #[expect(clippy::result_large_err, reason = "rdkafka gives a refused record back by value")]
    fn send<'a>(&self, record: BaseRecord<'a, str, str>) -> Result<(), Refusal<'a>> {
        match self {
            Self::Stamped(client) => client.send(record),
            Self::Plain(client) => client.send(record),
        }
    }

    fn flush(&self) -> Result<(), KafkaError> {
        match self {
            Self::Stamped(client) => client.flush(TIMEOUT),
            Self::Plain(client) => client.flush(TIMEOUT),
        }
    }

    fn begin(&self) -> Result<(), KafkaError> {
        match self {
            Self::Stamped(client) => client.begin_transaction(),
            Self::Plain(client) => client.begin_transaction(),
        }
    }

    fn commit(&self) -> Result<(), KafkaError> {
        match self {
            Self::Stamped(client) => client.commit_transaction(TIMEOUT),
            Self::Plain(client) => client.commit_transaction(TIMEOUT),
        }
    }

    fn taken(&self) -> u64 {
        match self {
            Self::Stamped(client) => client.counts().stamped,
            Self::Plain(_) => 0,
        }
    }

    fn reported(&self) -> (u64, u64) {
        match self {
            Self::Stamped(client) => {
                let counts = client.reported();
                (counts.sent, counts.failed)
            }
            Self::Plain(_) => (0, 0),
        }
    }

    fn abort(&self) -> Result<(), KafkaError> {
        match self {
            Self::Stamped(client) => client.abort_transaction(TIMEOUT),
            Self::Plain(client) => client.abort_transaction(TIMEOUT),
        }
    }

    fn init_transactions(&self) -> Result<(), KafkaError> {
        match self {
            Self::Stamped(client) => client.init_transactions(TIMEOUT),
            Self::Plain(client) => client.init_transactions(TIMEOUT),
        }
    }
}

/// What messages are like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// All kinds by turns.
    Mixed,
    /// Neither key nor partition.
    Free,
    /// A key, few of which there are.
    Keyed,
}

/// What is sent, and how fast.
#[derive(Clone)]
struct Load {
    topic: String,
    name: String,
    size: usize,
    long: u64,
    shape: Shape,
    per_second: Option<u64>,
    stopped: Arc<AtomicBool>,
}

impl Load {
    /// Sends messages `numbers` of one thread.
    fn send(&self, client: &Client, thread: u64, numbers: std::ops::Range<u64>) {
        let since = Instant::now();
        for (sent, number) in (0..).zip(numbers) {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            if let Some(rate) = self.per_second {
                let due = Duration::from_micros(sent * 1_000_000 / rate);
                thread::sleep(due.saturating_sub(since.elapsed()));
            }
            let value = format!("{}/{thread}/{number}", self.name);
            let is_long = number.checked_rem(self.long) == Some(0);
            let width = self.size * if is_long { 20 } else { 1 };
            let value = format!("{value:.<width$}");
            let key = format!("key-{}", number % 17);
            let mut record = self.shape(number, &key).payload(&value);
            // A full queue is the application's to wait for, as it is without stamps.
            while let Err((error, back)) = client.send(record) {
                let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
                assert_eq!(error, full, "message {number} of thread {thread} was refused");
                thread::sleep(Duration::from_millis(1));
                record = back;
            }
        }
    }

    /// By turns: a key; a key and a partition; neither; a key and headers, a stale stamp among
    /// them, as an application has that forwards what it was handed.
    fn shape<'a>(&'a self, number: u64, key: &'a str) -> BaseRecord<'a, str, str> {
        let record = BaseRecord::to(&self.topic);
        match self.shape {
            Shape::Free => return record,
            Shape::Keyed => return record.key(key),
            Shape::Mixed => {}
        }
        match number % 4 {
            0 => record.key(key),
            1 => record.key(key).partition(i32::try_from(number / 4 % 3).unwrap_or_default()),
            2 => record,
            _ => {
                let header = |key, value| Header { key, value: Some(value) };
                let headers = OwnedHeaders::new()
                    .insert(header("trace", "first"))
                    .insert(header("lacuna-stamp", "1;elsewhere;1;00000000;0;1"))
                    .insert(header("trace", "second"));
                record.key(key).headers(headers)
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::of_this_process();
    let out = Arc::new(Writer::create(Path::new(arguments.text("out"))));
    let answered = Arc::new(AtomicU64::new(0));
    let witness = Witness { out: Arc::clone(&out), answered: Arc::clone(&answered) };
    let switch = Switch::new(true);
    let client = Arc::new(client(&arguments, &switch, witness)?);
    let threads: u64 = arguments.optional("threads").unwrap_or("4").parse()?;
    let load = Load {
        topic: arguments.text("topic").to_owned(),
        name: arguments.text("name").to_owned(),
        size: arguments.optional("size").unwrap_or("100").parse()?,
        long: arguments.optional("long").unwrap_or("0").parse()?,
        shape: match arguments.optional("shape") {
            Some("free") => Shape::Free,
            Some("keyed") => Shape::Keyed,
            _ => Shape::Mixed,
        },
        per_second: None,
        stopped: Arc::new(AtomicBool::new(false)),
    };

    let mut running: Vec<JoinHandle<()>> = Vec::new();
    let mut sent = 0;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["send", count, ref rate @ ..] => {
                let each = count.parse::<u64>()? / threads;
                let rate = rate.first().map(|rate| rate.parse::<u64>()).transpose()?;
                let per_second = rate.map(|rate| (rate / threads).max(1));
                for thread in 0..threads {
                    let load = Load { per_second, ..load.clone() };
                    let client = Arc::clone(&client);
                    running.push(thread::spawn(move || {
                        load.send(&client, thread, sent..sent + each);
                    }));
                }
                sent += each;
            }
            ["taken"] => say(&format!("taken {}", client.taken())),
            ["reported"] => {
                let (sent, failed) = client.reported();
                say(&format!("reported {sent} {failed}"));
            }
            ["stop"] => load.stopped.store(true, Ordering::Relaxed),
            ["count"] => say(&format!("answered {}", answered.load(Ordering::Relaxed))),
            ["wait"] => {
                for thread in running.drain(..) {
                    thread.join().map_err(|_| "a sending thread panicked")?;
                }
                load.stopped.store(false, Ordering::Relaxed);
                client.flush()?;
                out.flush();
                say("idle");
            }
            ["off"] => {
                switch.set(false);
                say("switched");
            }
            ["on"] => {
                switch.set(true);
                say("switched");
            }
            ["begin"] => {
                client.begin()?;
                say("begun");
            }
            ["commit"] => {
                client.commit()?;
                out.flush();
                say("committed");
            }
            ["abort"] => {
                client.abort()?;
                out.flush();
                say("aborted");
            }
            _ => return Err(format!("not understood: {line}").into()),
        }
    }
    Ok(())
}

fn client(
    arguments: &Arguments,
    switch: &Switch,
    witness: Witness,
) -> Result<Client, Box<dyn Error>> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", arguments.text("brokers"))
        .set("acks", "all")
        .set("reconnect.backoff.max.ms", "500");
    for (property, value) in arguments.beginning("set.") {
        config.set(property, value);
    }
    let client = if arguments.optional("stamp") == Some("no") {
        Client::Plain(config.create_with_context(witness)?)
    } else {
        let options = Options::default()
            .producer(arguments.text("name"))
            .switch(switch.clone())
            .ledger(arguments.optional("ledger"))
            .sidecar(arguments.optional("sidecar"))
            .ledger_interval(LEDGER_INTERVAL)
            .choose_partitions(arguments.optional("choose") != Some("no"));
        let client = StampedThreadedProducer::new(&config, witness, &options)?;
        if arguments.optional("prefetch") == Some("yes") {
            client.prefetch(arguments.text("topic"), TIMEOUT);
        }
        Client::Stamped(client)
    };
    if config.get("transactional.id").is_some() {
        client.init_transactions()?;
    }
    Ok(client)
}
