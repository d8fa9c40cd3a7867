//! The tap on librdkafka's embedded broker.

use std::collections::HashSet;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use clap::Parser;
use lacuna_core::Checker;
use lacuna_core::report::Filter;
use lacuna_core::stamp::{Encoder, HEADER};
use lacuna_core::totals::Totals;
use lacuna_core::verdict::State;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use tokio::time::{sleep, timeout};

use super::{From, KafkaSettings, Topics, open};
use crate::audit;
use crate::cli::{AuditCommand, Cli, Command};
use crate::engine::{Engine, EngineSettings, Opened, Switch, Tap};
use crate::exit::Exit;

/// Far above what any step takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Cluster {
    pub(super) mock: MockCluster<'static, DefaultProducerContext>,
    pub(super) producer: BaseProducer,
}

impl Cluster {
    pub(super) fn start(topics: &[(&str, i32)]) -> Self {
        let mock = MockCluster::new(1).unwrap();
        for &(topic, partitions) in topics {
            mock.create_topic(topic, partitions, 1).unwrap();
        }
        let producer = ClientConfig::new()
            .set("bootstrap.servers", mock.bootstrap_servers())
            .set("reconnect.backoff.max.ms", "100")
            .create()
            .unwrap();
        Self { mock, producer }
    }

    /// Stores these numbers of one producer, in the order given.
    pub(super) fn send(&self, topic: &str, partition: i32, numbers: impl IntoIterator<Item = u64>) {
        let mut encoder = Encoder::new("p", 1, topic, &partition.to_string()).unwrap();
        for number in numbers {
            let header = Header { key: HEADER, value: Some(encoder.encode(number)) };
            let record = BaseRecord::<(), [u8]>::to(topic)
                .partition(partition)
                .payload(b"x")
                .headers(OwnedHeaders::new().insert(header));
            self.producer.send(record).unwrap();
        }
        self.producer.flush(PATIENCE).unwrap();
    }

    pub(super) fn tap(&self, topics: Topics, from: From, engine: &EngineSettings) -> Engine {
        let mut settings = KafkaSettings::new("k", &self.mock.bootstrap_servers(), topics);
        settings.from = from;
        settings.metadata_interval = Duration::from_millis(200);
        let opened = open(settings, engine).unwrap();
        Engine::start(engine, vec![opened]).unwrap()
    }
}

fn topics_named(names: Vec<String>) -> Topics {
    Topics::new(names, &[] as &[&str], &[] as &[&str]).unwrap()
}

pub(super) fn settings(grace_ms: u64) -> EngineSettings {
    let mut settings = EngineSettings::default();
    settings.checker.default_stream.grace_ms = grace_ms;
    settings
}

pub(super) async fn until(engine: &Engine, what: &str, holds: impl Fn(&Totals) -> bool) -> Totals {
    let waiting = async {
        loop {
            let totals = engine.totals().await.unwrap();
            if holds(&totals) {
                return totals;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    match timeout(PATIENCE, waiting).await {
        Ok(totals) => totals,
        Err(_) => panic!("{what}: {:#?}", engine.totals().await),
    }
}

pub(super) async fn ready(engine: &Engine) {
    until(engine, "ready", |_| engine.ready()).await;
}

#[tokio::test]
async fn what_is_not_in_the_log_is_lost_at_its_end_too() {
    let cluster = Cluster::start(&[("a", 2)]);
    cluster.send("a", 0, (0..1000).filter(|number| !(400..410).contains(number)));
    cluster.send("a", 1, 1..500);
    let engine = cluster.tap(Topics::named("a"), From::Beginning, &settings(300));
    // Nothing more is written: only ends that the broker is asked for can judge.
    let totals = until(&engine, "judged", |totals| totals.lost_sum() > 10).await;
    assert_eq!((totals.seen, totals.lost.undetermined, totals.missing), (1489, 11, 0));
    let lost = Arc::new(|state| matches!(state, Some(State::Lost(_))));
    let mut gaps = engine.gaps(Filter::default(), lost, None, 10).await.unwrap();
    gaps.sort_by_key(|gap| gap.partition.clone());
    let ranges: Vec<_> = gaps.iter().map(|gap| (&*gap.partition, gap.first, gap.last)).collect();
    assert_eq!(ranges, [("0", 400, 409), ("1", 0, 0)]);
}

#[tokio::test]
async fn from_the_end_is_from_now_on_and_what_appears_later_is_from_its_start() {
    let cluster = Cluster::start(&[("a-old", 1), ("b", 1)]);
    cluster.send("a-old", 0, 0..100);
    let topics = Topics::new(Vec::new(), &["a-.*"], &[".*-not"]).unwrap();
    let engine = cluster.tap(topics, From::End, &settings(300));
    ready(&engine).await;
    cluster.send("a-old", 0, 100..150);
    until(&engine, "the old topic", |totals| totals.seen == 50).await;
    for topic in ["a-new", "a-not"] {
        cluster.mock.create_topic(topic, 1, 1).unwrap();
        cluster.send(topic, 0, 1..20);
    }
    let totals = until(&engine, "the new topic", |totals| totals.lost_sum() == 1).await;
    // Of the old one what was before is unknown; of the new one its first message is lost.
    assert_eq!((totals.seen, totals.unknown.joined), (69, 100));
}

#[tokio::test]
async fn streams_are_shared_among_workers() {
    let topics = ["a", "b", "c", "d", "e", "f"];
    let cluster = Cluster::start(&topics.map(|topic| (topic, 2)));
    for (topic, partition) in topics.iter().flat_map(|topic| [(topic, 0), (topic, 1)]) {
        cluster.send(topic, partition, (0..10).filter(|&number| number != 5));
    }
    let settings = EngineSettings { workers: 2, ..settings(300) };
    let places = topics.iter().flat_map(|topic| [(topic, "0"), (topic, "1")]);
    let owners: HashSet<_> = places.map(|(topic, part)| settings.owner(topic, part)).collect();
    assert_eq!(owners.len(), 2);
    let named = topics.map(str::to_owned).to_vec();
    let engine = cluster.tap(topics_named(named), From::Beginning, &settings);
    let totals = until(&engine, "judged", |totals| totals.lost_sum() == 12).await;
    assert_eq!((totals.seen, totals.producers, totals.missing), (108, 1, 0));
    engine.drain().await.unwrap();
    cluster.send("a", 0, 10..20);
    assert_eq!(engine.totals().await.unwrap().seen, 108);
}

#[tokio::test]
async fn a_stream_prefix_does_not_make_stamps_foreign() {
    let cluster = Cluster::start(&[("a", 1)]);
    cluster.send("a", 0, 0..10);
    let engine = settings(300);
    let servers = cluster.mock.bootstrap_servers();
    let mut kafka = KafkaSettings::new("k", &servers, Topics::named("a"));
    kafka.from = From::Beginning;
    kafka.stream_prefix = "eu.".to_owned();
    let opened = open(kafka, &engine).unwrap();
    let engine = Engine::start(&engine, vec![opened]).unwrap();
    let totals = until(&engine, "read", |totals| totals.observed.valid == 10).await;
    assert_eq!(totals.observed.foreign, 0);
    assert_eq!(engine.report(Filter::default(), false).await.unwrap()[0].stream, "eu.a");
}

#[tokio::test]
async fn an_outage_makes_nothing_late() {
    let grace = 1500;
    let cluster = Cluster::start(&[("a", 1)]);
    let engine = cluster.tap(Topics::named("a"), From::Beginning, &settings(grace));
    ready(&engine).await;
    cluster.send("a", 0, [0, 2]);
    until(&engine, "the gap", |totals| totals.missing == 1).await;
    cluster.mock.broker_down(1).unwrap();
    until(&engine, "down", |_| engine.sources().iter().all(|source| !source.up)).await;
    // The outage outlasts the grace: that is what is tried here.
    sleep(Duration::from_millis(2 * grace)).await;
    cluster.mock.broker_up(1).unwrap();
    // What comes first would judge the gap, had its grace not begun anew.
    cluster.send("a", 0, [3, 1]);
    let totals = until(&engine, "after the outage", |totals| totals.seen == 4).await;
    assert_eq!((totals.reordered, totals.recovered, totals.lost_sum()), (1, 0, 0));
    until(&engine, "up", |_| engine.sources().iter().all(|source| source.up)).await;
}

/// Holds its worker up for as long as it is told.
#[derive(Debug)]
struct Sleeper(mpsc::Receiver<Duration>);

impl Tap for Sleeper {
    fn read(&mut self, _: &mut Checker, _: Duration) -> bool {
        self.0.try_iter().for_each(std::thread::sleep);
        false
    }

    fn switch(&mut self, _: &mut Checker, _: &Switch) {}
}

#[tokio::test]
async fn a_worker_that_was_held_up_makes_nothing_late() {
    let grace = 1500;
    let cluster = Cluster::start(&[("a", 1)]);
    let settings = settings(grace);
    let servers = cluster.mock.bootstrap_servers();
    let mut kafka = KafkaSettings::new("k", &servers, Topics::named("a"));
    kafka.from = From::Beginning;
    let mut opened = open(kafka, &settings).unwrap();
    let (hold_up, held_up) = mpsc::channel();
    // Both on the one worker.
    let taps: Vec<Box<dyn Tap>> = vec![Box::new(Both(opened.taps.remove(0), Sleeper(held_up)))];
    let engine = Engine::start(&settings, vec![Opened { source: opened.source, taps }]).unwrap();
    ready(&engine).await;
    cluster.send("a", 0, [0, 2]);
    until(&engine, "the gap", |totals| totals.missing == 1).await;
    hold_up.send(Duration::from_millis(2 * grace)).unwrap();
    cluster.send("a", 0, [3, 1]);
    let totals = until(&engine, "after the stall", |totals| totals.seen == 4).await;
    assert_eq!((totals.reordered, totals.recovered, totals.lost_sum()), (1, 0, 0));
}

/// Two taps as one.
#[derive(Debug)]
struct Both(Box<dyn Tap>, Sleeper);

impl Tap for Both {
    fn read(&mut self, checker: &mut Checker, wait: Duration) -> bool {
        self.1.read(checker, wait);
        self.0.read(checker, wait)
    }

    fn switch(&mut self, checker: &mut Checker, switch: &Switch) {
        self.0.switch(checker, switch);
    }
}

#[test]
fn properties_that_the_tap_rests_on_are_refused() {
    let engine = EngineSettings::default();
    for (property, value) in [("auto.offset.reset", "latest"), ("no.such.property", "1")] {
        let mut settings = KafkaSettings::new("k", "127.0.0.1:1", Topics::named("a"));
        settings.properties.insert(property.to_owned(), value.to_owned());
        let error = open(settings, &engine).unwrap_err().to_string();
        assert!(error.contains(property), "{error}");
    }
}

/// What `lacuna audit kafka` says of topic `a`, and its exit.
fn audit(cluster: &Cluster, more: &[&str]) -> (Exit, serde_json::Value) {
    let servers = cluster.mock.bootstrap_servers();
    let mut line = vec!["lacuna", "audit", "kafka", "--brokers", &servers, "--topic", "a"];
    line.extend(["--format", "json", "--grace", "0s", "--gaps"]);
    line.extend(more);
    let Command::Audit(AuditCommand::Kafka(args)) = Cli::parse_from(line).command else {
        panic!("not an audit");
    };
    let mut out = Vec::new();
    let exit = audit::run_kafka(&args, &mut out).unwrap();
    (exit, serde_json::from_slice(&out).unwrap())
}

#[test]
fn an_audit_judges_a_whole_topic_to_its_end() {
    let cluster = Cluster::start(&[("a", 2)]);
    cluster.send("a", 0, (0..1000).filter(|&number| number != 500));
    cluster.send("a", 1, (0..10).chain([9]));
    let (exit, report) = audit(&cluster, &[]);
    assert_eq!(exit, Exit::Judged(1));
    let totals = &report["totals"];
    assert_eq!(totals["seen"], 1009);
    assert_eq!(totals["lost"]["undetermined"], 1);
    assert_eq!(totals["duplicates"]["resent"], 1);
    assert_eq!(report["gaps"][0]["first"], 500);
    let end = |partition: usize| &report["streams"][0]["partitions"][partition]["end"];
    assert_eq!((end(0), end(1)), (&999.into(), &11.into()));
}

#[test]
fn an_audit_of_a_range_looks_at_nothing_else() {
    let cluster = Cluster::start(&[("a", 1)]);
    cluster.send("a", 0, (0..1000).filter(|&number| number != 100 && number != 900));
    let (exit, report) = audit(&cluster, &["--from", "200", "--to", "800"]);
    assert_eq!(exit, Exit::Judged(0));
    let totals = &report["totals"];
    // Position 200 has number 201.
    assert_eq!((&totals["seen"], &totals["unknown"]["joined"]), (&600.into(), &201.into()));
    assert!(report["streams"][0]["partitions"][0]["end"].is_null());
    let (exit, report) = audit(&cluster, &["--from", "2000"]);
    assert_eq!((exit, &report["totals"]["seen"]), (Exit::Judged(3), &0.into()));
}
