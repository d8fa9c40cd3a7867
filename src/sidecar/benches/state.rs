//! What keeping the state costs: `cargo bench -p lacuna --bench state` prints medians of five runs,
//! each in a process of its own, on a directory below the target's.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "it measures and prints"
)]

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use lacuna::state::{Bounds, Restored, Store, Writes, keys};
use lacuna_core::stamp::Encoder;
use lacuna_core::{Checker, Observation, PartitionId, Settings, Watch};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RUNS: usize = 5;
const PARTITIONS: usize = 16;
const LANES: usize = 1_000_000;
/// Blocks between two messages, as in the engine.
const BLOCKS: usize = 256;

fn main() {
    let arguments: Vec<String> =
        env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["whole", dir] => whole(Path::new(dir)),
        ["loop", dir, keeps] => check_loop(Path::new(dir), keeps == "kept"),
        [] => report(),
        _ => panic!("cargo bench -p lacuna --bench state"),
    }
}

fn report() {
    let [fix, slice, encode, write, load, bytes, few, few_bytes] = medians(&["whole"]);
    println!("state of 1,000,000 lanes: {:.1} MB", bytes / 1e6);
    println!(
        "  written in {:.3} s: {fix:.1} ms to fix the instant, {encode:.0} ms to encode in",
        (encode + write) / 1e3
    );
    println!("  slices of at most {slice:.2} ms, {write:.0} ms to commit beside the check loop");
    println!("  loaded in {:.3} s", load / 1e3);
    println!("  1,000 of its lanes moved: {few_bytes:.0} kB in {few:.1} ms");
    let mut ratios = Vec::new();
    for _ in 0..RUNS {
        let [without] = once(&["loop"], "none");
        let [kept] = once(&["loop"], "kept");
        ratios.push(kept / without);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "checking 1,000 lanes, kept every second: {:.3} of the time without",
        ratios[RUNS / 2]
    );
}

fn medians<const N: usize>(arguments: &[&str]) -> [f64; N] {
    let runs: Vec<[f64; N]> = (0..RUNS).map(|_| once(arguments, "")).collect();
    let mut column = 0;
    [(); N].map(|()| {
        let mut values: Vec<f64> = runs.iter().map(|run| run[column]).collect();
        values.sort_by(f64::total_cmp);
        column += 1;
        values[RUNS / 2]
    })
}

fn once<const N: usize>(arguments: &[&str], last: &str) -> [f64; N] {
    let own = env::current_exe().unwrap();
    let dir = own.with_file_name(format!("state-{}", std::process::id()));
    let mut command = Command::new(own);
    command.args(arguments).arg(&dir).args(Some(last).filter(|last| !last.is_empty()));
    let output = command.output().unwrap();
    fs::remove_dir_all(&dir).ok();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = String::from_utf8(output.stdout).unwrap();
    let mut words = line.split_whitespace().map(|word| word.parse().unwrap());
    [(); N].map(|()| words.next().unwrap())
}

struct Topic {
    checker: Checker,
    ids: Vec<PartitionId>,
    next: Vec<u64>,
    at: u64,
}

impl Topic {
    fn new(seed: u64) -> Self {
        let mut checker = Checker::new(Settings { hash_seed: seed, ..Settings::default() });
        let watch = Watch { from_start: true, position: Some(0), at: 1, ..Watch::default() };
        let ids = (0..PARTITIONS).map(|label| {
            let id = checker.partition("log", "orders", &label.to_string()).unwrap();
            checker.watch(id, &watch);
            id
        });
        Self { ids: ids.collect(), next: vec![0; PARTITIONS], at: 1_000_000, checker }
    }

    fn encoder(lane: usize) -> Encoder {
        let label = (lane % PARTITIONS).to_string();
        Encoder::new(&format!("orders-api@web-{lane:07}"), 0x18c_2f0a_4e1b, "orders", &label)
            .unwrap()
    }

    fn read(&mut self, lane: usize, stamp: &[u8]) {
        let partition = lane % PARTITIONS;
        let position = Some(self.next[partition]);
        self.next[partition] += 1;
        let (at, stamp) = (self.at, Some(stamp));
        let message = Observation { position, at, time: Some(at), stamp, redelivered: None };
        self.checker.observe(self.ids[partition], &message);
    }
}

fn put(writes: &mut Writes, key: lacuna_core::state::Key, bytes: Option<&[u8]>) {
    writes.records.insert(keys::checker(0, key), bytes.map(<[u8]>::to_vec));
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Fixes an instant; the time for that, the longest slice, and the time for all slices.
fn encode(checker: &mut Checker) -> (Writes, f64, f64, f64) {
    let mut writes = Writes::default();
    let start = Instant::now();
    checker.save(&mut |key, bytes| put(&mut writes, key, bytes));
    let fix = ms(start);
    let (mut longest, slices) = (0_f64, Instant::now());
    loop {
        let slice = Instant::now();
        let more = checker.save_more(BLOCKS, &mut |key, bytes| put(&mut writes, key, bytes));
        longest = longest.max(ms(slice));
        if !more {
            return (writes, fix, longest, ms(slices) + fix);
        }
    }
}

fn bytes(writes: &Writes) -> f64 {
    let len =
        |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| key.len() + value.as_ref().map_or(0, Vec::len);
    writes.records.iter().map(len).sum::<usize>() as f64
}

fn whole(dir: &Path) {
    let restored = Restored::open(dir, Bounds::default(), 1).unwrap();
    let seed = restored.hash_seed;
    let mut topic = Topic::new(seed);
    for lane in 0..LANES {
        let mut encoder = Topic::encoder(lane);
        for number in 0..3 {
            let stamp = encoder.encode(number).to_vec();
            topic.read(lane, &stamp);
        }
        topic.at += u64::from(lane % 20 == 0);
    }
    let mut store = restored.into_store();
    let (mut writes, fix, slice, encoding) = encode(&mut topic.checker);
    writes.records.insert(keys::engine("hash seed"), Some(seed.to_le_bytes().to_vec()));
    let all = bytes(&writes);
    let start = Instant::now();
    store.commit(&writes, 1).unwrap();
    let write = ms(start);
    for lane in 0..1_000 {
        let stamp = Topic::encoder(lane * 997).encode(3).to_vec();
        topic.read(lane * 997, &stamp);
    }
    let start = Instant::now();
    let (writes, ..) = encode(&mut topic.checker);
    store.commit(&writes, 2).unwrap();
    let few = ms(start);
    drop(store);
    let start = Instant::now();
    let restored = Restored::open(dir, Bounds::default(), 1).unwrap();
    let mut checker =
        Checker::new(Settings { hash_seed: restored.hash_seed, ..Settings::default() });
    restored.load(0, &mut checker).unwrap();
    let load = ms(start);
    assert_eq!(checker.lane_count(), LANES);
    assert_eq!(checker.totals(), topic.checker.totals());
    println!("{fix} {slice} {encoding} {write} {load} {all} {few} {}", bytes(&writes) / 1e3);
}

/// The time of the checking thread for so many messages; kept as the engine does, once a second.
fn check_loop(dir: &Path, keeps: bool) {
    const OWN: usize = 1_000;
    const BATCH: usize = 10_000;
    let (give, given) = mpsc::channel::<Writes>();
    let dir = dir.to_owned();
    let writer = thread::spawn(move || {
        let (mut store, _) = Store::open(&dir, Bounds::default()).unwrap();
        for writes in given {
            store.commit(&writes, 1).unwrap();
        }
    });
    let mut topic = Topic::new(7);
    let mut encoders: HashMap<usize, Encoder> =
        (0..OWN).map(|lane| (lane, Topic::encoder(lane))).collect();
    let (mut spent, mut last) = (Duration::ZERO, Duration::ZERO);
    let mut number = 0;
    let mut writes: Option<Writes> = None;
    // Three seconds of the checker's own time, and so three instants.
    let mut checked = 0_u64;
    while spent < Duration::from_secs(3) {
        let batch: Vec<(usize, Vec<u8>)> = (0..BATCH)
            .map(|at| {
                let lane = at % OWN;
                let encoder = encoders.get_mut(&lane).unwrap();
                (lane, encoder.encode(number + (at / OWN) as u64).to_vec())
            })
            .collect();
        number += (BATCH / OWN) as u64;
        topic.at += 10;
        let start = cpu();
        for (lane, stamp) in &batch {
            topic.read(*lane, stamp);
        }
        if keeps {
            if spent > last + Duration::from_secs(1) && writes.is_none() {
                last = spent;
                let mut own = Writes::default();
                topic.checker.save(&mut |key, bytes| put(&mut own, key, bytes));
                writes = Some(own);
            }
            if let Some(mut own) = writes.take() {
                if topic.checker.save_more(BLOCKS, &mut |key, bytes| put(&mut own, key, bytes)) {
                    writes = Some(own);
                } else {
                    give.send(own).unwrap();
                }
            }
        }
        spent += cpu() - start;
        checked += BATCH as u64;
    }
    drop(give);
    writer.join().unwrap();
    println!("{}", spent.as_secs_f64() * 1e9 / checked as f64);
}

/// Processor time of this thread: other load on the machine does not count.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}
