//! What checking costs a consumer: a checked poll loop against a plain one, on a real Kafka.
//!
//! ```text
//! LACUNA_BENCH_KAFKA=127.0.0.1:19011 cargo bench -p lacuna-kafka --bench consume
//! ```
//!
//! It makes topics of its own and deletes them again. Every run is a process of its own; the two sides
//! alternate, have the same settings and read the same stamped messages. The checked side tells a
//! ring, which another process reads as a sidecar does, so that it never is full. CPU is that of all
//! of the consumer's threads, from the first connection to the last message; the figure is the median
//! of the rounds' ratios.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use lacuna_kafka::{CheckOptions, CheckedConsumer, Options, StampedProducer};
use lacuna_ring::Reader;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer};
use rdkafka::util::Timeout;

const PARTITIONS: i32 = 16;
const ROUNDS: usize = 5;
/// Message sizes in bytes, and how many messages of each.
const SIZES: [(usize, u64); 2] = [(100, 1_000_000), (1_024, 250_000)];
/// Says which side a child process is, as `side;brokers;topic;messages;directory`.
const CHILD_ENV: &str = "LACUNA_BENCH_CONSUME";

fn main() {
    if let Ok(child) = env::var(CHILD_ENV) {
        let part: Vec<&str> = child.split(';').collect();
        let &[side, brokers, topic, messages, dir] = &part[..] else { return };
        return match side {
            "sidecar" => read_rings(Path::new(dir)),
            _ => consume(side, brokers, topic, messages.parse().unwrap(), Path::new(dir)),
        };
    }
    let Ok(brokers) = env::var("LACUNA_BENCH_KAFKA") else {
        println!("skipped: LACUNA_BENCH_KAFKA names no broker");
        return;
    };
    let dir = env::temp_dir().join(format!("lacuna-bench-consume-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let mut sidecar = child("sidecar", "", "", 0, &dir).spawn().unwrap();
    for (size, messages) in SIZES {
        compare(&brokers, size, messages, &dir);
    }
    drop(sidecar.stdin.take());
    sidecar.wait().unwrap();
    fs::remove_dir_all(&dir).unwrap();
}

fn compare(brokers: &str, size: usize, messages: u64, dir: &Path) {
    let topic = format!("lacuna-bench-consume-{size}-{}", std::process::id());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let admin: AdminClient<_> = config(brokers).create().unwrap();
    let new = NewTopic::new(&topic, PARTITIONS, TopicReplication::Fixed(1));
    runtime.block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();
    fill(brokers, &topic, size, messages);
    let (mut ratios, mut plain, mut checked) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let run = |side| run(side, brokers, &topic, messages, dir);
        let (one, other) = (run("plain"), run("checked"));
        // The first round fills the broker's page cache.
        if round > 0 {
            ratios.push(other / one);
            plain.push(one);
            checked.push(other);
        }
    }
    println!(
        "{size:>5} B: checked / plain consumer: CPU {:.2} ({:.0} ns / {:.0} ns a message)",
        median(&mut ratios),
        median(&mut checked),
        median(&mut plain)
    );
    runtime.block_on(admin.delete_topics(&[&topic], &AdminOptions::new())).unwrap();
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

fn fill(brokers: &str, topic: &str, size: usize, messages: u64) {
    let options = Options::default().ledger(None).sidecar(None);
    let producer: StampedProducer = StampedProducer::new(
        config(brokers).set("linger.ms", "20"),
        DefaultProducerContext,
        &options,
    )
    .unwrap();
    // A topic that was only just made is not known at once.
    while !producer.prefetch(topic, Timeout::Never) {
        thread::sleep(Duration::from_millis(50));
    }
    let payload = vec![b'x'; size];
    for number in 0..messages {
        let partition = i32::try_from(number % PARTITIONS.unsigned_abs() as u64).unwrap();
        let mut record =
            BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(&payload[..]);
        while let Err((error, back)) = producer.send(record) {
            let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            assert_eq!(error, full);
            producer.flush(Timeout::Never).unwrap();
            record = BaseRecord { headers: None, ..back };
        }
    }
    producer.flush(Timeout::Never).unwrap();
}

fn child(side: &str, brokers: &str, topic: &str, messages: u64, dir: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    let dir = dir.display();
    command.env(CHILD_ENV, format!("{side};{brokers};{topic};{messages};{dir}"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// One side in a process of its own; its CPU time a message, ns.
fn run(side: &str, brokers: &str, topic: &str, messages: u64, dir: &Path) -> f64 {
    let child: Child = child(side, brokers, topic, messages, dir).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{side}: {}", output.status);
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// Reads what is told until standard input ends.
fn read_rings(dir: &Path) {
    thread::spawn({
        let dir = dir.to_owned();
        move || {
            let mut rings: HashMap<PathBuf, Reader> = HashMap::new();
            loop {
                for path in Reader::list(&dir).unwrap_or_default() {
                    if !rings.contains_key(&path) {
                        rings.extend(Reader::open(&path, None).ok().map(|ring| (path, ring)));
                    }
                }
                for ring in rings.values_mut() {
                    let head = ring.head();
                    while let Ok(Some(_)) = ring.next(head) {}
                    ring.release(ring.position());
                }
                thread::sleep(Duration::from_millis(5));
            }
        }
    });
    stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn consume(side: &str, brokers: &str, topic: &str, messages: u64, dir: &Path) {
    let mut config = config(brokers);
    config.set("group.id", format!("{topic}-{}", std::process::id()));
    config.set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    let cpu = if side == "checked" {
        let options = CheckOptions::default().ring_dir(dir).ring_bytes(16 << 20);
        let consumer: CheckedConsumer =
            CheckedConsumer::new(&config, DefaultConsumerContext, options).unwrap();
        assert!(consumer.is_telling());
        consumer.subscribe(&[topic]).unwrap();
        let cpu = all(messages, || {
            consumer.poll(Duration::from_secs(1)).map(|message| message.unwrap().payload_len())
        });
        // On a busy machine the reader may be held up.
        assert!(consumer.untold() * 100 < messages, "nearly all of it is told");
        cpu
    } else {
        let consumer: BaseConsumer = config.create().unwrap();
        consumer.subscribe(&[topic]).unwrap();
        all(messages, || {
            consumer.poll(Duration::from_secs(1)).map(|message| message.unwrap().payload_len())
        })
    };
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let figure = cpu / messages as f64;
    println!("{figure:.1}");
}

/// Polls so many messages; the process's CPU time until then, ns.
fn all(messages: u64, mut poll: impl FnMut() -> Option<usize>) -> f64 {
    let (mut count, mut bytes) = (0, 0);
    while count < messages {
        if let Some(len) = poll() {
            count += 1;
            bytes += len;
        }
    }
    assert!(bytes > 0);
    process_cpu()
}

/// All threads of this process, as the kernel has accounted for them.
fn process_cpu() -> f64 {
    let on_cpu = |task: PathBuf| {
        let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0)
    };
    fs::read_dir("/proc/self/task").unwrap().map(|task| on_cpu(task.unwrap().path())).sum()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
