//! The ledger, sent: a thread of its own looks at all lanes every few seconds, and at once when
//! something fails, and hands the records of those that have something to say to its carriers.
//!
//! The sender and the delivery callbacks know nothing of it but [`Reporter::ring`], and that only
//! where something failed. What is built up is bounded: one report at a time, in messages of
//! bounded size, and no new one before the last was answered.

use std::fmt::Debug;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::book::Answers;
use crate::carrier::{Carrier, Posted};
use crate::clock;
use crate::identity::Identity;
use crate::lane::{Lane, lock};
use crate::options::LedgerOptions;
use crate::sidecar::Sidecar;
use crate::work::Work;

/// Longest time between two reports.
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 3_600);

/// Where the lanes of a producer are found.
pub trait Lanes: Debug + Send + Sync {
    /// Every lane, in an order that stays.
    fn each(&self, visit: &mut dyn FnMut(&Lane));
}

/// What was reported, in ledger records, since the producer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reported {
    /// Arrived, by every configured way.
    pub sent: u64,
    /// Did not; what they said is said again by later ones.
    pub failed: u64,
    /// Had not arrived when the producer ended.
    pub dropped: u64,
}

/// The handle of a producer's reporter, which runs once it is started.
#[derive(Debug, Default)]
pub struct Reporter {
    /// The process in which the thread lives, 0: none was started; a fork has none.
    process: AtomicU32,
    state: Mutex<State>,
    changed: Condvar,
    /// So that a crowd of failures rings once.
    rung: AtomicBool,
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    closing: bool,
    ended: bool,
}

impl Reporter {
    /// Starts the thread with these carriers, and that of a sidecar where one is configured.
    /// Without any it does nothing, and so it does where no thread can be had.
    pub fn start(
        self: &Arc<Self>,
        options: &LedgerOptions,
        identity: Identity,
        answers: Answers,
        lanes: Arc<dyn Lanes>,
        mut carriers: Vec<Box<dyn Carrier>>,
    ) {
        if let Some(address) = &options.sidecar {
            carriers.push(Box::new(Posted::new(Sidecar::new(address))));
        }
        if carriers.is_empty() {
            return;
        }
        let interval = options.interval.min(LONGEST_INTERVAL);
        let work = Work::new(Arc::clone(self), interval, identity, answers, lanes, carriers);
        let ended = Ended(Arc::clone(self));
        let thread = thread::Builder::new().name("lacuna-ledger".to_owned());
        let run = move || {
            work.run();
            drop(ended);
        };
        if thread.spawn(run).is_ok() {
            self.process.store(process::id(), Ordering::Release);
        }
    }

    /// Something failed: report it soon.
    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // Under the lock, so that it does not fall between the look and the wait.
            drop(lock(&self.state));
            self.changed.notify_all();
        }
    }

    /// The producer has ended: closes all lanes, reports them, and waits for that, but no longer
    /// than `patience`.
    pub fn close(&self, patience: Duration) {
        if self.process.load(Ordering::Acquire) != process::id() {
            return;
        }
        let mut state = lock(&self.state);
        state.closing = true;
        self.changed.notify_all();
        let until = clock::monotonic() + patience;
        while !state.ended {
            let left = until.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return;
            }
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What was reported so far.
    pub fn counts(&self) -> Reported {
        Reported {
            sent: self.sent.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }

    /// Waits until `until`, or `at_once` after something failed, or for the end: true.
    pub(crate) fn wait(&self, until: Instant, at_once: Instant) -> bool {
        let mut state = lock(&self.state);
        loop {
            if state.closing {
                return true;
            }
            let until = if self.is_rung() { until.min(at_once) } else { until };
            let left = until.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(crate) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// What fails from now on is not in the report that is made now.
    pub(crate) fn hush(&self) {
        self.rung.store(false, Ordering::Release);
    }

    /// So many records of a message arrived, or did not.
    pub(crate) fn count(&self, arrived: bool, records: u64) {
        let counter = if arrived { &self.sent } else { &self.failed };
        counter.fetch_add(records, Ordering::Relaxed);
    }

    /// So many records had not arrived at the end.
    pub(crate) fn count_dropped(&self, records: u64) {
        self.dropped.fetch_add(records, Ordering::Relaxed);
    }
}

/// Says that the thread has ended, however it did.
struct Ended(Arc<Reporter>);

impl Drop for Ended {
    fn drop(&mut self) {
        lock(&self.0.state).ended = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::book::Outcome;
    use crate::map::LaneMap;
    use crate::work::{MESSAGE_BYTES, REPORT_BYTES};

    const LIMIT: Duration = Duration::from_secs(30);
    const NEVER: Duration = Duration::from_secs(3_600);

    /// Hands messages to the test, and answers them, or not.
    #[derive(Debug)]
    struct Fake {
        messages: Sender<String>,
        arrived: Option<bool>,
        answers: Vec<(u64, bool)>,
    }

    impl Carrier for Fake {
        fn send(&mut self, batch: u64, lines: &[u8]) {
            drop(self.messages.send(String::from_utf8(lines.to_vec()).unwrap()));
            self.answers.extend(self.arrived.map(|arrived| (batch, arrived)));
        }

        fn answers(&mut self, _: Duration, tell: &mut dyn FnMut(u64, bool)) {
            self.answers.drain(..).for_each(|(batch, arrived)| tell(batch, arrived));
        }
    }

    struct Run {
        reporter: Arc<Reporter>,
        lanes: Arc<LaneMap>,
        messages: Receiver<String>,
    }

    fn identity() -> Identity {
        Identity { producer: "p@h".to_owned(), epoch: 7 }
    }

    impl Run {
        fn new(interval: Duration, arrived: Option<bool>) -> Self {
            let (reporter, lanes) = (Arc::<Reporter>::default(), Arc::new(LaneMap::new(100_000)));
            let (sender, messages) = channel();
            let fake = Fake { messages: sender, arrived, answers: Vec::new() };
            let options = LedgerOptions { name: None, sidecar: None, interval };
            let all: Arc<dyn Lanes> = Arc::clone(&lanes) as _;
            reporter.start(&options, identity(), Answers::All, all, vec![Box::new(fake)]);
            Self { reporter, lanes, messages }
        }

        fn lane(&self, stream: &str) -> Arc<Lane> {
            self.lanes.entry(stream, |name| Lane::new(name, "0", &identity(), false)).unwrap()
        }

        fn take(&self, stream: &str) {
            let lane = self.lane(stream);
            lane.taken(lane.turn());
        }

        fn message(&self) -> String {
            self.messages.recv_timeout(LIMIT).unwrap()
        }
    }

    #[test]
    fn what_fails_is_said_at_once() {
        let run = Run::new(NEVER, Some(true));
        run.take("a");
        run.lane("a").settle(0, Outcome::Refused);
        run.reporter.ring();
        assert!(run.message().contains(r#""refused":[[0,0]]"#));
    }

    #[test]
    fn pending_numbers_are_said_again_and_again() {
        let run = Run::new(Duration::from_millis(1), Some(true));
        run.take("a");
        for rev in 1..4 {
            let message = run.message();
            assert!(message.contains(&format!(r#""rev":{rev},"#)), "{message}");
            assert!(message.contains(r#""pending":[[0,0]]"#), "{message}");
        }
    }

    #[test]
    fn what_did_not_arrive_is_said_again() {
        let run = Run::new(Duration::from_millis(1), Some(false));
        run.take("a");
        run.lane("a").settle(0, Outcome::Acknowledged);
        for _ in 0..3 {
            assert!(run.message().contains(r#""next":1"#));
        }
        run.reporter.close(LIMIT);
        let counts = run.reporter.counts();
        assert!(counts.failed >= 3 && counts.sent == 0, "{counts:?}");
    }

    #[test]
    fn the_last_words_close_every_lane() {
        let run = Run::new(NEVER, Some(true));
        run.take("a");
        run.take("b");
        run.lane("b").settle(0, Outcome::Acknowledged);
        run.reporter.close(LIMIT);
        let message = run.message();
        assert_eq!(message.lines().count(), 2);
        assert!(message.lines().all(|line| line.contains(r#""closed":true"#)), "{message}");
        assert!(message.contains(r#""unanswered":[[0,0]]"#), "{message}");
        assert_eq!(run.reporter.counts(), Reported { sent: 2, ..Reported::default() });
    }

    #[test]
    fn nobody_waits_long_for_a_carrier_that_is_silent() {
        let run = Run::new(NEVER, None);
        run.take("a");
        run.reporter.close(LIMIT);
        assert_eq!(run.reporter.counts(), Reported { dropped: 1, ..Reported::default() });
    }

    #[test]
    fn many_lanes_travel_in_few_messages_of_bounded_size() {
        let run = Run::new(NEVER, Some(true));
        let lanes = 60_000;
        for lane in 0..lanes {
            run.take(&format!("{lane:0>200}"));
        }
        // More than one report holds: the rest follows with the last words.
        run.reporter.ring();
        let mut told = 0;
        while told < REPORT_BYTES {
            let message = run.message();
            assert!(message.len() < MESSAGE_BYTES + 1_000, "{}", message.len());
            told += message.len();
        }
        run.reporter.close(LIMIT);
        assert!(run.reporter.counts().sent > 0);
    }
}
