//! What checking costs: time a message, memory a lane, memory and time a hole.
//!
//! `cargo bench -p lacuna-core --bench scale` prints medians of five runs, every run in a process of
//! its own, so that resident memory is that of the measured thing alone. All of it runs the
//! shipped checker with its default settings.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "it measures and prints"
)]

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use lacuna_core::stamp::Encoder;
use lacuna_core::{Checker, Observation, PartitionId, Settings, Watch};

const RUNS: usize = 5;
const MILLION: usize = 1_000_000;
/// As many partitions as share the lanes.
const PARTITIONS: usize = 16;

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["time", lanes, run] => time(lanes.parse().unwrap(), run.parse().unwrap()),
        ["memory"] => memory(),
        ["holes"] => holes(),
        [] => report(),
        _ => panic!("cargo bench -p lacuna-core --bench scale"),
    }
}

fn report() {
    let [single] = medians(&["time", "1000", "1"]);
    println!("check from memory, 1,000 lanes in turn: {single:.1} ns a message");
    let [few] = medians(&["time", "1000", "50"]);
    let [many] = medians(&["time", "1000000", "50"]);
    println!(
        "runs of 50 a lane: 1,000 lanes {few:.1} ns, 1,000,000 lanes {many:.1} ns a message, \
         ratio {:.2}",
        many / few
    );
    let [lane] = medians(&["memory"]);
    println!("resident memory, 1,000,000 lanes moved by 100 messages each: {lane:.0} B a lane");
    let [hole, open, fill] = medians(&["holes"]);
    println!(
        "1,000,000 holes in one lane: {hole:.1} B a hole, {open:.0} ns to open, {fill:.0} ns to fill \
         in random order"
    );
}

fn medians<const N: usize>(arguments: &[&str]) -> [f64; N] {
    let mut columns = [(); N].map(|()| Vec::new());
    for _ in 0..RUNS {
        let own = std::env::current_exe().unwrap();
        let output = Command::new(own).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let line = String::from_utf8(output.stdout).unwrap();
        for (column, word) in columns.iter_mut().zip(line.split_whitespace()) {
            column.push(word.parse::<f64>().unwrap());
        }
    }
    columns.map(|mut column| {
        column.sort_by(f64::total_cmp);
        column[RUNS / 2]
    })
}

struct Topic {
    checker: Checker,
    partitions: Vec<(PartitionId, String, u64)>,
    at: u64,
}

impl Topic {
    fn new(partitions: usize) -> Self {
        let mut checker = Checker::new(Settings::default());
        let partitions = (0..partitions)
            .map(|label| {
                let label = label.to_string();
                let id = checker.partition("log", "orders", &label).unwrap();
                let watch =
                    Watch { from_start: true, position: Some(0), at: 1, ..Watch::default() };
                checker.watch(id, &watch);
                (id, label, 0)
            })
            .collect();
        Self { checker, partitions, at: 1_000_000 }
    }

    fn encoder(&self, lane: usize) -> Encoder {
        let label = &self.partitions[lane % self.partitions.len()].1;
        Encoder::new(&format!("orders-api@web-{lane:07}"), 0x18c_2f0a_4e1b, "orders", label)
            .unwrap()
    }

    fn read(&mut self, lane: usize, stamp: &[u8]) {
        let partition = lane % self.partitions.len();
        let (id, _, position) = &mut self.partitions[partition];
        let message = Observation {
            position: Some(*position),
            at: self.at,
            time: Some(self.at),
            stamp: Some(stamp),
            redelivered: None,
        };
        *position += 1;
        black_box(self.checker.observe(*id, &message));
    }
}

/// Stamps are made batch by batch beside the clock, and checked against it.
fn time(lanes: usize, run: usize) {
    let mut topic = Topic::new(PARTITIONS.min(lanes));
    let rounds = if lanes == MILLION { 3 } else { 4_000_000 / lanes / run + 1 };
    let mut spent = Duration::ZERO;
    let mut messages = 0_u64;
    let mut batch: Vec<(usize, Vec<u8>)> = Vec::new();
    for round in 0..rounds {
        for lane in 0..lanes {
            let mut encoder = topic.encoder(lane);
            for number in 0..run {
                batch.push((lane, encoder.encode((round * run + number) as u64).to_vec()));
            }
            if batch.len() >= 1_000 || lane + 1 == lanes {
                topic.at += 1;
                let start = cpu();
                for (lane, stamp) in &batch {
                    topic.read(*lane, stamp);
                }
                // The first round makes the lanes.
                if round > 0 {
                    spent += cpu() - start;
                    messages += batch.len() as u64;
                }
                batch.clear();
            }
        }
    }
    assert_eq!(topic.checker.totals().lost_sum() + topic.checker.totals().missing, 0);
    println!("{}", spent.as_secs_f64() * 1e9 / messages as f64);
}

fn memory() {
    let mut topic = Topic::new(PARTITIONS);
    let before = resident();
    for round in 0..2 {
        for lane in 0..MILLION {
            let mut encoder = topic.encoder(lane);
            for number in 0..50 {
                let stamp = encoder.encode(round * 50 + number).to_vec();
                topic.read(lane, &stamp);
            }
            topic.at += u64::from(lane % 20 == 0);
        }
    }
    println!("{}", (resident() - before) as f64 / MILLION as f64);
    assert_eq!(topic.checker.lane_count(), MILLION);
}

/// The first holes fill what is bounded (the newest findings, the newest positions); the million
/// after them are what is measured.
fn holes() {
    const FIRST: u64 = 200_000;
    let mut topic = Topic::new(1);
    let mut encoder = topic.encoder(0);
    let (mut before, mut start) = (0, cpu());
    for hole in 0..=MILLION as u64 + FIRST {
        if hole == FIRST {
            (before, start) = (resident(), cpu());
        }
        let stamp = encoder.encode(2 * hole).to_vec();
        topic.read(0, &stamp);
        topic.at += u64::from(hole % 1_000 == 0);
    }
    let open = cpu() - start;
    let bytes = resident() - before;
    let start = cpu();
    // Prime to a million: every hole once, far from the one before.
    for hole in (0..MILLION as u64).map(|hole| hole * 611_953 % MILLION as u64) {
        let stamp = encoder.encode(2 * hole + 1).to_vec();
        topic.read(0, &stamp);
    }
    let fill = cpu() - start;
    assert_eq!(topic.checker.totals().missing, u128::from(FIRST));
    let each = |time: Duration| time.as_secs_f64() * 1e9 / MILLION as f64;
    println!("{} {} {}", bytes as f64 / MILLION as f64, each(open), each(fill));
}

/// Processor time of this thread: other load on the machine does not count.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}
