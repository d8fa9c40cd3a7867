//! What the tap costs: consume and check, against a plain poll loop that touches nothing.
//!
//! ```text
//! LACUNA_BENCH_KAFKA=127.0.0.1:19011 cargo bench -p lacuna --bench tap
//! ```
//!
//! It needs a real Kafka, on which it makes topics of its own and deletes them again. Every run is
//! a process of its own on one core (pin the broker to another one); the two sides alternate, have
//! the same fetch settings and allocator, and read the same messages: stamped, from 3,200 lanes in
//! turn. CPU is that of all threads, from the first connection to the last message. The figure is
//! the median of the rounds' ratios. The checked side is the engine as it ships: watch, grace, cut
//! memory, evidence and log on.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::env;
use std::fs;
use std::process::Command;
use std::time::Duration;

use lacuna::engine::{Engine, EngineSettings};
use lacuna::source::kafka::{self, From, KafkaSettings, Topics};
use lacuna_core::stamp::{Encoder, HEADER};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTITIONS: i32 = 16;
/// Of each partition.
const LANES: usize = 200;
const ROUNDS: usize = 5;
/// Message sizes in bytes, and how many messages of each.
const SIZES: [(usize, u64); 2] = [(100, 2_000_000), (1_024, 500_000)];
/// Says which side a child process is, as `side;brokers;topic;messages`.
const CHILD_ENV: &str = "LACUNA_BENCH_TAP";
/// What both sides set, beyond librdkafka's defaults.
const FETCH: [(&str, &str); 2] =
    [("fetch.queue.backoff.ms", "1"), ("queued.max.messages.kbytes", "8192")];

fn main() {
    if let Ok(child) = env::var(CHILD_ENV) {
        let part: Vec<&str> = child.split(';').collect();
        let &[side, brokers, topic, messages] = &part[..] else { return };
        return read(side, brokers, topic, messages.parse().unwrap());
    }
    let Ok(brokers) = env::var("LACUNA_BENCH_KAFKA") else {
        println!("skipped: LACUNA_BENCH_KAFKA names no broker");
        return;
    };
    let runtime = Runtime::new().unwrap();
    for (size, messages) in SIZES {
        let topic = format!("lacuna-bench-{size}-{}", std::process::id());
        let admin: AdminClient<_> = config(&brokers).create().unwrap();
        let new = NewTopic::new(&topic, PARTITIONS, TopicReplication::Fixed(1));
        runtime.block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();
        fill(&brokers, &topic, size, messages);
        let mut ratios = Vec::new();
        let (mut plain, mut checked) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let poll = run("plain", &brokers, &topic, messages);
            let tap = run("checked", &brokers, &topic, messages);
            // The first round fills the broker's page cache.
            if round > 0 {
                ratios.push(tap / poll);
                plain.push(poll);
                checked.push(tap);
            }
        }
        println!(
            "{size:>5} B: consume + check / plain poll: CPU {:.2} ({:.0} ns / {:.0} ns a message)",
            median(&mut ratios),
            median(&mut checked),
            median(&mut plain)
        );
        runtime.block_on(admin.delete_topics(&[&topic], &AdminOptions::new())).unwrap();
    }
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

fn fill(brokers: &str, topic: &str, size: usize, messages: u64) {
    let producer: ThreadedProducer<DefaultProducerContext> =
        config(brokers).set("linger.ms", "20").set("batch.size", "16384").create().unwrap();
    let mut lanes: Vec<(Encoder, u64)> = (0..PARTITIONS)
        .flat_map(|partition| (0..LANES).map(move |lane| (partition, lane)))
        .map(|(partition, lane)| {
            let name = format!("bench-{lane:03}@host");
            (Encoder::new(&name, 0x19a_b0c0_ffee, topic, &partition.to_string()).unwrap(), 0)
        })
        .collect();
    let payload = vec![b'x'; size];
    for index in 0..messages {
        let partition = i32::try_from(index % PARTITIONS.unsigned_abs() as u64).unwrap();
        let turn = usize::try_from(index).unwrap() / PARTITIONS.unsigned_abs() as usize;
        let lane = partition.unsigned_abs() as usize * LANES + turn % LANES;
        let (encoder, next) = &mut lanes[lane];
        let header = Header { key: HEADER, value: Some(encoder.encode(*next)) };
        let mut record = BaseRecord::<(), [u8]>::to(topic)
            .partition(partition)
            .payload(&payload)
            .headers(OwnedHeaders::new().insert(header));
        *next += 1;
        while let Err((error, back)) = producer.send(record) {
            let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            assert_eq!(error, full);
            record = back;
            std::thread::yield_now();
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

/// One side in a process of its own; its CPU time a message, ns.
fn run(side: &str, brokers: &str, topic: &str, messages: u64) -> f64 {
    let child = Command::new(env::current_exe().unwrap())
        .env(CHILD_ENV, format!("{side};{brokers};{topic};{messages}"))
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    String::from_utf8(child.stdout).unwrap().trim().parse().unwrap()
}

fn read(side: &str, brokers: &str, topic: &str, messages: u64) {
    // Threads that are started later stay on this core too.
    let cores = core_affinity::get_core_ids().unwrap();
    assert!(core_affinity::set_for_current(cores[0]));
    let cpu = match side {
        "plain" => poll(brokers, topic, messages),
        _ => tap(brokers, topic, messages),
    };
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let figure = cpu as f64 / messages as f64;
    println!("{figure:.1}");
}

/// What it took, ns.
fn poll(brokers: &str, topic: &str, messages: u64) -> u64 {
    let mut config = config(brokers);
    config.set("group.id", "lacuna-bench").set("enable.auto.commit", "false");
    for (property, value) in FETCH {
        config.set(property, value);
    }
    let consumer: BaseConsumer = config.create().unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let mut read = 0;
    while read < messages {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            message.unwrap();
            read += 1;
        }
    }
    cpu_ns()
}

/// What it took, ns.
fn tap(brokers: &str, topic: &str, messages: u64) -> u64 {
    let settings = EngineSettings::default();
    let mut source = KafkaSettings::new("bench", brokers, Topics::named(topic));
    source.from = From::Beginning;
    for (property, value) in FETCH {
        source.properties.insert(property.to_owned(), value.to_owned());
    }
    let opened = kafka::open(source, &settings).unwrap();
    let engine = Engine::start(&settings, vec![opened]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        loop {
            let totals = engine.totals().await.unwrap();
            if totals.observed.valid == messages {
                assert_eq!((totals.seen, totals.missing, totals.open_gaps), (messages, 0, 0));
                return cpu_ns();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

/// CPU time of all threads of this process so far, user and system. It is asked for before a client
/// is dropped: a thread that has ended is in no list.
fn cpu_ns() -> u64 {
    let on_cpu = |task: fs::DirEntry| {
        let times = fs::read_to_string(task.path().join("schedstat")).unwrap();
        times.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    fs::read_dir("/proc/self/task").unwrap().map(|task| on_cpu(task.unwrap())).sum()
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
