//! What stamping costs: a stamped send against a send with a constant header of the same size, with
//! its ledger sent against without, and with its ledger posted to a sidecar that never answers, or
//! is dead, against one that answers.
//!
//! `cargo bench -p lacuna-kafka --bench send`
//!
//! Both sides send the same messages to the same embedded cluster, which lives in a process of its
//! own, with an explicit partition, the same allocator and the same settings; the book is kept from
//! the delivery reports. The rounds alternate; figures are the medians of the rounds' ratios, of
//! CPU time (user and system).
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::result_large_err,
    reason = "a benchmark"
)]

use std::env;
use std::fs;
use std::hint::black_box;
use std::io::{Read, Write, stdin};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::util::Timeout;

use lacuna_core::stamp::{HEADER, Stamp, origin};
use lacuna_kafka::{Options, StampedProducer};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 32;
const ROUNDS: usize = 13;
const MESSAGES: i32 = 300_000;
/// Eight times as often as by default, so that every short run has its share.
const LEDGER_INTERVAL: Duration = Duration::from_millis(250);
/// Marks the process that is only the cluster.
const CLUSTER_ENV: &str = "LACUNA_BENCH_CLUSTER";

fn main() {
    if env::var_os(CLUSTER_ENV).is_some() {
        return serve();
    }
    let (mut cluster, servers, [answers, silent, dead]) = start();
    for size in [100, 1_024] {
        let with = |ledger| stamped(&servers, size, ledger);
        report(size, "stamped / constant header", |round| {
            compare(round, || with(Ledger::Sent), || constant(&servers, size))
        });
        report(size, "ledger sent / not sent", |round| {
            compare(round, || with(Ledger::Sent), || with(Ledger::None))
        });
        for (what, to) in [("never answers", &silent), ("is dead", &dead)] {
            report(size, &format!("sidecar {what} / answers"), |round| {
                compare(round, || with(Ledger::Unheard(to)), || with(Ledger::Posted(&answers)))
            });
        }
    }
    drop(cluster.stdin.take());
    cluster.wait().unwrap();
}

/// The embedded cluster, until standard input ends.
fn serve() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    println!("{}", cluster.bootstrap_servers());
    // Where nobody listens any more.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    println!("{}\n{}\n{dead}", sidecar(true), sidecar(false));
    std::io::stdout().flush().unwrap();
    stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Takes whatever it is asked, and answers or does not.
fn sidecar(answers: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut some = [0; 65_536];
                // A small body comes with its head, and one connection has one request at a time.
                while client.read(&mut some).is_ok_and(|read| read > 0) {
                    if answers {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                        drop(client.write_all(answer));
                    }
                }
            });
        }
    });
    address
}

fn start() -> (Child, String, [String; 3]) {
    let mut child = Command::new(env::current_exe().unwrap())
        .env(CLUSTER_ENV, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
        line.trim().to_owned()
    };
    let servers = line();
    (child, servers, [line(), line(), line()])
}

/// Prints the medians of all rounds but the first, which warms up.
fn report(size: usize, what: &str, round: impl Fn(usize) -> [Cost; 2]) {
    let rounds = (0..ROUNDS).map(round).collect::<Vec<_>>();
    let median = |of: &dyn Fn(&[Cost; 2]) -> f64| {
        let mut all = rounds[1..].iter().map(of).collect::<Vec<_>>();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let process = median(&|[one, other]| one.process / other.process);
    let thread = median(&|[one, other]| one.thread / other.thread);
    let each = |side: usize| median(&|costs| costs[side].process / f64::from(MESSAGES));
    println!(
        "{size:>5} B: {what}: process CPU {process:.3}, sending thread {thread:.3} (process CPU a \
         message: {:.0} ns / {:.0} ns)",
        each(0),
        each(1)
    );
}

/// Both sides; which goes first alternates.
fn compare(round: usize, one: impl Fn() -> Cost, other: impl Fn() -> Cost) -> [Cost; 2] {
    if round.is_multiple_of(2) {
        let one = one();
        [one, other()]
    } else {
        let other = other();
        [one(), other]
    }
}

fn configuration(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("queue.buffering.max.messages", "500000")
        .set("linger.ms", "50");
    config
}

/// Where the ledger goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ledger<'a> {
    None,
    /// To the cluster.
    Sent,
    /// To a sidecar that answers.
    Posted(&'a str),
    /// To one that does not.
    Unheard(&'a str),
}

fn stamped(servers: &str, size: usize, ledger: Ledger<'_>) -> Cost {
    let (topic, sidecar) = match ledger {
        Ledger::None => (None, None),
        Ledger::Sent => (Some("lacuna.ledger"), None),
        Ledger::Posted(to) | Ledger::Unheard(to) => (None, Some(format!("http://{to}"))),
    };
    let options = Options::default()
        .sidecar(sidecar.as_deref())
        .ledger(topic)
        .ledger_interval(LEDGER_INTERVAL);
    let config = configuration(servers);
    let producer: StampedProducer =
        StampedProducer::new(&config, DefaultProducerContext, &options).unwrap();
    assert!(producer.prefetch(TOPIC, Timeout::Never));
    let cost = measure(&producer, &vec![b'x'; size], |record| producer.send(record));
    assert_eq!(producer.counts().stamped, u64::try_from(MESSAGES).unwrap());
    let mut settled = true;
    producer.ledger(|record| settled &= record.pending.is_empty());
    assert!(settled, "the book is kept");
    // The flush was said, too, if nothing was before.
    let said = || match (ledger, producer.reported()) {
        (Ledger::None, _) => true,
        (Ledger::Unheard(_), reported) => reported.failed > 0 && reported.sent == 0,
        (Ledger::Sent | Ledger::Posted(_), reported) => reported.sent > 0,
    };
    while !said() {
        producer.poll(Duration::from_millis(1));
    }
    cost
}

fn constant(servers: &str, size: usize) -> Cost {
    let producer: BaseProducer = configuration(servers).create().unwrap();
    producer.client().fetch_metadata(Some(TOPIC), Timeout::Never).unwrap();
    let value = like_ours();
    measure(&producer, &vec![b'x'; size], |record| {
        let headers = OwnedHeaders::new_with_capacity(1);
        let header = Header { key: black_box(HEADER), value: Some(black_box(&value)) };
        producer.send(record.headers(headers.insert(header)))
    })
}

/// A stamp of this process's, as a constant.
fn like_ours() -> String {
    let producer: StampedProducer = ClientConfig::new().create().unwrap();
    let (name, epoch) = (producer.name().to_owned(), producer.epoch());
    Stamp { producer: &name, epoch, origin: origin(TOPIC), lane: "12", seq: 4_711 }.to_string()
}

/// CPU time in ns.
#[derive(Clone, Copy)]
struct Cost {
    process: f64,
    thread: f64,
}

/// Sends all messages and waits for their delivery; the thread's cost is that of the sends alone.
fn measure<'a, P: Producer<C>, C: rdkafka::producer::ProducerContext<DeliveryOpaque = ()>>(
    producer: &P,
    payload: &'a [u8],
    send: impl Fn(Record<'a>) -> Result<(), (KafkaError, Record<'a>)>,
) -> Cost {
    let (process, thread) = (process_cpu(), thread_cpu());
    for number in 0..MESSAGES {
        let mut record =
            BaseRecord::to(black_box(TOPIC)).payload(payload).partition(number % PARTITIONS);
        while let Err((error, refused)) = send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            producer.flush(Timeout::Never).unwrap();
            record = BaseRecord { headers: None, ..refused };
        }
    }
    let thread = thread_cpu() - thread;
    producer.flush(Timeout::Never).unwrap();
    Cost { process: process_cpu() - process, thread }
}

/// All threads of this process, as the kernel has accounted for them.
fn process_cpu() -> f64 {
    fs::read_dir("/proc/self/task").unwrap().map(|task| on_cpu(&task.unwrap().path())).sum()
}

fn thread_cpu() -> f64 {
    on_cpu(Path::new("/proc/thread-self"))
}

/// The first field of `schedstat`: ns on a CPU. A thread that ended meanwhile has used none.
fn on_cpu(task: &Path) -> f64 {
    let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default()
}

type Record<'a> = BaseRecord<'a, (), [u8]>;
