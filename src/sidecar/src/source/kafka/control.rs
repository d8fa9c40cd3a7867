use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::asker::Asker;
use super::client::{Client, connect, offsets, partitions};
use super::describe::{Describe, TopicId};
use super::orders::{Note, Order, Shared, Start, Started};
use super::policy::Policy;
use super::resume::{Kept, Resume};
use super::settings::{From, KafkaSettings};
use crate::clock;
use crate::engine::{Changed, EngineSettings};

/// Longest wait for the broker's answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Shortest time between two looks for topics and partitions that a grace may ask for, ms.
const LEAST_INTERVAL_MS: u64 = 100;
/// Pause between tries while the broker is away or partitions wait for a leader, ms.
const RETRY_MS: u64 = 500;
/// How often topics are asked whether they are compacted, ms: that changes seldom.
const POLICIES_MS: u64 = 60_000;
/// Longest wait for a note before librdkafka's events are looked at.
const TICK: Duration = Duration::from_millis(50);

/// Where a partition's reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    Beginning,
    End,
    Time(u64),
    /// Where an earlier run was, if it is still the same topic.
    Again,
}

/// The thread that looks for topics and asks the broker for offsets, so that no tap has to wait.
pub(super) struct Control {
    /// The taps'.
    reader: Arc<Client>,
    asker: Arc<Asker>,
    settings: KafkaSettings,
    owners: EngineSettings,
    shared: Arc<Shared>,
    notes: Receiver<(usize, Note)>,
    changes: Receiver<Changed>,
    orders: Vec<Sender<Order>>,
    /// Of each tap: its partitions, in the order of their starts.
    started: Vec<Vec<(Arc<str>, i32)>>,
    known: HashSet<(Arc<str>, i32)>,
    /// Known, and not started yet.
    waiting: Vec<(Arc<str>, i32, Begin)>,
    /// Started partitions whose next offset is not in the log, by tap and number.
    gone: Vec<(usize, usize)>,
    ids: HashMap<Arc<str>, TopicId>,
    /// Topics that were made again and are not begun anew yet.
    anew: HashSet<Arc<str>>,
    /// Whether topics are compacted, as their tap was told.
    policies: HashMap<Arc<str>, Policy>,
    policies_at: u64,
    /// A broker that answered.
    broker: i32,
    first_look: bool,
    /// Where an earlier run was.
    resume: HashMap<(String, i32), Kept>,
    /// An earlier run has looked: what it has not found has appeared since.
    looked: bool,
}

impl Control {
    pub(super) fn new(
        reader: Arc<Client>,
        asker: Arc<Asker>,
        settings: KafkaSettings,
        owners: EngineSettings,
        shared: Arc<Shared>,
        notes: Receiver<(usize, Note)>,
        changes: Receiver<Changed>,
        orders: Vec<Sender<Order>>,
        resume: Resume,
    ) -> Self {
        let started = orders.iter().map(|_| Vec::new()).collect();
        Self {
            reader,
            asker,
            settings,
            owners,
            shared,
            notes,
            changes,
            orders,
            started,
            known: HashSet::new(),
            waiting: Vec::new(),
            gone: Vec::new(),
            ids: HashMap::new(),
            anew: HashSet::new(),
            policies: HashMap::new(),
            policies_at: 0,
            broker: -1,
            first_look: true,
            looked: resume.looked,
            resume: resume.partitions,
        }
    }

    /// Until the last tap is gone.
    pub(super) fn run(mut self) {
        let mut interval = interval_ms(&self.settings, &self.owners);
        let (mut look_at, mut retry_at) = (0, 0);
        loop {
            match self.notes.recv_timeout(TICK) {
                Ok((tap, Note::Ask(numbers))) => self.tell_ends(tap, &numbers),
                Ok((tap, Note::Gone(number))) => self.gone.push((tap, number)),
                Ok((_, Note::Trouble(what))) => {
                    tracing::warn!(source = self.settings.name, "{what}");
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.serve_events();
            if self.take_up_changes() {
                interval = interval_ms(&self.settings, &self.owners);
                look_at = 0;
            }
            let now = clock::now_ms();
            if now >= look_at {
                let seen = self.look();
                look_at = clock::now_ms() + if seen { interval } else { RETRY_MS.min(interval) };
                // What is new is started at once.
                retry_at = now;
            }
            if now >= retry_at {
                self.begin_anew();
                self.start_waiting();
                self.find_gone();
                retry_at = clock::now_ms() + RETRY_MS;
            }
        }
    }

    /// What was configured anew; false: nothing. A topic that is named no more is read on, since what
    /// is known of it would be lost.
    fn take_up_changes(&mut self) -> bool {
        let mut any = false;
        for Changed { default_stream, streams, mut topics } in self.changes.try_iter() {
            any = true;
            self.owners.checker.default_stream = default_stream;
            self.owners.streams = streams;
            if let Some(topics) = topics.remove(&self.settings.name) {
                self.settings.topics = topics;
                // What is found next was there before: it begins where the source's topics do.
                self.first_look = true;
            }
        }
        any
    }

    /// What librdkafka has to say that concerns no partition.
    fn serve_events(&self) {
        for client in [&self.reader, &self.asker.client()] {
            while let Some(event) = client.poll(Duration::ZERO) {
                let Err(error) = event else { continue };
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
                    self.down(&error);
                } else {
                    tracing::debug!(source = self.settings.name, %error);
                }
            }
        }
    }

    fn down(&self, error: &KafkaError) {
        self.shared.health.down(error);
        if let Some(failure) = self.asker.client().context().take_failure() {
            self.shared.health.because(&failure);
        }
    }

    fn up(&self) {
        // What failed before is no reason for what fails later.
        drop(self.asker.client().context().take_failure());
        self.shared.health.up();
    }

    /// Looks for topics and partitions; false: the broker did not answer.
    fn look(&mut self) -> bool {
        let asker = self.asker.client();
        let looked = partitions(&asker, &self.settings.topics, TIMEOUT).and_then(|found| {
            self.broker = found.broker.unwrap_or(self.broker);
            let topics: Vec<_> = found.partitions.iter().map(|(topic, _)| topic.clone()).collect();
            self.look_for_new_ids(&topics)?;
            self.look_for_policies(&topics)?;
            Ok(found.partitions)
        });
        self.asker.was_answered(looked.is_ok());
        let found = match looked {
            Ok(found) => found,
            Err(error) => {
                self.down(&error);
                return false;
            }
        };
        self.up();
        let begin = match self.settings.from {
            // What was not there at the first look is watched from its first message.
            _ if !self.first_look || self.looked => Begin::Beginning,
            From::Beginning => Begin::Beginning,
            From::End => Begin::End,
            From::Time(time) => Begin::Time(time),
        };
        for (topic, count) in found {
            for partition in 0..count {
                if self.known.insert((topic.clone(), partition)) {
                    let kept = self.resume.contains_key(&(topic.to_string(), partition));
                    let begin = if kept { Begin::Again } else { begin };
                    self.waiting.push((topic.clone(), partition, begin));
                }
            }
        }
        self.first_look = false;
        true
    }

    /// Finds topics that were deleted and made again.
    fn look_for_new_ids(&mut self, topics: &[Arc<str>]) -> KafkaResult<()> {
        let now = self.describe().ids(topics)?;
        for topic in topics {
            let Some(&id) = now.get(&**topic) else { continue };
            let before = self.ids.insert(topic.clone(), id);
            if before.is_some_and(|before| before != id) {
                tracing::warn!(source = self.settings.name, %topic, "the topic was made anew");
                self.anew.insert(topic.clone());
            }
        }
        Ok(())
    }

    /// Finds whether topics are compacted, and tells their taps.
    fn look_for_policies(&mut self, topics: &[Arc<str>]) -> KafkaResult<()> {
        let now = clock::now_ms();
        let all = self.policies_at + POLICIES_MS < now;
        let asked = topics.iter().filter(|topic| all || !self.policies.contains_key(&**topic));
        let asked: Vec<_> = asked.cloned().collect();
        let told = self.describe().policies(&asked)?;
        self.policies_at = if all { now } else { self.policies_at };
        for topic in asked {
            let Some(&policy) = told.get(&*topic) else { continue };
            if self.policies.insert(topic.clone(), policy) != Some(policy) {
                if policy == Policy::Untold {
                    let source = &self.settings.name;
                    tracing::warn!(source, %topic, "nobody tells whether it is compacted: what is missing \
                         beside a hole in its offsets is unknown; allow DescribeConfigs on it");
                }
                for tap in 0..self.orders.len() {
                    self.order(tap, Order::Policy { topic: topic.clone(), policy });
                }
            }
        }
        Ok(())
    }

    fn describe(&self) -> Describe {
        Describe { client: self.asker.client(), broker: self.broker, timeout: TIMEOUT }
    }

    fn tap_of(&self, topic: &str, partition: i32) -> usize {
        self.owners.owner(&self.settings.stream(topic), &partition.to_string())
    }

    /// Begins topics anew that were made again.
    fn begin_anew(&mut self) {
        for topic in std::mem::take(&mut self.anew) {
            let of_tap = |(tap, started): (usize, &Vec<(Arc<str>, i32)>)| {
                let places = started.iter().enumerate();
                let of_topic = places.filter(|(_, place)| place.0 == topic);
                of_topic.map(|(number, place)| (tap, number, place.1)).collect::<Vec<_>>()
            };
            let parts: Vec<_> = self.started.iter().enumerate().flat_map(of_tap).collect();
            let places: Vec<_> =
                parts.iter().map(|&(.., partition)| (&*topic, partition)).collect();
            let Ok(starts) = offsets(&self.asker.client(), &places, Offset::Beginning, TIMEOUT)
            else {
                self.anew.insert(topic);
                continue;
            };
            let mut partitions: HashMap<usize, Vec<(usize, u64)>> = HashMap::new();
            for &(tap, number, partition) in &parts {
                if let Some(start) = starts.get(&(&*topic, partition)).copied().flatten() {
                    partitions.entry(tap).or_default().push((number, start));
                }
            }
            if partitions.is_empty() && !parts.is_empty() {
                self.anew.insert(topic);
                continue;
            }
            // One that has read a topic takes the next one of that name for an outdated answer.
            let Ok(reader) = connect(&self.settings) else {
                self.anew.insert(topic);
                continue;
            };
            self.reader = reader;
            for tap in 0..self.orders.len() {
                self.order(tap, Order::Reopen(self.reader.clone()));
            }
            self.gone
                .retain(|&(tap, number)| !parts.iter().any(|&(t, n, _)| (t, n) == (tap, number)));
            for (tap, partitions) in partitions {
                let id = self.ids.get(&topic).copied();
                self.order(tap, Order::Anew { topic: topic.clone(), id, partitions });
            }
        }
    }

    /// Finds where the waiting partitions begin, and has them read.
    fn start_waiting(&mut self) {
        let mut kinds: Vec<Begin> = Vec::new();
        let (known, unknown): (Vec<_>, _) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(topic, ..)| self.policies.contains_key(topic));
        self.waiting = known;
        self.go_on_again();
        for &(_, _, begin) in &self.waiting {
            if !kinds.contains(&begin) {
                kinds.push(begin);
            }
        }
        for begin in kinds {
            let waiting = std::mem::take(&mut self.waiting);
            let (these, others): (Vec<_>, _) =
                waiting.into_iter().partition(|&(_, _, other)| other == begin);
            self.waiting = others;
            let places: Vec<_> = these.iter().map(|(topic, p, _)| (&**topic, *p)).collect();
            let of = match begin {
                Begin::Beginning | Begin::Again => Offset::Beginning,
                Begin::End => Offset::End,
                Begin::Time(time) => Offset::Offset(i64::try_from(time).unwrap_or(i64::MAX)),
            };
            let answers = match offsets(&self.asker.client(), &places, of, TIMEOUT) {
                Ok(answers) => answers,
                Err(error) => {
                    self.down(&error);
                    HashMap::new()
                }
            };
            let answers: Vec<_> = places.iter().map(|place| answers.get(place).copied()).collect();
            for ((topic, partition, begin), answer) in these.into_iter().zip(answers) {
                match answer {
                    Some(Some(offset)) => self.start(topic, partition, begin, offset),
                    // Nothing is as new as that time.
                    Some(None) => self.waiting.push((topic, partition, Begin::End)),
                    None => self.waiting.push((topic, partition, begin)),
                }
            }
        }
        self.waiting.extend(unknown);
        if !self.first_look && self.waiting.is_empty() {
            self.shared.health.ready();
        }
    }

    /// Has partitions read on that an earlier run read, where they are still of the same topics; the
    /// others wait to be begun anew.
    fn go_on_again(&mut self) {
        let again = |place: &(Arc<str>, i32, Begin)| place.2 == Begin::Again;
        let (again, others): (Vec<_>, _) =
            std::mem::take(&mut self.waiting).into_iter().partition(again);
        self.waiting = others;
        for (topic, partition, _) in again {
            let place = (topic.to_string(), partition);
            let now = self.ids.get(&topic).copied();
            let same = |kept: &Kept| kept.id.is_none() || now.is_none() || kept.id == now;
            match self.resume.get(&place).filter(|kept| same(kept)) {
                Some(Kept { next, lineage, .. }) => {
                    let (offset, from) = (*next, Started::Again(lineage.clone()));
                    self.start_at(topic, partition, offset, from);
                }
                None => self.waiting.push((topic, partition, Begin::Again)),
            }
        }
    }

    fn start(&mut self, topic: Arc<str>, partition: i32, begin: Begin, offset: u64) {
        let from = match begin {
            Begin::Again => Started::Anew,
            // An empty log at offset 0 is watched from its first message, wherever reading begins.
            _ if begin == Begin::Beginning || offset == 0 => Started::Beginning,
            Begin::Beginning | Begin::End | Begin::Time(_) => Started::Here,
        };
        self.start_at(topic, partition, offset, from);
    }

    fn start_at(&mut self, topic: Arc<str>, partition: i32, offset: u64, from: Started) {
        let tap = self.tap_of(&topic, partition);
        self.started[tap].push((topic.clone(), partition));
        let id = self.ids.get(&topic).copied();
        self.order(tap, Order::Start(Start { topic, id, partition, offset, from }));
    }

    fn tell_ends(&self, tap: usize, numbers: &[usize]) {
        let asked = clock::now_ms();
        let started = &self.started[tap];
        let places: Vec<_> =
            numbers.iter().map(|&number| (&*started[number].0, started[number].1)).collect();
        let answers = match offsets(&self.asker.client(), &places, Offset::End, TIMEOUT) {
            // Of no partition at all: its leader was not reached.
            Ok(answers) if answers.is_empty() => answers,
            Ok(answers) => {
                self.up();
                answers
            }
            Err(error) => {
                self.down(&error);
                HashMap::new()
            }
        };
        let end = |place| answers.get(place).copied().flatten();
        let ends =
            numbers.iter().zip(&places).map(|(&number, place)| (number, end(place))).collect();
        self.order(tap, Order::Ends { asked, ends });
    }

    /// Finds what the logs hold from which the next offset has gone.
    fn find_gone(&mut self) {
        let gone = std::mem::take(&mut self.gone);
        for (tap, number) in gone {
            let (topic, partition) = self.started[tap][number].clone();
            let place = (&*topic, partition);
            // The client that reads knows best who leads: one that led before may answer others.
            let ask = |of| {
                let answer = offsets(&self.reader, &[place], of, TIMEOUT).ok()?;
                answer.get(&place).copied().flatten()
            };
            let (start, end) = (ask(Offset::Beginning), ask(Offset::End));
            // It may be another topic of that name by now.
            let looked = self.look_for_new_ids(std::slice::from_ref(&topic));
            match (start, end) {
                _ if self.anew.contains(&topic) => {}
                (Some(start), Some(end)) if looked.is_ok() => {
                    self.order(tap, Order::GoOn { number, start, end });
                }
                _ => self.gone.push((tap, number)),
            }
        }
    }

    fn order(&self, tap: usize, order: Order) {
        // A tap that has gone has no use for it.
        drop(self.orders[tap].send(order));
    }
}

/// How often topics and partitions are looked for, ms. A producer may know of a new partition long
/// before the configured interval is over; lanes that run over the whole stream go on there, and
/// their numbers must be read within the grace.
fn interval_ms(settings: &KafkaSettings, engine: &EngineSettings) -> u64 {
    let own = engine.streams.iter().filter(|(stream, _)| {
        let topic = stream.strip_prefix(&settings.stream_prefix);
        topic.is_some_and(|topic| settings.topics.take(topic))
    });
    let default = engine.checker.default_stream.grace_ms;
    let grace = own.map(|(_, stream)| stream.grace_ms).fold(default, u64::min);
    let configured = u64::try_from(settings.metadata_interval.as_millis()).unwrap_or(u64::MAX);
    configured.min((grace / 4).max(LEAST_INTERVAL_MS))
}

#[cfg(test)]
mod tests {
    use lacuna_core::StreamSettings;

    use super::super::topics::Topics;
    use super::*;

    #[test]
    fn partitions_are_looked_for_well_within_the_shortest_grace() {
        let interval = |configured, default, own: &[(&str, u64)]| {
            let topics = Topics::new(vec!["bills".to_owned()], &["orders.*"], &[] as &[&str]);
            let mut settings = KafkaSettings::new("main", "", topics.unwrap());
            settings.stream_prefix = "eu.".to_owned();
            settings.metadata_interval = Duration::from_millis(configured);
            let mut engine = EngineSettings::default();
            engine.checker.default_stream.grace_ms = default;
            for &(stream, grace_ms) in own {
                let stream_settings = StreamSettings { grace_ms, ..StreamSettings::default() };
                engine.streams.insert(stream.to_owned(), stream_settings);
            }
            interval_ms(&settings, &engine)
        };
        assert_eq!(interval(5_000, 60_000, &[]), 5_000);
        assert_eq!(interval(5_000, 10_000, &[]), 2_500);
        assert_eq!(interval(5_000, 10_000, &[("eu.orders-1", 2_000)]), 500);
        assert_eq!(interval(5_000, 10_000, &[("eu.bills", 30_000)]), 2_500);
        // Other sources' streams.
        assert_eq!(interval(5_000, 10_000, &[("orders-1", 1_000), ("eu.cash", 1_000)]), 2_500);
        // Not more often than that, unless configured.
        assert_eq!(interval(5_000, 0, &[]), 100);
        assert_eq!(interval(50, 0, &[]), 50);
    }
}
