//! What is saved is the state of one instant, however slowly it is written and whatever happens
//! meanwhile; and who goes on from it finds what would have been found.
#![expect(clippy::unwrap_used, reason = "a test tells by panicking")]

use std::collections::BTreeMap;

use lacuna_core::report::Filter;
use lacuna_core::stamp::Encoder;
use lacuna_core::state::{Damaged, Key, Loader};
use lacuna_core::{Checker, Limits, Observation, PartitionId, Settings, Watch};

type Store = BTreeMap<Key, Vec<u8>>;

/// Saves it a block at a time; `meanwhile` is what happens between two of them.
fn save(checker: &mut Checker, store: &mut Store, mut meanwhile: impl FnMut(&mut Checker)) {
    let mut writes = Vec::new();
    let mut put = |key, bytes: Option<&[u8]>| writes.push((key, bytes.map(<[u8]>::to_vec)));
    checker.save(&mut put);
    while checker.save_more(1, &mut put) {
        meanwhile(checker);
    }
    for (key, bytes) in writes {
        match bytes {
            Some(bytes) => drop(store.insert(key, bytes)),
            None => drop(store.remove(&key)),
        }
    }
}

fn load(settings: Settings, store: &Store) -> Result<Checker, Damaged> {
    let mut checker = Checker::new(settings);
    let mut loader = Loader::new(&mut checker);
    for (key, bytes) in store {
        loader.record(*key, bytes)?;
    }
    loader.finish()?;
    Ok(checker)
}

fn shown(checker: &mut Checker) -> String {
    format!("{:#?}", checker.report(&Filter::default(), true))
}

fn watch(checker: &mut Checker, view: &str, partition: &str) -> PartitionId {
    let id = checker.partition(view, "orders", partition).unwrap();
    checker.watch(id, &Watch { from_start: true, at: 1_000, ..Watch::default() });
    id
}

/// Four blocks of lanes, and a part of one.
const LANES: usize = 300;
const PARTITIONS: usize = 3;

fn few_lanes() -> Settings {
    Settings { limits: Limits { lanes: LANES, ..Limits::default() }, ..Settings::default() }
}

/// Lanes that come and go.
struct Traffic {
    ids: Vec<PartitionId>,
    random: u64,
    messages: u64,
}

impl Traffic {
    /// Knuth's MMIX generator.
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % bound
    }

    /// Messages of the newest lanes, of each of which some number is missing.
    fn go_on(&mut self, checker: &mut Checker, most: u64) {
        for _ in 0..self.below(most) {
            self.messages += 1;
            let lane = (self.messages / 4).saturating_sub(self.below(LANES as u64));
            let partition = lane % PARTITIONS as u64;
            let name = format!("web-{lane}");
            let mut encoder = Encoder::new(&name, 1, "orders", &partition.to_string()).unwrap();
            let at = 1_000 + self.messages;
            let stamp = Some(encoder.encode(self.messages / 200 + self.below(3)));
            let id = self.ids[usize::try_from(partition).unwrap()];
            checker.observe(id, &Observation { at, stamp, ..Observation::default() });
        }
    }
}

/// Lanes come, are evicted, and others take their places.
#[test]
fn an_instant_is_what_it_was_while_lanes_come_and_go() {
    for seed in 0..20 {
        let mut checker = Checker::new(few_lanes());
        let ids = (0..PARTITIONS).map(|label| watch(&mut checker, "log", &label.to_string()));
        let mut traffic = Traffic { ids: ids.collect(), random: seed, messages: 0 };
        let mut store = Store::new();
        for _ in 0..30 {
            traffic.go_on(&mut checker, 400);
            let then = shown(&mut checker);
            save(&mut checker, &mut store, |checker| traffic.go_on(checker, 60));
            let read = load(few_lanes(), &store).map(|mut read| shown(&mut read));
            assert!(read == Ok(then), "seed {seed}: {:?}", read.err());
        }
        assert!(checker.reached().lanes > 1_000, "few lanes were evicted");
    }
}

/// A group's end is looked at in slices of its lanes.
#[test]
fn what_is_left_of_a_group_s_end_is_looked_at_after_a_restart() {
    const LANES: u64 = 10_000;
    let mut checker = Checker::new(Settings::default());
    let (log, group) = (watch(&mut checker, "log", "0"), watch(&mut checker, "billing", "0"));
    let mut see = |id, lane: u64, seq| {
        let mut encoder = Encoder::new(&format!("web-{lane}"), 1, "orders", "0").unwrap();
        let (position, stamp) = (Some(2 * lane + seq), Some(encoder.encode(seq)));
        checker.observe(id, &Observation { position, at: 2_000, stamp, ..Observation::default() });
    };
    for lane in 0..LANES {
        see(log, lane, 0);
        see(log, lane, 1);
        see(group, lane, 0);
    }
    checker.end(log, Some(2 * LANES), 100_000);
    checker.end(group, Some(2 * LANES), 100_000);
    let mut store = Store::new();
    save(&mut checker, &mut store, |_| ());
    let mut read = load(Settings::default(), &store).unwrap();
    let billing = Filter { view: Some("billing".into()), ..Filter::default() };
    for checker in [&mut checker, &mut read] {
        let totals = checker.report(&billing, false)[0].totals;
        assert_eq!((totals.lost.consume, totals.missing), (u128::from(LANES), 0));
    }
}
