//! The faults, each with a name and a probability in percent.

use crate::line::{LOG, Name};
use crate::rng::Rng;

/// What may go wrong in one scenario, and how often. 0 is never.
#[derive(Clone, Debug, Default)]
pub struct Knobs {
    /// Ms until a gap is judged.
    pub grace: u64,
    /// Ms by which clocks may differ.
    pub skew: u64,
    /// How many things happen.
    pub steps: u64,
    /// Longest step of time.
    pub pace: u64,
    /// Partitions of the stream, 1 to 3.
    pub partitions: usize,
    /// Clients that send, 1 to 3.
    pub producers: usize,
    /// From where it is looked.
    pub views: Vec<Name>,
    /// The broker has offsets.
    pub positions: bool,
    /// A producer counts over the whole stream.
    pub span: u64,
    /// A producer has no ledger.
    pub silent: u64,
    /// A view begins while traffic flows.
    pub joins_late: u64,
    /// A view begins without saying so.
    pub no_watch: u64,
    /// A group promises no order.
    pub unordered: u64,
    /// A group reads committed messages only.
    pub committed: u64,
    /// A message overtakes another on its way to the broker.
    pub overtake: u64,
    /// A number is taken, and never reaches the log.
    pub dropped: u64,
    /// A message is stored twice.
    pub resent: u64,
    /// Two clients of one name and epoch both send a number.
    pub clash: u64,
    /// A message is stored twice, and a cut takes one of the two away.
    pub halved: u64,
    /// A message is part of a transaction.
    pub transaction: u64,
    /// The answer to a message that was stored comes late.
    pub slow_answer: u64,
    /// A number is said to be pending, and others overtake it by more than the grace.
    pub pending: u64,
    /// A partition's clock is behind the others'.
    pub behind: u64,
    /// A producer starts again.
    pub restart: u64,
    /// An epoch is no time.
    pub odd_epoch: u64,
    /// A message is not stamped, or not for here.
    pub alien: u64,
    /// A group is handed something again.
    pub redelivered: u64,
    /// A group is never handed something.
    pub skipped: u64,
    /// The log is read again without a word.
    pub reread: u64,
    /// A reader starts again where it was, or a little before.
    pub resume: u64,
    /// A reader starts again further on.
    pub pause: u64,
    /// A reader stops for a while.
    pub stall: u64,
    /// The log is cut back.
    pub cut: u64,
    /// The topic is made anew.
    pub anew: u64,
    /// Retention overtakes readers.
    pub retention: u64,
    /// Compaction takes a message.
    pub compacted: u64,
    /// A ledger record is late.
    pub ledger_late: u64,
    /// A ledger record never arrives.
    pub ledger_lost: u64,
    /// A ledger record forgets what is old.
    pub ledger_from: u64,
    /// An end was asked for before what came since.
    pub stale_end: u64,
    /// A reader's clock goes back a little.
    pub jitter: u64,
}

impl Knobs {
    /// Draws a scenario's knobs: most faults are off in most scenarios, so that each is also seen
    /// alone.
    pub fn draw(rng: &mut Rng) -> Self {
        let mut views = vec![LOG];
        match rng.below(10) {
            0..4 => {}
            4..8 => views.push("billing"),
            8 => views.extend(["billing", "audit"]),
            _ => views = vec!["billing"],
        }
        let busy = rng.between(5, 35);
        let mut fault = |most: u64| if rng.chance(busy) { rng.between(1, most) } else { 0 };
        let mut knobs = Self {
            span: fault(100),
            silent: fault(100),
            joins_late: fault(100),
            no_watch: fault(100),
            unordered: fault(100),
            committed: fault(100),
            overtake: fault(60),
            dropped: fault(40),
            resent: fault(30),
            clash: fault(100),
            halved: fault(8),
            transaction: fault(60),
            slow_answer: fault(90),
            pending: fault(8),
            behind: fault(100),
            restart: fault(6),
            odd_epoch: fault(60),
            alien: fault(30),
            redelivered: fault(30),
            skipped: fault(30),
            reread: fault(20),
            resume: fault(8),
            pause: fault(6),
            stall: fault(10),
            cut: fault(6),
            anew: fault(3),
            retention: fault(8),
            compacted: fault(20),
            ledger_late: fault(80),
            ledger_lost: fault(70),
            ledger_from: fault(70),
            stale_end: fault(60),
            jitter: fault(30),
            ..Self::default()
        };
        // A cut tells most where numbers stand twice.
        if knobs.cut > 0 && rng.chance(50) {
            knobs.resent = knobs.resent.max(25);
        }
        knobs.grace = rng.pick(&[0, 5, 20, 60]);
        knobs.skew = rng.pick(&[0, 5, 30]);
        knobs.steps = rng.between(15, 90);
        knobs.pace = rng.pick(&[1, 4, 12]);
        knobs.partitions = rng.index(3).max(1);
        knobs.producers = rng.index(3) + 1;
        knobs.views = views;
        knobs.positions = rng.chance(85);
        // What is pending tells most where its partition's clock is behind the ledger's arrival.
        if knobs.pending > 0 {
            knobs.skew = rng.pick(&[5, 30]);
            knobs.behind = 60;
            knobs.partitions = 2;
        }
        knobs
    }

    /// Nothing that a checker may report: what is found here is a false finding.
    #[must_use]
    pub fn without_faults(self) -> Self {
        Self {
            joins_late: 0,
            no_watch: 0,
            dropped: 0,
            resent: 0,
            clash: 0,
            halved: 0,
            transaction: 0,
            redelivered: 0,
            skipped: 0,
            reread: if self.positions { self.reread } else { 0 },
            resume: if self.positions { self.resume } else { 0 },
            pause: 0,
            cut: 0,
            anew: 0,
            retention: 0,
            compacted: 0,
            ..self
        }
    }
}
