//! Saved state that is not what was written: it is refused or read, and never more than that.

use std::collections::BTreeMap;

use lacuna_core::state::{Key, Loader};
use lacuna_sim::core_side;
use lacuna_sim::rng::Rng;
use lacuna_sim::traffic::generate;

type Records = BTreeMap<Key, Vec<u8>>;

fn load(records: &Records) -> bool {
    let mut checker = core_side::checker(10, 5);
    let mut loader = Loader::new(&mut checker);
    let read = records.iter().try_for_each(|(key, bytes)| loader.record(*key, bytes));
    read.is_ok() && loader.finish().is_ok()
}

fn damage(records: &mut Records, rng: &mut Rng) {
    let keys: Vec<Key> = records.keys().copied().collect();
    let key = rng.pick(&keys);
    let Some(bytes) = records.get_mut(&key) else { return };
    let at = rng.index(bytes.len());
    match rng.below(6) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, u8::try_from(rng.below(256)).unwrap_or(0)),
        2 => drop(records.remove(&key)),
        // A record in another one's place.
        3 => {
            let bytes = bytes.clone();
            records.insert(rng.pick(&keys), bytes);
        }
        // A number that could be anything.
        4 => drop(bytes.splice(at..at, [0xff; 9])),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << rng.below(8);
            }
        }
    }
}

#[test]
fn no_bytes_make_it_stop() {
    let (mut refused, mut read) = (0_u32, 0_u32);
    for seed in 0..400 {
        let scenario = generate(seed);
        let knobs = &scenario.knobs;
        let mut checker = core_side::checker(knobs.grace, knobs.skew);
        for line in &scenario.lines {
            core_side::apply(&mut checker, line).expect("the generator writes what is taken");
        }
        let mut records = Records::new();
        let mut put = |key, bytes: Option<&[u8]>| {
            if let Some(bytes) = bytes {
                records.insert(key, bytes.to_vec());
            }
        };
        checker.save(&mut put);
        while checker.save_more(usize::MAX, &mut put) {}
        assert!(load(&records), "seed {seed}: what was written is not read");
        let mut rng = Rng::new(seed);
        for _ in 0..20 {
            let mut damaged = records.clone();
            for _ in 0..=rng.below(3) {
                damage(&mut damaged, &mut rng);
            }
            *if load(&damaged) { &mut read } else { &mut refused } += 1;
        }
    }
    assert!(refused > 1_000, "{refused} refused, {read} read");
}
