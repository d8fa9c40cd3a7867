//! Checks stamps from memory: `check_loop LANES MESSAGES RUN HOLE` reads MESSAGES stamps of LANES
//! lanes, RUN of one lane after another, and prints the nanoseconds a message took. Before each of
//! them HOLE (0) positions and numbers are missing and named as compacted.
//!
//! `valgrind --tool=callgrind --toggle-collect='*check_batch*'` counts the instructions.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "it measures and prints")]

use std::time::Instant;

use lacuna_core::stamp::Encoder;
use lacuna_core::verdict::Cause;
use lacuna_core::{Checker, Observation, PartitionId, Settings, Watch};

/// As a tap hands them over: a position each, one time for all of a batch.
const BATCH: usize = 1_000;

#[inline(never)]
fn check_batch(checker: &mut Checker, id: PartitionId, at: u64, first: u64, stamps: &[Vec<u8>]) {
    for (position, stamp) in (first..).zip(stamps) {
        let message = Observation {
            position: Some(position),
            at,
            time: Some(at),
            stamp: Some(stamp),
            redelivered: None,
        };
        std::hint::black_box(checker.observe(id, &message));
    }
}

/// The same, and so many positions before each message are holes.
#[inline(never)]
fn check_batch_with_holes(
    checker: &mut Checker,
    id: PartitionId,
    at: u64,
    first: u64,
    stamps: &[Vec<u8>],
    hole: u64,
) {
    let mut next = first;
    for stamp in stamps {
        checker.absent(id, next, next + hole - 1, Cause::Compacted, at);
        check_batch(checker, id, at, next + hole, std::slice::from_ref(stamp));
        next += hole + 1;
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|word| word.parse::<usize>().ok());
    let lanes = arguments.next().unwrap_or(1_000);
    let messages = arguments.next().unwrap_or(4_000_000);
    let run = arguments.next().unwrap_or(1);
    let hole = arguments.next().unwrap_or(0) as u64;

    let mut checker = Checker::new(Settings::default());
    let Some(id) = checker.partition("log", "orders", "3") else { return };
    checker.watch(id, &Watch { from_start: true, position: Some(0), at: 1, ..Watch::default() });
    let mut encoders: Vec<(Encoder, u64)> = (0..lanes)
        .filter_map(|lane| Encoder::new(&format!("orders-api@web-{lane:06}"), 7, "orders", "3"))
        .map(|encoder| (encoder, 0))
        .collect();

    let mut batch = Vec::with_capacity(BATCH);
    let mut spent = std::time::Duration::ZERO;
    let mut first = 0_u64;
    let mut at = 1_000_000;
    for message in 0..messages {
        let (encoder, next) = &mut encoders[message / run % lanes];
        batch.push(encoder.encode(*next + hole).to_vec());
        *next += hole + 1;
        if batch.len() == BATCH || message + 1 == messages {
            at += 1;
            let start = Instant::now();
            if hole == 0 {
                check_batch(&mut checker, id, at, first, &batch);
            } else {
                check_batch_with_holes(&mut checker, id, at, first, &batch, hole);
            }
            spent += start.elapsed();
            first += batch.len() as u64 * (hole + 1);
            batch.clear();
        }
    }
    let totals = checker.totals();
    assert_eq!(totals.seen, messages as u64, "all of it was in order");
    assert_eq!(totals.by_design.compacted, u128::from(messages as u64 * hole));
    println!("{:.2} ns a message", spent.as_secs_f64() * 1e9 / messages as f64);
}
