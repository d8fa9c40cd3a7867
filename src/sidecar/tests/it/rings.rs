//! Members that tell through rings, and a sidecar that is killed at any instant.

use std::fs;
use std::path::Path;

use lacuna_core::stamp::Encoder;
use lacuna_ring::{Reader, Reading, Record, Writer, order};
use serde_json::Value;

use crate::run::{CONFIG, Sidecar};
use crate::survive::Dir;

/// A line of another stream.
const OTHER: &str =
    r#"{"watch":{"view":"g","stream":"other","partition":"0","from":"here","at":0}}"#;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 29)) % bound
    }
}

fn start(dir: &Dir, rings: &Path) -> Sidecar {
    let rings = rings.to_str().unwrap();
    let environment = [("LACUNA_STATE__PATH", dir.text()), ("LACUNA_MEMBERS__RING_DIR", rings)];
    Sidecar::with(CONFIG, &environment)
}

fn totals(sidecar: &Sidecar) -> Value {
    sidecar.get("/v1/report?depth=totals")["totals"].clone()
}

fn numbers(row: &Value) -> u64 {
    row.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

/// What is found once so many messages are heard.
fn heard(sidecar: &Sidecar, messages: u64) -> Value {
    for _ in 0..10_000 {
        let found = totals(sidecar);
        let observed = found["observed"]["valid"].as_u64().unwrap();
        assert!(observed <= messages, "{messages} were told: {found}");
        if observed == messages {
            return found;
        }
    }
    panic!("{messages} were told: {}", totals(sidecar));
}

/// What a producer's log holds, and a group whose members are handed it.
struct Group<'a> {
    rings: &'a Path,
    reading: Reading,
    encoder: Encoder,
    position: u64,
    number: u64,
    lost: u64,
    repeated: u64,
}

impl<'a> Group<'a> {
    fn new(rings: &'a Path, reading: Reading) -> Self {
        let encoder = Encoder::new("p", 1, "orders", "0").unwrap();
        Self { rings, reading, encoder, position: 0, number: 0, lost: 0, repeated: 0 }
    }

    /// A member, which has the partition from now on.
    fn member(&self, generation: u64) -> Writer {
        let mut member = Writer::create(self.rings, "billing", self.reading, 1 << 19).unwrap();
        let generation = (self.reading != Reading::Competing).then_some(generation);
        let assigned = Record::Assigned {
            slot: 0,
            stream: "orders",
            partition: "0",
            generation,
            position: None,
            resumed: false,
            order: order(),
        };
        assert!(member.add(&assigned));
        member
    }

    /// One message more, which follows on another one that was lost, or is there twice, now and then.
    fn hand(&mut self, member: &mut Writer, rng: &mut Rng) {
        let repeat = match rng.below(20) {
            0 => {
                self.number += 1;
                self.lost += 1;
                0
            }
            1 if self.number > 0 => {
                self.repeated += 1;
                1
            }
            _ => 0,
        };
        let number = self.number - repeat;
        self.number = number + 1;
        let handed = Record::Handed {
            slot: 0,
            position: (self.reading != Reading::Competing).then_some(self.position),
            time: None,
            redelivered: None,
            stamp: Some(self.encoder.encode(number)),
        };
        assert!(member.add(&handed), "a ring without room");
        self.position += 1;
    }

    fn is_heard_by(&self, sidecar: &Sidecar, seed: u64) {
        let found = heard(sidecar, self.position);
        let seen = self.number - self.lost;
        assert_eq!(found["seen"], seen, "seed {seed}: {found}");
        // Where no order is promised, a number may have been handed over before the group was watched.
        let [missing, joined] = [&found["missing"], &found["unknown"]["joined"]];
        let [missing, joined] = [missing, joined].map(|count| count.as_u64().unwrap());
        let open = match self.reading {
            Reading::Competing => joined,
            Reading::Ordered | Reading::Committed => missing + numbers(&found["lost"]),
        };
        assert_eq!(open, self.lost, "seed {seed}: {found}");
        let other = numbers(&found["unknown"]) - joined;
        assert_eq!(other, 0, "seed {seed}: {found}");
        assert_eq!(numbers(&found["duplicates"]), self.repeated, "seed {seed}: {found}");
    }
}

/// One member hands over to the next, which may be there before the last words of the one before were
/// heard; or they compete.
#[test]
fn a_group_goes_on_through_kills_as_though_there_had_been_none() {
    for (seed, reading) in (0..).zip([Reading::Ordered, Reading::Competing].repeat(3)) {
        let (dir, mut rng) = (Dir::new(&format!("rings-{seed}")), Rng(seed));
        let rings = Path::new(dir.text()).join("rings");
        let mut sidecar = start(&dir, &rings);
        let mut group = Group::new(&rings, reading);
        let mut member = group.member(1);
        let (mut generation, mut killed) = (1, 0);
        while killed < 12 {
            for _ in 0..rng.below(150) {
                group.hand(&mut member, &mut rng);
            }
            match rng.below(4) {
                0 => {
                    assert!(member.add(&Record::Released { slot: 0, order: order() }));
                    generation += 1;
                    member = group.member(generation);
                }
                // What was heard so far is kept when this is answered.
                1 => assert!(sidecar.post("/v1/observations", OTHER).starts_with("HTTP/1.1 200")),
                2 => drop(totals(&sidecar)),
                _ => {
                    drop(sidecar.killed());
                    sidecar = start(&dir, &rings);
                    killed += 1;
                    if rng.below(2) == 0 {
                        group.is_heard_by(&sidecar, seed);
                    }
                }
            }
        }
        group.is_heard_by(&sidecar, seed);
        // The rings of those that have left are gone as soon as that is kept.
        while Reader::list(&rings).unwrap().len() > 1 {
            drop(totals(&sidecar));
        }
        sidecar.end("TERM");
        // A restart in good order goes on as well.
        let sidecar = start(&dir, &rings);
        group.hand(&mut member, &mut rng);
        group.is_heard_by(&sidecar, seed);
    }
}

/// A ring that is gone when the sidecar comes back, or that somebody else has read meanwhile, held nobody
/// knows what.
#[test]
fn what_stood_in_a_ring_and_is_gone_is_unknown() {
    for removed in [true, false] {
        let dir = Dir::new(&format!("rings-gone-{removed}"));
        let rings = Path::new(dir.text()).join("rings");
        let sidecar = start(&dir, &rings);
        let (mut group, mut rng) = (Group::new(&rings, Reading::Ordered), Rng(1));
        let mut member = group.member(1);
        (0..50).for_each(|_| group.hand(&mut member, &mut rng));
        group.is_heard_by(&sidecar, 1);
        let (seen, handed) = (group.number - group.lost, group.position);
        sidecar.end("TERM");
        (0..50).for_each(|_| group.hand(&mut member, &mut rng));
        let unheard = group.position - handed;
        let ring = Reader::list(&rings).unwrap().remove(0);
        if removed {
            fs::remove_file(ring).unwrap();
            member = group.member(2);
        } else {
            let mut other = Reader::open(&ring, None).unwrap();
            while let Ok(Some(_)) = other.next(other.head()) {}
            other.release(other.position());
        }
        let sidecar = start(&dir, &rings);
        (0..50).for_each(|_| group.hand(&mut member, &mut rng));
        let found = heard(&sidecar, group.position - unheard);
        // What was open, what passed, and what is not seen within the first grace.
        let seen_since = found["seen"].as_u64().unwrap() - seen;
        assert!((40..=50).contains(&seen_since), "{removed}: {found}");
        let unseen = group.number - seen - seen_since;
        assert_eq!(numbers(&found["unknown"]), unseen, "{removed}: {found}");
        assert_eq!((&found["missing"], numbers(&found["lost"])), (&0.into(), 0), "{found}");
    }
}
