//! What stamping costs: a stamped send against a send with a constant header of the same size.
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
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::util::Timeout;

use lacuna_core::stamp::{HEADER, Stamp, origin};
use lacuna_kafka::StampedProducer;

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 32;
const ROUNDS: usize = 9;
const MESSAGES: i32 = 300_000;
/// Marks the process that is only the cluster.
const CLUSTER_ENV: &str = "LACUNA_BENCH_CLUSTER";

fn main() {
    if env::var_os(CLUSTER_ENV).is_some() {
        return serve();
    }
    let (mut cluster, servers) = start();
    for size in [100, 1_024] {
        let mut ratios =
            (0..ROUNDS).map(|round| compare(&servers, size, round)).collect::<Vec<_>>();
        // The first round warms up.
        let kept = &mut ratios[1..];
        let (process, thread) = (median(kept, |r| r.process), median(kept, |r| r.thread));
        let (stamped, constant) = (median(kept, |r| r.stamped), median(kept, |r| r.constant));
        println!(
            "{size:>5} B: stamped / constant header: process CPU {process:.3}, sending thread \
             {thread:.3} (process CPU a message: {stamped:.0} ns / {constant:.0} ns)"
        );
    }
    drop(cluster.stdin.take());
    cluster.wait().unwrap();
}

/// The embedded cluster, until standard input ends.
fn serve() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    println!("{}", cluster.bootstrap_servers());
    std::io::stdout().flush().unwrap();
    stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn start() -> (Child, String) {
    let mut child = Command::new(env::current_exe().unwrap())
        .env(CLUSTER_ENV, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut servers = String::new();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut servers).unwrap();
    (child, servers.trim().to_owned())
}

#[derive(Clone, Copy)]
struct Ratios {
    process: f64,
    thread: f64,
    stamped: f64,
    constant: f64,
}

fn compare(servers: &str, size: usize, round: usize) -> Ratios {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("queue.buffering.max.messages", "500000")
        .set("linger.ms", "50");
    let payload = vec![b'x'; size];
    let stamped = || {
        let producer: StampedProducer = config.create().unwrap();
        assert!(producer.prefetch(TOPIC, Timeout::Never));
        let cost = measure(&producer, &payload, |record| producer.send(record));
        assert_eq!(producer.counts().stamped, u64::try_from(MESSAGES).unwrap());
        let mut settled = true;
        producer.ledger(|record| settled &= record.pending.is_empty());
        assert!(settled, "the book is kept");
        cost
    };
    let constant = || {
        let producer: BaseProducer = config.create().unwrap();
        producer.client().fetch_metadata(Some(TOPIC), Timeout::Never).unwrap();
        let value = like_ours();
        measure(&producer, &payload, |record| {
            let headers = OwnedHeaders::new_with_capacity(1);
            let header = Header { key: black_box(HEADER), value: Some(black_box(&value)) };
            producer.send(record.headers(headers.insert(header)))
        })
    };
    // Which side goes first alternates, too.
    let (stamped, constant) = if round.is_multiple_of(2) {
        let stamped = stamped();
        (stamped, constant())
    } else {
        let constant = constant();
        (stamped(), constant)
    };
    let each = |ticks: f64| ticks / f64::from(MESSAGES);
    Ratios {
        process: stamped.process / constant.process,
        thread: stamped.thread / constant.thread,
        stamped: each(stamped.process),
        constant: each(constant.process),
    }
}

/// A value as long as our stamps are on average here.
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

fn median(ratios: &mut [Ratios], of: impl Fn(&Ratios) -> f64) -> f64 {
    ratios.sort_by(|a, b| of(a).total_cmp(&of(b)));
    of(&ratios[ratios.len() / 2])
}

type Record<'a> = BaseRecord<'a, (), [u8]>;
