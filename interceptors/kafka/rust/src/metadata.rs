//! Partition counts, asked for in the background: a send never waits for one. Until a topic's
//! answer is there its messages count in lane `*`.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lacuna_interceptor::{clock, lock};
use rdkafka::config::NativeClientConfig;
use rdkafka::metadata::Metadata;

use crate::lanes::Topics;
use crate::partition::property;

/// One question to the cluster; a producer that is dropped meanwhile lives on as long.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// A question that failed is asked again after this, doubling…
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// …up to this.
const LAST_BACKOFF: Duration = Duration::from_secs(30);
/// librdkafka's own default for `topic.metadata.refresh.interval.ms`.
const REFRESH: Duration = Duration::from_secs(300);
/// What "never again" amounts to.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3_600);

/// The questions that senders leave for the background thread.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    open: Mutex<Open>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Open {
    topics: Vec<Box<str>>,
    closed: bool,
}

impl Questions {
    /// Asks for a topic's partitions, soon.
    pub(crate) fn ask(&self, topic: &str) {
        lock(&self.open).topics.push(topic.into());
        self.bell.notify_one();
    }

    /// Ends the background thread.
    pub(crate) fn close(&self) {
        lock(&self.open).closed = true;
        self.bell.notify_one();
    }

    /// What was asked since the last call, waiting for it until `until`; `None`: closed.
    fn wait(&self, until: Option<Instant>) -> Option<Vec<Box<str>>> {
        let mut open = lock(&self.open);
        while !open.closed && open.topics.is_empty() {
            let Some(until) = until else {
                open = self.bell.wait(open).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                break;
            }
            let waited = self.bell.wait_timeout(open, left);
            open = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if open.closed { None } else { Some(std::mem::take(&mut open.topics)) }
    }
}

/// `topic.metadata.refresh.interval.ms`: librdkafka notices new partitions this often, so do we.
pub(crate) fn refresh_interval(native: &NativeClientConfig) -> Duration {
    match property(native, "topic.metadata.refresh.interval.ms").map(|text| text.parse::<i64>()) {
        Some(Ok(ms)) => u64::try_from(ms).map_or(NEVER, Duration::from_millis),
        Some(Err(_)) | None => REFRESH,
    }
}

/// Whether each partition of the topic has a leader; `None` where the answer names none.
pub(crate) fn led(metadata: &Metadata, topic: &str) -> Option<Vec<bool>> {
    let topic = metadata.topics().iter().find(|found| found.name() == topic)?;
    let mut led = vec![false; topic.partitions().len()];
    for partition in topic.partitions() {
        let slot = usize::try_from(partition.id()).ok().and_then(|id| led.get_mut(id))?;
        *slot = partition.leader() >= 0;
    }
    (!led.is_empty()).then_some(led)
}

/// Starts the thread that answers. `ask` puts one question to the cluster; `None` from it means
/// that the producer is gone. If no thread can be had, messages go on counting in lane `*`.
pub(crate) fn answer(
    questions: Arc<Questions>,
    topics: Arc<Topics>,
    refresh: Duration,
    ask: impl Fn(&str, Duration) -> Option<Option<Vec<bool>>> + Send + 'static,
) {
    let work = move || run(&questions, &topics, refresh, ask);
    drop(thread::Builder::new().name("lacuna-metadata".to_owned()).spawn(work));
}

struct Due {
    at: Instant,
    backoff: Duration,
}

fn run(
    questions: &Questions,
    topics: &Topics,
    refresh: Duration,
    ask: impl Fn(&str, Duration) -> Option<Option<Vec<bool>>>,
) {
    let mut due: BTreeMap<Box<str>, Due> = BTreeMap::new();
    while let Some(asked) = questions.wait(due.values().map(|due| due.at).min()) {
        for topic in asked {
            let now = clock::monotonic();
            let due = due.entry(topic).or_insert(Due { at: now, backoff: FIRST_BACKOFF });
            // What failed just now keeps its pause, however often it is asked for.
            if due.backoff == FIRST_BACKOFF {
                due.at = now;
            }
        }
        let now = clock::monotonic();
        for (topic, due) in due.iter_mut().filter(|(_, due)| due.at <= now) {
            let Some(answer) = ask(topic, ASK_TIMEOUT) else {
                return;
            };
            if let Some(led) = answer {
                if let Some(entry) = topics.find(topic) {
                    entry.learn(led);
                    entry.asked.store(false, Ordering::Release);
                }
                *due = Due { at: clock::monotonic() + refresh, backoff: FIRST_BACKOFF };
            } else {
                due.at = clock::monotonic() + due.backoff;
                due.backoff = (due.backoff * 2).min(LAST_BACKOFF);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_question_is_asked_again_until_it_is_answered() {
        let (questions, topics) = (Arc::new(Questions::default()), Arc::new(Topics::default()));
        topics.entry("orders");
        let (told, heard) = mpsc::channel();
        let tries = std::sync::atomic::AtomicUsize::new(0);
        answer(Arc::clone(&questions), Arc::clone(&topics), NEVER, move |topic, _| {
            let first = tries.fetch_add(1, Ordering::Relaxed) == 0;
            told.send(topic.to_owned()).ok()?;
            Some((!first).then(|| vec![true; 3]))
        });
        questions.ask("orders");
        assert_eq!(heard.recv(), Ok("orders".to_owned()));
        assert_eq!(heard.recv(), Ok("orders".to_owned()));
        questions.close();
        assert!(heard.recv().is_err(), "the thread ends");
        assert_eq!(topics.find("orders").map(crate::lanes::Topic::count), Some(3));
    }
}
