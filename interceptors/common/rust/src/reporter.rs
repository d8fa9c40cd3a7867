//! The ledger, sent: a thread of its own looks at all lanes every few seconds, and at once when
//! something fails, and hands the records of those that have something to say to its carriers.
//!
//! The sender and the delivery callbacks know nothing of it but [`Reporter::ring`], and that only
//! where something failed. What is built up is bounded: one report at a time, in messages of
//! bounded size, and no new one before the last was answered.

use std::collections::HashMap;
use std::fmt::Debug;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::book::Answers;
use crate::carrier::{Carrier, Posted};
use crate::clock;
use crate::identity::Identity;
use crate::lane::{Lane, lock};
use crate::line;
use crate::options::LedgerOptions;
use crate::sidecar::Sidecar;

/// Failures come in crowds: the first is reported so long after the last report.
const PAUSE: Duration = Duration::from_millis(200);
/// How often it is asked what became of messages that are on their way.
const ANSWER_WAIT: Duration = Duration::from_millis(100);
/// A message holds no more than this and one record; below the default limits of brokers.
pub(crate) const MESSAGE_BYTES: usize = 256 << 10;
/// A report holds no more than this and one message; the lanes that are left come next.
const REPORT_BYTES: usize = 8 << 20;
/// How long a reporter waits for answers at its end.
const LAST_WORDS: Duration = Duration::from_secs(1);

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
    /// The process in which the thread lives; a fork has none.
    running: Option<u32>,
    closing: bool,
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
        let work = Work {
            reporter: Arc::clone(self),
            interval: options.interval,
            identity,
            answers,
            lanes,
            carriers,
            on_the_way: HashMap::new(),
            batch: 0,
            first: 0,
        };
        lock(&self.state).running = Some(process::id());
        let thread = thread::Builder::new().name("lacuna-ledger".to_owned());
        if thread.spawn(move || work.run()).is_err() {
            lock(&self.state).running = None;
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
        let mut state = lock(&self.state);
        state.closing = true;
        self.changed.notify_all();
        let until = clock::monotonic() + patience;
        while state.running == Some(process::id()) {
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
    fn wait(&self, until: Instant, at_once: Instant) -> bool {
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

    fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }
}

/// What the thread owns.
#[derive(Debug)]
struct Work {
    reporter: Arc<Reporter>,
    interval: Duration,
    identity: Identity,
    answers: Answers,
    lanes: Arc<dyn Lanes>,
    carriers: Vec<Box<dyn Carrier>>,
    on_the_way: HashMap<u64, OnTheWay>,
    /// The last message's number.
    batch: u64,
    /// The lane with which the next report begins, where the last one became too long.
    first: usize,
}

/// A message that not every carrier has told of.
#[derive(Debug)]
struct OnTheWay {
    records: u64,
    awaited: usize,
    arrived: bool,
}

/// A message to be.
#[derive(Debug, Default)]
struct Message {
    batch: u64,
    records: u64,
    lines: Vec<u8>,
}

impl Work {
    fn run(mut self) {
        let ended = Ended(Arc::clone(&self.reporter));
        let mut last = clock::monotonic();
        loop {
            let (due, at_once) = (last + self.interval, last + PAUSE);
            // One report at a time: while a cluster is away nothing piles up.
            let look_at = if self.on_the_way.is_empty() {
                (due, at_once)
            } else {
                let soon = clock::monotonic() + ANSWER_WAIT;
                (soon, soon)
            };
            if self.reporter.wait(look_at.0, look_at.1) {
                break;
            }
            self.hear(Duration::ZERO);
            let now = clock::monotonic();
            let is_due = now >= due || (now >= at_once && self.reporter.is_rung());
            if is_due && self.on_the_way.is_empty() {
                self.reporter.rung.store(false, Ordering::Release);
                self.report();
                last = clock::monotonic();
                self.hear(Duration::ZERO);
            }
        }
        self.last_words();
        drop(ended);
    }

    /// Closes all lanes and says so.
    fn last_words(&mut self) {
        let until = clock::monotonic() + LAST_WORDS;
        self.lanes.each(&mut Lane::close);
        // What is on its way says less than what comes now, so nobody waits for it.
        self.report();
        while !self.on_the_way.is_empty() && clock::monotonic() < until {
            self.hear(ANSWER_WAIT);
        }
        let dropped = self.on_the_way.values().map(|message| message.records).sum();
        self.reporter.dropped.fetch_add(dropped, Ordering::Relaxed);
    }

    fn report(&mut self) {
        for Message { batch, records, lines } in self.messages() {
            let awaited = self.carriers.len();
            self.on_the_way.insert(batch, OnTheWay { records, awaited, arrived: true });
            for carrier in &mut self.carriers {
                carrier.send(batch, &lines);
            }
        }
    }

    /// All that the lanes have to say now. Nothing is sent meanwhile: a visit may hold locks.
    fn messages(&mut self) -> Vec<Message> {
        let now = clock::unix_ms();
        let Self { lanes, identity, answers, batch, first, .. } = self;
        let mut messages: Vec<Message> = Vec::new();
        let (mut index, mut bytes, mut left_at) = (0, 0, None);
        lanes.each(&mut |lane| {
            index += 1;
            if index <= *first || left_at.is_some() {
                return;
            }
            if bytes >= REPORT_BYTES {
                left_at = Some(index - 1);
                return;
            }
            let open = messages.last().filter(|message| message.lines.len() < MESSAGE_BYTES);
            let next = open.map_or(*batch + 1, |message| message.batch);
            let Some(record) = lane.report(identity, *answers, now, next) else { return };
            if next > *batch {
                *batch = next;
                messages.push(Message { batch: next, ..Message::default() });
            }
            if let Some(message) = messages.last_mut() {
                let before = message.lines.len();
                line::write(&record, &mut message.lines);
                message.records += 1;
                bytes += message.lines.len() - before;
            }
        });
        self.first = left_at.unwrap_or(0);
        messages
    }

    /// Takes what the carriers know of messages, and lets the lanes know.
    fn hear(&mut self, wait: Duration) {
        let mut told = HashMap::new();
        for carrier in &mut self.carriers {
            let wait = if self.on_the_way.is_empty() { Duration::ZERO } else { wait };
            carrier.answers(wait, &mut |batch, arrived| {
                let Some(message) = self.on_the_way.get_mut(&batch) else { return };
                message.awaited -= 1;
                message.arrived &= arrived;
                if message.awaited == 0 {
                    let counter =
                        if message.arrived { &self.reporter.sent } else { &self.reporter.failed };
                    counter.fetch_add(message.records, Ordering::Relaxed);
                    told.insert(batch, message.arrived);
                }
            });
        }
        if told.is_empty() {
            return;
        }
        self.on_the_way.retain(|batch, _| !told.contains_key(batch));
        self.lanes.each(&mut |lane| lane.hear(|batch| told.get(&batch).copied()));
    }
}

/// Says that the thread has ended, however it did.
struct Ended(Arc<Reporter>);

impl Drop for Ended {
    fn drop(&mut self) {
        lock(&self.0.state).running = None;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::book::Outcome;
    use crate::map::LaneMap;

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
