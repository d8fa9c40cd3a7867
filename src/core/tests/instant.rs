//! What is saved is the state of one instant, however slowly it is written and whatever happens
//! meanwhile: lanes come and are evicted, and others take their places.
#![expect(clippy::unwrap_used, reason = "a test tells by panicking")]

use std::collections::BTreeMap;

use lacuna_core::report::Filter;
use lacuna_core::stamp::Encoder;
use lacuna_core::state::{Key, Loader};
use lacuna_core::{Checker, Limits, Observation, PartitionId, Settings, Watch};

/// Four blocks of lanes, and a part of one.
const LANES: usize = 300;
const PARTITIONS: usize = 3;

fn settings() -> Settings {
    Settings { limits: Limits { lanes: LANES, ..Limits::default() }, ..Settings::default() }
}

struct Run {
    checker: Checker,
    ids: Vec<PartitionId>,
    random: u64,
    messages: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut checker = Checker::new(settings());
        let watch = Watch { from_start: true, at: 1_000, ..Watch::default() };
        let ids = (0..PARTITIONS).map(|label| {
            let id = checker.partition("log", "orders", &label.to_string()).unwrap();
            checker.watch(id, &watch);
            id
        });
        let ids = ids.collect();
        Self { ids, checker, random: seed, messages: 0 }
    }

    /// Knuth's MMIX generator.
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % bound
    }

    /// A message of one of the newest lanes, of which the one number or the other is missing.
    fn see(&mut self) {
        self.messages += 1;
        let newest = self.messages / 4;
        let lane = newest.saturating_sub(self.below(LANES as u64));
        let partition = lane % PARTITIONS as u64;
        let name = format!("web-{lane}");
        let mut encoder = Encoder::new(&name, 1, "orders", &partition.to_string()).unwrap();
        let at = 1_000 + self.messages;
        let stamp = Some(encoder.encode(self.messages / 200 + self.below(3)));
        let id = self.ids[usize::try_from(partition).unwrap()];
        self.checker.observe(id, &Observation { at, stamp, ..Observation::default() });
    }

    fn shown(&mut self) -> String {
        shown(&mut self.checker)
    }
}

fn shown(checker: &mut Checker) -> String {
    format!("{:#?}", checker.report(&Filter::default(), true))
}

#[test]
fn an_instant_is_what_it_was_while_lanes_come_and_go() {
    for seed in 0..20 {
        let mut run = Run::new(seed);
        let mut store = BTreeMap::<Key, Vec<u8>>::new();
        for _ in 0..30 {
            for _ in 0..run.below(400) {
                run.see();
            }
            let then = run.shown();
            let mut writes = Vec::new();
            let mut put = |key, bytes: Option<&[u8]>| writes.push((key, bytes.map(<[u8]>::to_vec)));
            run.checker.save(&mut put);
            while run.checker.save_more(1, &mut put) {
                for _ in 0..run.below(60) {
                    run.see();
                }
            }
            for (key, bytes) in writes {
                match bytes {
                    Some(bytes) => drop(store.insert(key, bytes)),
                    None => drop(store.remove(&key)),
                }
            }
            let mut read = Checker::new(settings());
            let mut loader = Loader::new(&mut read);
            for (key, bytes) in &store {
                let taken = loader.record(*key, bytes);
                assert_eq!(taken, Ok(()), "seed {seed}: {key:?}");
            }
            assert_eq!(loader.finish(), Ok(()), "seed {seed}");
            assert_eq!(shown(&mut read), then, "seed {seed}");
        }
        assert!(run.checker.reached().lanes > 1_000, "few lanes were evicted");
    }
}
