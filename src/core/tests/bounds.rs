//! What a hostile producer may cost: whatever it sends, what the checker holds stays below its limits,
//! and an honest producer's loss beside it is found all the same.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test tells by panicking, and figures"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use lacuna_core::ledger::LedgerRecord;
use lacuna_core::report::Filter;
use lacuna_core::stamp::{Encoder, MAX_SEQ};
use lacuna_core::totals::Totals;
use lacuna_core::verdict::State;
use lacuna_core::{Checker, Limits, Observation, PartitionId, Settings, Watch};

/// Counts the bytes that each thread holds, so that tests beside each other do not mix.
struct Counting;

thread_local!(static HELD: Cell<isize> = const { Cell::new(0) });

fn note(bytes: isize) {
    // A thread that ends frees after its counter is gone.
    HELD.try_with(|held| held.set(held.get() + bytes)).ok();
}

// SAFETY: the system's allocator does the work; what is counted beside it allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size().cast_signed());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(-layout.size().cast_signed());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes held by the checker that this makes and fills.
fn held(limits: Limits, fill: impl FnOnce(&mut Run)) -> (isize, Run) {
    let before = HELD.get();
    let mut run = Run::new(limits);
    fill(&mut run);
    (HELD.get() - before, run)
}

/// A checker, what it is fed, and an honest producer whose every hundredth number is lost.
struct Run {
    checker: Checker,
    honest: PartitionId,
    hostile: PartitionId,
    encoder: Encoder,
    now: u64,
    next: u64,
    lost: u64,
}

impl Run {
    fn new(limits: Limits) -> Self {
        let mut checker = Checker::new(Settings { limits, ..Settings::default() });
        let [honest, hostile] = ["orders", "flood"].map(|stream| {
            let id = checker.partition("log", stream, "0").unwrap();
            checker.watch(id, &Watch { from_start: true, at: 1_000, ..Watch::default() });
            id
        });
        let encoder = Encoder::new("web", 0, "orders", "0").unwrap();
        Self { checker, honest, hostile, encoder, now: 1_000, next: 0, lost: 0 }
    }

    fn observe(&mut self, id: PartitionId, stamp: &[u8]) {
        let stamp = Some(stamp);
        self.checker.observe(id, &Observation { at: self.now, stamp, ..Observation::default() });
    }

    /// A millisecond, in which the honest producer sends a number and another may be lost.
    fn tick(&mut self) {
        self.now += 1;
        if self.next % 100 == 50 {
            self.lost += 1;
        } else {
            let stamp = self.encoder.encode(self.next).to_vec();
            self.observe(self.honest, &stamp);
        }
        self.next += 1;
        if self.now.is_multiple_of(100) {
            while self.checker.sweep(self.now, 10_000) {}
        }
    }

    /// So many numbers of the honest producer come, each after `hostile` had its say.
    fn beside(&mut self, rounds: usize, mut hostile: impl FnMut(&mut Self, usize)) {
        for round in 0..rounds {
            hostile(self, round);
            self.tick();
        }
    }

    /// Every grace is over.
    fn settle(&mut self) -> Totals {
        self.now += 20_000;
        for id in [self.honest, self.hostile] {
            self.checker.end(id, None, self.now);
        }
        while self.checker.sweep(self.now, 10_000) {}
        self.checker.totals()
    }

    fn of_stream(&mut self, stream: &str) -> Totals {
        let filter = Filter { stream: Some(stream.to_owned()), ..Filter::default() };
        let mut totals = Totals::default();
        for row in self.checker.report(&filter, false) {
            totals += &row.totals;
        }
        totals
    }

    /// The honest producer's losses are found, each with its range, and nothing else of it is.
    fn honest_is_judged(&mut self) {
        self.settle();
        let totals = self.of_stream("orders");
        assert_eq!(totals.lost.undetermined, u128::from(self.lost));
        assert_eq!(totals.seen, self.next - self.lost);
        assert_eq!(totals.unknown, lacuna_core::totals::Unknown::default());
        let filter = Filter { stream: Some("orders".to_owned()), ..Filter::default() };
        let lost = |state| matches!(state, Some(State::Lost(_)));
        let rows = self.checker.gaps(&filter, &lost, None, usize::MAX);
        assert_eq!(rows.len() as u64, self.lost);
    }
}

fn stamp(producer: &str, epoch: u64, seq: u64) -> Vec<u8> {
    Encoder::new(producer, epoch, "flood", "0").unwrap().encode(seq).to_vec()
}

/// Holds that the memory of a run with limits is bounded, and prints it beside one without.
fn compare(what: &str, limits: Limits, most: isize, fill: impl Fn(&mut Run)) -> Run {
    let unlimited = Limits { lanes: 1 << 30, ranges: 1 << 40, ..Limits::default() };
    let unlimited = Limits { partitions: 1 << 30, views: 1 << 15, ..unlimited };
    let (without, _) = held(unlimited, &fill);
    let (with, mut run) = held(limits, &fill);
    println!("{what}: {} KiB without limits, {} KiB with", without / 1_024, with / 1_024);
    assert!(with < most, "{what}: {with} bytes are held, {most} are the most");
    assert!(without > 2 * with, "{what}: without limits it takes {without} bytes, with {with}");
    run.honest_is_judged();
    run
}

const SOME: usize = 100_000;

#[test]
fn a_producer_with_a_name_a_message() {
    let limits = Limits { lanes: 10_000, retired: 10_000, ..Limits::default() };
    let mut run = compare("lanes", limits, 8 << 20, |run| {
        run.beside(SOME, |run, round| {
            let stamp = stamp(&format!("p{round}"), 1, 3);
            run.observe(run.hostile, &stamp);
        });
    });
    assert!(run.checker.reached().lanes > 0);
    assert!(run.checker.lane_count() <= 10_000);
    // Its own losses are unknown or lost, and none is forgotten: 3 of each name.
    let totals = run.of_stream("flood");
    assert_eq!(totals.unknown.evicted + totals.lost.undetermined, 3 * SOME as u128);
}

#[test]
fn a_producer_with_an_epoch_a_message() {
    let limits = Limits { lanes: 10_000, retired: 10_000, ..Limits::default() };
    compare("epochs", limits, 8 << 20, |run| {
        run.beside(SOME, |run, round| {
            let stamp = stamp("p", round as u64, 0);
            run.observe(run.hostile, &stamp);
        });
    });
}

#[test]
fn the_greatest_number_there_is() {
    let (bytes, mut run) = held(Limits::default(), |run| {
        run.beside(1_000, |run, round| {
            let stamp = stamp("p", 1, MAX_SEQ - round as u64);
            run.observe(run.hostile, &stamp);
        });
    });
    assert!(bytes < 1 << 20, "{bytes} bytes");
    run.honest_is_judged();
    assert_eq!(run.of_stream("flood").lost.undetermined, u128::from(MAX_SEQ) + 1 - 1_000);
}

#[test]
fn a_producer_that_skips_every_second_number() {
    let limits = Limits { ranges: 20_000, ..Limits::default() };
    let mut run = compare("ranges", limits, 8 << 20, |run| {
        run.beside(SOME, |run, round| {
            for of_round in 0..10 {
                let stamp = stamp("p", 1, 2 * (10 * round as u64 + of_round) + 1);
                run.observe(run.hostile, &stamp);
            }
        });
    });
    assert!(run.checker.reached().ranges > 0);
    let totals = run.of_stream("flood");
    let judged = totals.lost.undetermined + totals.unknown.evicted;
    assert_eq!(u128::from(totals.seen) + judged, 20 * SOME as u128);
}

#[test]
fn a_ledger_with_a_million_ranges() {
    let limits = Limits { ranges: 20_000, ..Limits::default() };
    let (bytes, mut run) = held(limits, |run| {
        let record = LedgerRecord {
            producer: "p",
            epoch: 1,
            stream: "flood",
            lane: "0",
            next: 2_000_000,
            refused: (0..1_000_000).map(|n| (2 * n, 2 * n)).collect(),
            ..LedgerRecord::default()
        };
        run.checker.ledger(&record, Some(run.now)).unwrap();
        drop(record);
        for lane in 0..10 {
            let refused = (0..5_000).map(|n| (2 * n, 2 * n)).collect();
            let producer = format!("p{lane}");
            let record = LedgerRecord {
                producer: &producer,
                stream: "flood",
                lane: "0",
                next: 20_000,
                refused,
                ..LedgerRecord::default()
            };
            run.checker.ledger(&record, Some(run.now)).unwrap();
        }
        run.beside(1_000, |_, _| ());
    });
    println!("ledger: {} KiB", bytes / 1_024);
    assert!(bytes < 4 << 20, "{bytes} bytes");
    let reached = run.checker.reached();
    assert!(reached.record_ranges == 1 && reached.ranges > 0, "{reached:?}");
    run.honest_is_judged();
}

#[test]
fn a_stream_a_ledger_and_a_group_a_message() {
    let limits = Limits { partitions: 1_000, views: 16, ..Limits::default() };
    let run = compare("names", limits, 8 << 20, |run| {
        run.beside(20_000, |run, round| {
            let (name, now) = (format!("s{round}"), Some(run.now));
            let record =
                LedgerRecord { producer: "p", stream: &name, lane: "0", ..LedgerRecord::default() };
            run.checker.ledger(&record, now).unwrap();
            run.checker.partition(&name, "flood", "0");
        });
    });
    assert!(run.checker.reached().partitions > 0 && run.checker.reached().views > 0);
}

/// A deploy a minute for a year, each with new names and a lane in every partition; one in a
/// thousand loses a number.
#[test]
fn a_year_of_deploys() {
    const PARTITIONS: usize = 3;
    const MINUTE: u64 = 60_000;
    const DAY: usize = 24 * 60;
    let begun = HELD.get();
    let mut checker = Checker::new(Settings::default());
    let labels = ["0", "1", "2"];
    let ids = labels.map(|label| {
        let id = checker.partition("log", "orders", label).unwrap();
        checker.watch(id, &Watch { from_start: true, at: MINUTE, ..Watch::default() });
        id
    });
    let (mut lost, mut sent) = (0_u64, 0_u64);
    let mut most = [0; 2];
    for deploy in 0..365 * DAY {
        let now = MINUTE * (deploy as u64 + 2);
        let name = format!("web@pod-{deploy}");
        for (label, &id) in labels.iter().zip(&ids) {
            let mut encoder = Encoder::new(&name, now, "orders", label).unwrap();
            let gap = deploy % 1_000 == 999 && *label == "1";
            for seq in 0..4 {
                if gap && seq == 2 {
                    lost += 1;
                    continue;
                }
                let stamp = Some(encoder.encode(seq));
                checker.observe(id, &Observation { at: now, stamp, ..Observation::default() });
                sent += 1;
            }
            // Every second one ends in good order.
            let record = LedgerRecord {
                producer: &name,
                epoch: now,
                stream: "orders",
                lane: label,
                next: 4,
                closed: deploy % 2 == 0,
                ..LedgerRecord::default()
            };
            checker.ledger(&record, Some(now)).unwrap();
        }
        if deploy % 60 == 0 {
            while checker.sweep(now, 10_000) {}
        }
        let half = deploy / (365 * DAY / 2);
        // The first weeks fill it up.
        if deploy > 30 * DAY && deploy % DAY == 0 {
            most[half.min(1)] = most[half.min(1)].max(HELD.get() - begun);
        }
    }
    println!(
        "a year of deploys: {} and {} KiB at most in its halves",
        most[0] / 1_024,
        most[1] / 1_024
    );
    let now = MINUTE * (366 * DAY as u64);
    for id in ids {
        checker.end(id, None, now);
    }
    while checker.sweep(now, 10_000) {}
    let totals = checker.totals();
    let expected = Totals { seen: sent, ..Totals::default() };
    assert_eq!(totals.seen, expected.seen);
    assert_eq!((totals.lost.store, totals.lost.undetermined), (u128::from(lost), 0));
    assert_eq!((totals.missing, totals.unknown), (0, expected.unknown));
    assert_eq!((totals.duplicates, totals.reordered), (expected.duplicates, 0));
    assert_eq!(checker.reached().lanes, 0);
    assert!(most[1] < most[0] + most[0] / 4, "it grows: {most:?}");
    assert!(totals.lanes < (8 * DAY * PARTITIONS) as u64, "{} lanes are left", totals.lanes);
}
