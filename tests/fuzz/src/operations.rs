//! Any operations in any order, with any numbers, on a checker whose limits are reached at once: it
//! does not stop, its levels add up, every number of a lane has one state, and counters never go
//! down.

use lacuna_core::ledger::LedgerRecord;
use lacuna_core::report::{Filter, LaneRow, StreamRow};
use lacuna_core::totals::{Count, Totals};
use lacuna_core::verdict::Cause;
use lacuna_core::{Checker, Limits, MetricsRow, Observation, PartitionId, Settings, Watch};

/// What the fuzzer says, a byte at a time; zeros once it has no more to say.
struct Said<'a>(std::slice::Iter<'a, u8>);

impl Said<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[usize::from(self.byte()) % items.len()]
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Small ones mostly; the greatest there are, too.
    fn number(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..200 => byte.into(),
            byte @ 200..240 => u64::from(byte - 200) << (self.byte() & 63),
            byte => u64::MAX - u64::from(255 - byte),
        }
    }

    fn seq(&mut self) -> u64 {
        self.number().min(i64::MAX.unsigned_abs())
    }

    fn maybe(&mut self) -> Option<u64> {
        if self.byte().is_multiple_of(4) { None } else { Some(self.number()) }
    }
}

const VIEWS: [&str; 3] = ["log", "log", "g"];
const STREAMS: [(&str, &str); 2] = [("s", "1b0ecf0b"), ("t", "856a5aa8")];
const PARTITIONS: [&str; 2] = ["0", "1"];
const LABELS: [&str; 4] = ["0", "1", "*", "x"];
const EPOCHS: [&str; 4] = ["0", "1", "ff", "ffffffffffffffff"];

pub(crate) fn operations(data: &[u8]) {
    let mut said = Said(data.iter());
    let mut settings = Settings { hash_seed: 7, ..Settings::default() };
    settings.default_stream.grace_ms = said.one_of(&[0, 1, 10, u64::MAX]);
    settings.default_stream.clock_skew_ms = said.one_of(&[0, 1, u64::MAX]);
    settings.limits = Limits {
        lanes: said.one_of(&[2, 5, 1_000]),
        partitions: said.one_of(&[2, 6, 1_000]),
        evidence: said.one_of(&[0, 2, 1_000]),
        duplicates: said.one_of(&[0, 2, 1_000]),
        changes: said.one_of(&[0, 2, 1_000]),
        cut_memory_bytes: said.one_of(&[0, 64, 4_096]),
        read_times_bytes: said.one_of(&[0, 64, 4_096]),
        retired: said.one_of(&[0, 2, 1_000]),
        retire_closed_ms: said.one_of(&[0, 1, 1_000]),
        retire_idle_ms: said.one_of(&[0, 1, 1_000]),
        ranges: said.one_of(&[1, 8, 1_000]),
        views: said.one_of(&[1, 3, 1_000]),
    };
    let mut checker = Checker::new(settings);
    let mut before = Vec::new();
    while said.0.len() > 0 {
        step(&mut checker, &mut said);
        if said.0.len() % 16 == 0 {
            hold(&mut checker, &mut before);
        }
    }
    hold(&mut checker, &mut before);
    checker.complete();
    hold(&mut checker, &mut before);
}

fn step(checker: &mut Checker, said: &mut Said<'_>) {
    let kind = said.byte() % 16;
    if kind == 8 {
        return ledger(checker, said);
    }
    let ((stream, origin), partition) = (said.one_of(&STREAMS), said.one_of(&PARTITIONS));
    let Some(id) = checker.partition(said.one_of(&VIEWS), stream, partition) else { return };
    let at = said.number();
    match kind {
        0..=7 => message(checker, id, at, origin, said),
        9 => {
            let watch = Watch {
                from_start: said.flag(),
                position: said.maybe(),
                at,
                committed: said.flag(),
                handover: said.flag(),
                ordered: !said.flag(),
            };
            checker.watch(id, &watch);
        }
        10 | 11 => checker.end(id, said.maybe(), at),
        12 => checker.cut(id, said.number(), at),
        13 => {
            let causes = [Cause::Aborted, Cause::Compacted, Cause::Expired, Cause::Retention];
            let (one, other) = (said.number(), said.number());
            checker.absent(id, one.min(other), one.max(other), said.one_of(&causes), at);
        }
        14 => checker.pause(id, at),
        _ => {
            checker.ledger_read(at);
            checker.sweep(at, usize::from(said.byte()));
        }
    }
}

fn message(checker: &mut Checker, id: PartitionId, at: u64, origin: &str, said: &mut Said<'_>) {
    let (producer, epoch) = (said.one_of(&["a", "b", "c"]), said.one_of(&EPOCHS));
    let stamp = format!("1;{producer};{epoch};{origin};{};{}", said.one_of(&LABELS), said.seq());
    let flags = said.byte();
    let observation = Observation {
        position: said.maybe(),
        at,
        time: None,
        stamp: (!flags.is_multiple_of(16)).then_some(stamp.as_bytes()),
        redelivered: (flags & 1 == 1).then_some(flags & 2 == 2),
    };
    checker.observe(id, &observation);
}

fn ledger(checker: &mut Checker, said: &mut Said<'_>) {
    let (producer, (stream, _)) = (said.one_of(&["a", "b", "c"]), said.one_of(&STREAMS));
    let lane = said.one_of(&LABELS);
    let mut record = LedgerRecord {
        rev: said.byte().into(),
        producer,
        epoch: said.one_of(&[0, 1, 0xff, u64::MAX]),
        stream,
        lane,
        from: said.seq(),
        next: said.seq(),
        closed: said.flag(),
        ..LedgerRecord::default()
    };
    for _ in 0..said.byte() % 5 {
        let range = (said.seq(), said.seq());
        match said.byte() % 4 {
            0 => record.pending.push(range),
            1 => record.unanswered.push(range),
            2 => record.refused.push(range),
            _ => record.aborted.push(range),
        }
    }
    let at = said.maybe();
    // One that is not of the form is refused, which the target `ledger` looks at.
    checker.ledger(&record, at).ok();
}

/// Everything that must hold between two operations.
fn hold(checker: &mut Checker, before: &mut Vec<MetricsRow>) {
    let rows = checker.report(&Filter::default(), true);
    let mut sum = Totals::default();
    for row in &rows {
        adds_up(row);
        sum += &row.totals;
    }
    let mut all = checker.totals();
    // Names are counted once at each level.
    (all.producers, sum.producers) = (0, 0);
    assert_eq!(all, sum, "the whole is not the sum of its streams");
    let gaps = checker.gaps(&Filter::default(), &|_| true, None, usize::MAX);
    let open = gaps.iter().filter(|gap| {
        use lacuna_core::verdict::State::{Lost, Missing};
        matches!(gap.state, Some(Missing | Lost(_)))
    });
    assert_eq!(open.count() as u64, all.open_gaps, "rows of open gaps");

    let now = checker.metrics();
    let place = |row: &MetricsRow| (row.view.clone(), row.stream.clone(), row.partition.clone());
    for was in &*before {
        let Some(is) = now.iter().find(|is| place(is) == place(was)) else {
            // A lane of which a ledger had said that nothing was taken yet, and that was retired.
            assert_eq!(counters(&was.entered), [0; 17], "{:?} is gone", place(was));
            continue;
        };
        let fallen = counters(&was.entered).into_iter().zip(counters(&is.entered));
        for (index, (was, is)) in fallen.enumerate() {
            assert!(is >= was, "counter {index} fell from {was} to {is}");
        }
    }
    *before = now;
}

fn counters(totals: &Totals) -> [Count; 17] {
    let Totals { observed, lost, recovered, refused, unknown, duplicates, reordered, .. } = totals;
    [
        observed.valid.into(),
        observed.absent.into(),
        observed.malformed.into(),
        observed.unsupported.into(),
        observed.foreign.into(),
        lost.produce,
        lost.store,
        lost.consume,
        lost.undetermined,
        Count::from(*recovered),
        *refused,
        unknown.joined + unknown.paused + unknown.evicted + unknown.transaction,
        duplicates.resent.into(),
        duplicates.redelivered.into(),
        duplicates.undetermined.into(),
        Count::from(*reordered),
        totals.log_cuts.into(),
    ]
}

fn adds_up(row: &StreamRow) {
    let mut of_stream = Totals::default();
    for partition in &row.partitions {
        let mut of_lanes = partition.rest;
        for lane in &partition.lanes {
            of_lanes += &lane.totals;
            one_state(&row.view, lane);
        }
        let mut totals = partition.totals;
        of_stream += &totals;
        // A message counts where it was read, of a lane only in the lane.
        (totals.observed, of_lanes.observed) = Default::default();
        (totals.producers, of_lanes.producers) = (0, 0);
        (totals.log_cuts, of_lanes.log_cuts) = (0, 0);
        assert_eq!(totals, of_lanes, "{} {} {}", row.view, row.stream, partition.partition);
    }
    let mut totals = row.totals;
    (totals.producers, of_stream.producers) = (0, 0);
    assert_eq!(totals, of_stream, "{} {}", row.view, row.stream);
}

fn one_state(view: &str, lane: &LaneRow) {
    let Totals { seen, missing, lost, refused, unknown, by_design, .. } = &lane.totals;
    let states = Count::from(*seen)
        + missing
        + refused
        + (lost.produce + lost.store + lost.consume + lost.undetermined)
        + (unknown.joined + unknown.paused + unknown.evicted + unknown.transaction)
        + (by_design.aborted + by_design.compacted + by_design.expired + by_design.retention);
    let numbers = Count::from(lane.next);
    // What the log has lost has no state in a group's view. A lane that was retired and has come
    // back counts from where it was.
    if view == "log" && lane.first == 0 {
        assert_eq!(states, numbers, "{view} {lane:?}");
    }
    assert!(states <= numbers, "{view} {lane:?}");
}
