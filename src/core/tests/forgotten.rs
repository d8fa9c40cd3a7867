//! Evidence that is forgotten for want of room, by a flood or an ordinary outage: it never makes a loss
//! of what has a cause, and one producer's flood forgets its own.
#![expect(clippy::unwrap_used, reason = "a test tells by panicking")]

use lacuna_core::report::Filter;
use lacuna_core::stamp::Encoder;
use lacuna_core::totals::Totals;
use lacuna_core::verdict::Cause;
use lacuna_core::{Checker, Limits, Observation, PartitionId, Settings, Watch};

const EVIDENCE: usize = 64;
const ROWS: usize = 50;

struct Run {
    checker: Checker,
    id: PartitionId,
    now: u64,
    position: u64,
}

impl Run {
    fn new() -> Self {
        let limits = Limits { evidence: EVIDENCE, duplicates: ROWS, ..Limits::default() };
        let mut checker = Checker::new(Settings { limits, ..Settings::default() });
        let id = checker.partition("log", "orders", "0").unwrap();
        let watch = Watch { from_start: true, position: Some(0), at: 1_000, ..Watch::default() };
        checker.watch(id, &watch);
        Self { checker, id, now: 1_000, position: 0 }
    }

    /// A message, `skipped` positions behind the one before; gives its position.
    fn see(&mut self, producer: &str, seq: u64, skipped: u64) -> u64 {
        let mut encoder = Encoder::new(producer, 1, "orders", "0").unwrap();
        let position = self.position + skipped;
        let stamp = Some(encoder.encode(seq));
        let (at, position_of) = (self.now, Some(position));
        let message = Observation { position: position_of, at, stamp, ..Observation::default() };
        self.checker.observe(self.id, &message);
        self.position = position + 1;
        position
    }

    fn compacted(&mut self, position: u64) {
        self.checker.absent(self.id, position, position, Cause::Compacted, self.now);
    }

    /// Every grace is over.
    fn settle(&mut self) -> Totals {
        self.now += 60_000;
        self.checker.end(self.id, Some(self.position), self.now);
        self.checker.totals()
    }

    /// What an honest producer has, whose number 1 was compacted away, where that is told only after
    /// somebody else's flood.
    fn honest_beside(&mut self, flood: impl Fn(&mut Self)) -> Totals {
        self.see("honest", 0, 0);
        let compacted = self.see("honest", 2, 1) - 1;
        flood(self);
        self.compacted(compacted);
        self.settle();
        let (stream, producer) = (Some("orders".into()), Some("honest".into()));
        let rows = self.checker.report(&Filter { stream, producer, ..Filter::default() }, true);
        rows[0].partitions[0].lanes[0].totals
    }
}

/// Every second number of one lane.
fn with_gaps(run: &mut Run) {
    for seq in 0..10 * EVIDENCE as u64 {
        run.see("flood", 2 * seq, 0);
    }
}

/// A gap in each of many lanes: so many that none has an equal share to itself.
fn with_lanes(run: &mut Run) {
    for lane in 0..10 * EVIDENCE {
        let producer = format!("flood-{lane}");
        run.see(&producer, 0, 0);
        run.see(&producer, 2, 0);
    }
}

#[test]
fn a_flood_of_gaps_forgets_its_own() {
    let honest = Run::new().honest_beside(with_gaps);
    assert_eq!((honest.by_design.compacted, honest.lost_sum(), honest.unknown.evicted), (1, 0, 0));
}

#[test]
fn a_flood_of_lanes_makes_no_loss_of_what_was_compacted() {
    let honest = Run::new().honest_beside(with_lanes);
    assert_eq!((honest.by_design.compacted, honest.lost_sum(), honest.unknown.evicted), (0, 0, 1));
}

#[test]
fn a_flood_elsewhere_forgets_its_own() {
    let honest = Run::new().honest_beside(|run| {
        let here = run.id;
        run.id = run.checker.partition("log", "flood", "0").unwrap();
        run.checker.watch(run.id, &Watch { from_start: true, at: 1_000, ..Watch::default() });
        for lane in 0..10 * EVIDENCE {
            for seq in [0, 2] {
                let mut encoder = Encoder::new(&lane.to_string(), 1, "flood", "0").unwrap();
                let (at, stamp) = (run.now, Some(encoder.encode(seq)));
                run.checker.observe(run.id, &Observation { at, stamp, ..Observation::default() });
            }
        }
        run.id = here;
    });
    assert_eq!((honest.by_design.compacted, honest.lost_sum(), honest.unknown.evicted), (1, 0, 0));
}

/// A compacted topic whose gaps are named late: those of which the neighbours are known are explained,
/// all others cannot be judged.
#[test]
fn more_gaps_than_are_remembered_are_explained_or_unknown() {
    let mut run = Run::new();
    let gaps = 10 * EVIDENCE as u64;
    run.see("p", 0, 0);
    let named: Vec<u64> = (1..=gaps).map(|gap| run.see("p", 2 * gap, 1) - 1).collect();
    named.into_iter().for_each(|position| run.compacted(position));
    let totals = run.settle();
    assert_eq!(totals.lost_sum(), 0);
    assert_eq!(totals.by_design.compacted + totals.unknown.evicted, u128::from(gaps));
    assert!(totals.by_design.compacted * 10 > 8 * EVIDENCE as u128);
}

/// Without a name there is nothing to know: the ranges stay exact, and lost.
#[test]
fn losses_without_a_name_are_losses_however_many() {
    let mut run = Run::new();
    with_gaps(&mut run);
    let totals = run.settle();
    assert_eq!(totals.lost.undetermined, 10 * EVIDENCE as u128 - 1);
    assert_eq!(totals.unknown.evicted, 0);
}

/// What people have to look at is bounded, and that something is missing there is counted.
#[test]
fn what_is_forgotten_is_counted() {
    let mut run = Run::new();
    with_gaps(&mut run);
    let repeats = 2 * ROWS as u64 + 7;
    for seq in 0..repeats {
        run.see("flood", 2 * seq, 0);
    }
    run.settle();
    let all = Filter::default();
    let gaps = run.checker.gaps(&all, &|_| true, None, usize::MAX);
    let bare = gaps.iter().filter(|row| row.before.is_none() && row.after.is_none()).count();
    assert!(bare > 0 && bare < gaps.len());
    let rows = run.checker.duplicates(&all, None, usize::MAX).len();
    let counted = repeats - rows as u64;
    let reached = run.checker.reached();
    assert_eq!((reached.evidence, reached.duplicates, rows), (bare as u64, counted, ROWS));
}
