//! Load with losses and repeats, and what is to be found of it exactly once.

use std::path::PathBuf;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::ledger;
use lacuna_brokers::process::Process;
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::Sidecar;
use lacuna_brokers::truth::Truth;
use lacuna_brokers::{relay, verify, wait};

/// SplitMix64.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 29)) % bound
    }
}

/// Load with losses and repeats, from two producers, on a topic of three partitions.
pub(crate) struct Load {
    relay: Process,
    producers: [Producer; 2],
}

impl Load {
    pub(crate) fn start(kafka: &Kafka, topic: &str, rng: &mut Rng) -> Self {
        Self::with(kafka, topic, rng, &["swallow", "repeat"], 100_000)
    }

    /// With faults of these kinds, as the relay names them, in the first so many messages of each
    /// partition.
    pub(crate) fn with(
        kafka: &Kafka,
        topic: &str,
        rng: &mut Rng,
        kinds: &[&str],
        messages: u64,
    ) -> Self {
        kafka.create(topic, 3);
        // Short runs, all over what will be sent.
        let mut faults = vec![Vec::new(); kinds.len()];
        for partition in 0..3 {
            let mut at = 5 + rng.below(20);
            while at < messages {
                let last = at + rng.below(4);
                let kind = usize::try_from(rng.below(kinds.len() as u64)).unwrap_or(0);
                faults[kind].push(format!("{partition}:{at}-{last}"));
                at = last + 20 + rng.below(80);
            }
        }
        let lists = kinds.iter().zip(&faults).flat_map(|(kind, at)| {
            let some = at.chunks(1_000).enumerate();
            some.map(move |(number, at)| format!("{kind}.{number}={}", at.join(",")))
        });
        let faults: Vec<_> = std::iter::once("partitions=3".to_owned()).chain(lists).collect();
        let faults: Vec<_> = faults.iter().map(String::as_str).collect();
        let (relay, brokers) = relay::start(kafka, topic, &faults);
        let producers = ["first", "second"].map(|name| {
            let mut producer =
                Producer::start(kafka, topic, name, 0, &[brokers.as_str(), "prefetch=yes"]);
            producer.load(100);
            producer
        });
        Self { relay, producers }
    }

    /// Ends it, and gives what is in the log.
    pub(crate) fn stop(self, kafka: &Kafka, topic: &str) -> Truth {
        let Self { relay, mut producers } = self;
        for producer in &mut producers {
            producer.stop();
            producer.wait();
        }
        relay.finish();
        let truth = Truth::of(kafka, topic);
        truth.lacks_only_what_was_acknowledged(&[producers[0].file(), producers[1].file()]);
        assert!(truth.gaps().len() > 10 && truth.duplicates().len() > 10, "too little happened");
        truth
    }
}

pub(crate) fn state(kafka: &Kafka, topic: &str) -> PathBuf {
    kafka.directory("state").join(topic)
}

/// All that was found, and each of it once: in the report, in the counters and in the history.
pub(crate) fn found_once(sidecar: &Sidecar, topic: &str, truth: &Truth) {
    verify::found_is_true(sidecar, topic, truth);
    counted_once(sidecar, topic, truth);
}

/// Each finding once in the counters and in the history.
pub(crate) fn counted_once(sidecar: &Sidecar, topic: &str, truth: &Truth) {
    let lost = ledger::count(&truth.gaps());
    let sum = |name: &str| sidecar.samples_of(name, "view=\"log\"").iter().sum::<f64>();
    #[expect(clippy::cast_precision_loss, reason = "few are lost")]
    let (lost_as, resent_as) = (lost as f64, truth.duplicates().len() as f64);
    assert_eq!(sum("lacuna_lost_messages_total"), lost_as, "entries into lost");
    assert_eq!(sum("lacuna_duplicate_messages_total"), resent_as, "repeats counted");
    let count = |row: &serde_json::Value| {
        row["last"].as_u64().zip(row["first"].as_u64()).map_or(0, |(last, first)| last - first + 1)
    };
    // The history has what is kept, which is later than what is found.
    let history = wait::until("all is in the history", || {
        let rows = sidecar.rows("/v1/findings", &format!("view=log&stream={topic}&state=lost"));
        match rows.iter().map(count).sum::<u64>() {
            fewer if fewer < lost => Err(format!("{fewer} of {lost}")),
            all => Ok(all),
        }
    });
    assert_eq!(history, lost, "the history of losses");
}
