//! Literal examples of contracts §4, one rule each.

#![expect(clippy::unwrap_used, reason = "a test's scene")]

use lacuna_core::ledger::LedgerRecord;
use lacuna_core::report::Filter;
use lacuna_core::stamp::Encoder;
use lacuna_core::totals::Totals;
use lacuna_core::verdict::{Cause, Repeat, Stage, State, Verdict};
use lacuna_core::{Checker, Observation, PartitionId, Settings, Watch};

/// One partition of stream `orders`, grace 10 s; times are in seconds.
struct Scene {
    checker: Checker,
    log: PartitionId,
    position: u64,
}

impl Scene {
    fn new(from_start: bool) -> Self {
        let mut checker = Checker::new(Settings::default());
        let log = checker.partition("log", "orders", "3").unwrap();
        let position = if from_start { 0 } else { 1_000 };
        let watch = Watch { from_start, position: Some(position), at: 100_000, ..Watch::default() };
        checker.watch(log, &watch);
        Self { checker, log, position }
    }

    fn read(&mut self, at: u64, seq: u64) -> Verdict {
        self.position += 1;
        self.read_at(at, self.position - 1, seq)
    }

    fn read_at(&mut self, at: u64, position: u64, seq: u64) -> Verdict {
        self.view_reads(self.log, at, position, seq)
    }

    fn view_reads(&mut self, view: PartitionId, at: u64, position: u64, seq: u64) -> Verdict {
        let mut encoder = Encoder::new("p", 7, "orders", "3").unwrap();
        let stamp = Some(encoder.encode(seq));
        let message = Observation {
            position: Some(position),
            at: at * 1_000,
            stamp,
            ..Observation::default()
        };
        self.checker.observe(view, &message)
    }

    fn ledger(&mut self, rev: u64, next: u64, pending: &[(u64, u64)], refused: &[(u64, u64)]) {
        let record = LedgerRecord {
            rev,
            producer: "p",
            epoch: 7,
            stream: "orders",
            lane: "3",
            next,
            pending: pending.to_vec(),
            refused: refused.to_vec(),
            ..LedgerRecord::default()
        };
        self.checker.ledger(&record, None).unwrap();
    }

    fn totals(&mut self) -> Totals {
        self.checker.totals()
    }

    fn states(&mut self) -> Vec<(u64, u64, State)> {
        let mut rows: Vec<_> = self
            .checker
            .gaps(&Filter::default(), &|state| state.is_some(), None, 100)
            .into_iter()
            .map(|row| (row.first, row.last, row.state.unwrap()))
            .collect();
        rows.sort_unstable();
        rows
    }
}

#[test]
fn a_gap_is_lost_after_time_and_progress() {
    let mut scene = Scene::new(true);
    assert_eq!(scene.read(101, 0), Verdict::New);
    assert_eq!(scene.read(102, 5), Verdict::New);
    assert_eq!(scene.read(112, 6), Verdict::New);
    assert_eq!(scene.states(), [(1, 4, State::Missing)], "the grace is over only above it");
    scene.read(113, 7);
    assert_eq!(scene.states(), [(1, 4, State::Lost(Stage::Undetermined))]);
    assert_eq!(scene.read(114, 2), Verdict::Recovered);
    let lost = State::Lost(Stage::Undetermined);
    assert_eq!(scene.states(), [(1, 1, lost), (3, 4, lost)]);
    assert_eq!(scene.totals().open_gaps, 2);
    assert_eq!(scene.totals().exit_code(), 1);
}

#[test]
fn time_alone_loses_nothing() {
    let mut scene = Scene::new(true);
    scene.read(101, 0);
    scene.read(102, 2);
    assert_eq!(scene.totals().missing, 1);
    assert_eq!(scene.read(103, 1), Verdict::Reordered);
    assert_eq!(scene.totals().exit_code(), 0);
}

#[test]
fn before_the_checker_joined_is_unknown() {
    let mut scene = Scene::new(false);
    scene.read(101, 40);
    scene.read(103, 42);
    scene.read(130, 43);
    scene.read(131, 45);
    scene.read(150, 46);
    let totals = scene.totals();
    assert_eq!((totals.unknown.joined, totals.lost.undetermined), (41, 1));
    assert_eq!(scene.read(151, 41), Verdict::Seen);
    assert_eq!(scene.read(151, 39), Verdict::Seen);
    assert_eq!(scene.totals().unknown.joined, 39);
}

#[test]
fn repeats_have_a_kind() {
    let mut scene = Scene::new(true);
    scene.read_at(101, 0, 0);
    scene.read_at(101, 1, 1);
    assert_eq!(scene.read_at(101, 2, 1), Verdict::Repeated(Repeat::Resent));
    assert_eq!(scene.read_at(102, 1, 1), Verdict::Reread);
    let group = scene.checker.partition("billing", "orders", "3").unwrap();
    scene.view_reads(group, 103, 0, 0);
    assert_eq!(scene.view_reads(group, 104, 0, 0), Verdict::Repeated(Repeat::Redelivered));
    assert_eq!(scene.view_reads(group, 105, 9, 0), Verdict::Repeated(Repeat::Resent));
}

#[test]
fn the_ledger_tells_the_stage_and_the_end() {
    let mut scene = Scene::new(true);
    for seq in 0..5 {
        scene.read(101, seq);
    }
    scene.ledger(1, 10, &[(9, 9)], &[(5, 6)]);
    assert_eq!(
        scene.states(),
        [(5, 6, State::Refused), (7, 9, State::Missing)],
        "pending or not, nothing is judged before an end"
    );
    scene.checker.end(scene.log, Some(5), 105_000);
    scene.checker.end(scene.log, Some(5), 111_500);
    let store = State::Lost(Stage::Store);
    let produce = State::Lost(Stage::Produce);
    assert_eq!(scene.states(), [(5, 6, State::Refused), (7, 8, store), (9, 9, produce)]);
    scene.ledger(2, 10, &[(9, 9)], &[(5, 6)]);
    assert_eq!(scene.states().last(), Some(&(9, 9, State::Missing)), "called pending again");
}

#[test]
fn a_group_loses_what_the_log_has() {
    let mut scene = Scene::new(true);
    let group = scene.checker.partition("billing", "orders", "3").unwrap();
    let watch = Watch { from_start: true, position: Some(0), at: 100_000, ..Watch::default() };
    scene.checker.watch(group, &watch);
    for seq in [0, 1, 2, 4, 5] {
        scene.read(101, seq);
    }
    scene.read(120, 6);
    scene.view_reads(group, 150, 0, 0);
    scene.view_reads(group, 151, 2, 2);
    assert_eq!(scene.totals().missing, 1, "3 is lost in the log, 1 is missing in the group");
    scene.view_reads(group, 152, 5, 6);
    let totals = scene.totals();
    assert_eq!((totals.lost.undetermined, totals.lost.consume, totals.missing), (1, 1, 2));
    scene.read_at(160, 6, 7);
    scene.checker.end(group, None, 159_000);
    assert_eq!(
        scene.totals().lost.consume,
        3,
        "4 and 5 by the end; what came after the group's end is lag"
    );
    scene.checker.end(group, None, 160_000);
    assert_eq!(scene.totals().lost.consume, 4);
}

#[test]
fn what_a_cut_took_away_is_missing_again() {
    let mut scene = Scene::new(true);
    for seq in 0..10 {
        scene.read(101, seq);
    }
    scene.checker.cut(scene.log, 6, 102_000);
    assert_eq!(scene.states(), [(6, 9, State::Missing)]);
    assert_eq!(scene.read_at(103, 6, 7), Verdict::Reordered);
    scene.read_at(115, 7, 10);
    let lost = State::Lost(Stage::Undetermined);
    assert_eq!(scene.states(), [(6, 6, lost), (8, 9, lost)]);
    assert_eq!(scene.totals().log_cuts, 1);
}

#[test]
fn another_record_at_a_position_is_a_cut() {
    let mut scene = Scene::new(true);
    for seq in 0..10 {
        scene.read(101, seq);
    }
    assert_eq!(scene.read_at(102, 8, 8), Verdict::Reread);
    assert_eq!(scene.read_at(102, 8, 11), Verdict::New);
    assert_eq!(scene.states(), [(8, 10, State::Missing)]);
}

#[test]
fn retention_explains_what_its_positions_cover() {
    let mut scene = Scene::new(true);
    scene.read_at(101, 0, 0);
    scene.checker.absent(scene.log, 1, 50, Cause::Retention, 102_000);
    scene.read_at(102, 51, 31);
    assert_eq!(scene.states(), [(1, 30, State::ByDesign(Cause::Retention))]);
}

#[test]
fn a_pause_makes_unknown_what_passed() {
    let mut scene = Scene::new(true);
    scene.read(101, 0);
    scene.read(102, 2);
    let watch = Watch { position: Some(500), at: 130_000, ..Watch::default() };
    scene.checker.watch(scene.log, &watch);
    scene.read_at(131, 500, 20);
    scene.read_at(160, 501, 21);
    let totals = scene.totals();
    assert_eq!((totals.unknown.paused, totals.lost_sum(), totals.exit_code()), (18, 0, 3));
}

#[test]
fn a_second_watch_right_behind_is_no_break() {
    let mut scene = Scene::new(true);
    scene.read(101, 0);
    scene.read(102, 2);
    let watch = Watch { position: Some(2), at: 130_000, ..Watch::default() };
    scene.checker.watch(scene.log, &watch);
    scene.read(131, 3);
    assert_eq!(scene.totals().missing, 1, "the grace began anew");
    assert_eq!(scene.read(132, 1), Verdict::Reordered);
}
