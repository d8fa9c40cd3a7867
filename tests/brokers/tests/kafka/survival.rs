//! The sidecar is killed again and again, and what it finds is as though it had not been.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::consumer::{Member, group};
use lacuna_brokers::http::exchange;
use lacuna_brokers::ledger;
use lacuna_brokers::process::{Process, Signal};
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::Sidecar;
use lacuna_brokers::truth::Truth;
use lacuna_brokers::{relay, verify, wait};

use super::groups::{group_is_true, handed};

/// Instants at which it is killed, unless `KILLS` says otherwise.
const KILLS: u64 = 50;

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
    fn start(kafka: &Kafka, topic: &str, rng: &mut Rng) -> Self {
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

#[test]
fn the_sidecar_is_killed_at_any_instant() {
    let kafka = Kafka::take();
    let topic = "survives-kills";
    let kills = env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let mut rng = Rng(kills);
    let load = Load::start(&kafka, topic, &mut rng);
    let mut sidecar = Sidecar::keeping(&kafka, topic, "off", &state(&kafka, topic));
    for kill in 0..kills {
        // Mostly soon, on its way up too; now and then after something was judged.
        let most = if kill % 10 == 9 { 5_000 } else { 400 };
        wait::throughout(Duration::from_millis(rng.below(most)), || ());
        sidecar.kill();
        sidecar.start_again();
    }
    let truth = load.stop(&kafka, topic);
    sidecar.ready();
    found_once(&sidecar, topic, &truth);
    sidecar.stop(1);
}

/// Waits until the group's members have its partitions, and the last of them was handed what is sent from
/// then on: all that it has told is in its file then.
fn is_idle(kafka: &Kafka, orders: &mut Producer, topic: &str, members: &mut [&mut Member]) {
    let has = wait::until("they have all partitions", || {
        let has: Vec<_> = members.iter_mut().map(|member| member.partitions()).collect();
        match has.last() {
            Some(&last) if last > 0 && has.iter().sum::<usize>() == 3 => Ok(last),
            _ => Err(format!("{has:?}")),
        }
    });
    let Some(member) = members.last_mut() else { return };
    orders.send(300);
    orders.wait();
    let ends = kafka.ends(topic);
    wait::until("it is handed the last messages", || {
        member.handed();
        let handed = handed(&[member.file()]);
        let whole =
            ends.iter().filter(|&(&partition, end)| handed.contains_key(&(partition, end - 1)));
        match whole.count() {
            all if all == has => Ok(()),
            other => Err(format!("{other} of {has}")),
        }
    });
}

/// Members come, commit less than they were handed, and crash, while nobody or a new sidecar reads
/// their rings.
#[test]
fn what_members_tell_is_heard_through_kills() {
    let kafka = Kafka::take();
    let topic = "survives-members";
    let (mut rng, view) = (Rng(11), group(topic));
    kafka.create(topic, 3);
    let state = state(&kafka, topic);
    let state = state.to_str().expect("a path of text");
    let mut sidecar = Sidecar::start_with(&kafka, topic, &["--group", &view, "--state", state]);
    // From the first kill on: a group that nobody slows down is handed some 20,000 messages again.
    sidecar.set("LACUNA_LIMITS__DUPLICATES", "1000000");
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &[]);
    orders.send(3_000);
    orders.wait();
    let mut first = Member::join(&kafka, topic, "first", Some(&sidecar), &[]);
    Member::all_handed(&mut [&mut first], 3_000);
    let mut files = vec![first.file()];
    let mut second: Option<Member> = None;
    for kill in 0..20 {
        orders.send(600);
        let most = if kill % 4 == 3 { 3_000 } else { 300 };
        wait::throughout(Duration::from_millis(rng.below(most)), || ());
        sidecar.kill();
        match (kill % 5, second.take()) {
            // What it had not committed is handed over again.
            (1, _) => {
                orders.wait();
                first.commit(40);
                let name = format!("second-{kill}");
                let member = Member::join(&kafka, topic, &name, Some(&sidecar), &[]);
                files.push(member.file());
                second = Some(member);
            }
            (4, Some(mut crashes)) => {
                is_idle(&kafka, &mut orders, topic, &mut [&mut first, &mut crashes]);
                first.commit(0);
                crashes.kill();
            }
            (_, other) => second = other,
        }
        sidecar.start_again();
    }
    orders.wait();
    is_idle(&kafka, &mut orders, topic, &mut [&mut first]);
    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[orders.file()]);
    sidecar.ready();
    found_once(&sidecar, topic, &truth);
    group_is_true(&kafka, &sidecar, topic, &truth, &files);
    // Handed over twice is a finding.
    sidecar.stop(1);
}

#[test]
fn sidecar_and_broker_are_killed_together_and_ended_in_good_order() {
    let kafka = Kafka::take();
    let topic = "survives-both";
    let mut rng = Rng(7);
    let load = Load::start(&kafka, topic, &mut rng);
    let mut sidecar = Sidecar::keeping(&kafka, topic, "off", &state(&kafka, topic));
    for round in 0..2 {
        wait::throughout(Duration::from_millis(500 + rng.below(1_000)), || ());
        kafka.kill();
        wait::throughout(Duration::from_millis(rng.below(500)), || ());
        sidecar.kill();
        if round == 0 {
            sidecar.start_again();
            kafka.start();
        } else {
            kafka.start();
            sidecar.start_again();
        }
        sidecar.ready();
    }
    for _ in 0..3 {
        wait::throughout(Duration::from_millis(rng.below(1_500)), || ());
        sidecar.signal(Signal::Terminate);
        let (code, last) = sidecar.refused();
        assert!(matches!(code, Some(0 | 1 | 3)), "ended with {code:?}: {last}");
        sidecar.start_again();
    }
    let truth = load.stop(&kafka, topic);
    sidecar.ready();
    found_once(&sidecar, topic, &truth);
    sidecar.stop(1);
}

#[test]
fn a_state_that_is_in_use_or_damaged_is_left_as_it_is() {
    let kafka = Kafka::take();
    let topic = "damaged";
    kafka.create(topic, 3);
    let dir = state(&kafka, topic);
    let mut sidecar = Sidecar::keeping(&kafka, topic, "off", &dir);
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &["prefetch=yes"]);
    orders.send(3_000);
    orders.wait();
    sidecar.judged(topic, Truth::of(&kafka, topic).ends());

    // A second one on the same directory, at an address of its own.
    let second = kafka.port(61).to_string();
    let dir_text = dir.to_str().expect("a path of text");
    let (brokers, log) = (kafka.brokers(), kafka.directory("sidecar").join("second"));
    let arguments = ["kafka", "--brokers", &brokers, "--topic", topic, "--listen", &second];
    let arguments = [&arguments[..], &["--state", dir_text]].concat();
    let (code, said) =
        Sidecar::launch(&arguments, &[], kafka.port(61), log, PathBuf::new()).refused();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("is in use by another process"), "{said}");

    sidecar.signal(Signal::Terminate);
    assert_eq!(sidecar.refused().0, Some(0));
    let file = dir.join("state.sqlite");
    let whole = fs::read(&file).expect("the state is one file once it was left");
    let refuses = |sidecar: &mut Sidecar, bytes: &[u8], what: &str| {
        fs::write(&file, bytes).expect("the state can be written");
        sidecar.start_again();
        let (code, said) = sidecar.refused();
        assert_eq!(code, Some(2), "{what}: {said}");
        assert!(said.contains("is damaged"), "{what}: {said}");
        assert_eq!(fs::read(&file).expect("it is there"), bytes, "{what}: it was written to");
    };
    refuses(&mut sidecar, &whole[..whole.len() / 2], "cut in half");
    refuses(&mut sidecar, b"nothing of the kind, but long enough to be looked at", "another file");
    // One bit of every copy of a stream's name: of the records that are read, and of older ones.
    let mut renamed = whole.clone();
    let name = topic.as_bytes();
    let places: Vec<usize> = (0..whole.len()).filter(|&at| whole[at..].starts_with(name)).collect();
    assert!(!places.is_empty(), "the state names its streams");
    for at in places {
        renamed[at] ^= 1;
    }
    refuses(&mut sidecar, &renamed, "a name with another letter");
    let mut rng = Rng(3);
    let full: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] != 0).collect();
    for _ in 0..12 {
        let mut flipped = whole.clone();
        let at = usize::try_from(rng.below(full.len() as u64)).unwrap_or(0);
        flipped[full[at]] ^= 1 << rng.below(8);
        fs::write(&file, &flipped).expect("the state can be written");
        sidecar.start_again();
        // A bit that holds nothing may be another one; then all is as it was.
        let sound = wait::until("it answers or ends", || match sidecar.try_get("/readyz") {
            Ok((200, _)) => Ok(true),
            _ if sidecar.has_ended() => Ok(false),
            other => Err(format!("{other:?}")),
        });
        if sound {
            verify::found_is_true(&sidecar, topic, &Truth::of(&kafka, topic));
            sidecar.kill();
        }
    }
    for rest in ["state.sqlite-wal", "state.sqlite-shm"] {
        // Of the runs that were killed above.
        drop(fs::remove_file(dir.join(rest)));
    }

    // As it was: it goes on. And an older copy of it beside what was kept since is refused.
    fs::write(&file, &whole).expect("the state can be written");
    drop(fs::remove_file(dir.join("lock")));
    sidecar.start_again();
    sidecar.ready();
    orders.send(300);
    orders.wait();
    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[orders.file()]);
    verify::found_is_true(&sidecar, topic, &truth);
    sidecar.signal(Signal::Terminate);
    assert_eq!(sidecar.refused().0, Some(0));
    let newest = fs::read(&file).expect("the state is one file once it was left");
    refuses(&mut sidecar, &whole, "an older copy");
    fs::write(&file, newest).expect("the state can be written");
    sidecar.start_again();
    sidecar.ready();
    verify::found_is_true(&sidecar, topic, &truth);
    sidecar.stop(0);
}

/// A small file system of its own, for as long as this is held.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(dir: PathBuf) -> Self {
        fs::create_dir_all(&dir).expect("the run's directory can be written");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(&dir);
        let mounted = mount.status().expect("mount is part of every system");
        assert!(mounted.success(), "a full disk needs one that is small: run this test as root");
        Self(dir)
    }

    /// Leaves no room.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).expect("there is room for a name");
        let block = [0; 4096];
        while file.write_all(&block).is_ok() {}
    }

    fn clear(&self) {
        fs::remove_file(self.0.join("filler")).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a sidecar may have it open still.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[test]
fn a_disk_that_is_full_is_said_and_checking_goes_on() {
    let kafka = Kafka::take();
    let topic = "full";
    kafka.create(topic, 3);
    let disk = SmallDisk::new(state(&kafka, topic));
    let mut sidecar = Sidecar::keeping(&kafka, topic, "off", &disk.0.join("own"));
    let kept = |sidecar: &Sidecar, wanted: f64| {
        wait::until("the state is kept, or not", || {
            match sidecar.metrics_of("lacuna_state_kept")[..] {
                [kept] if kept == wanted => Ok(()),
                ref other => Err(format!("{other:?}")),
            }
        });
    };
    kept(&sidecar, 1.0);
    disk.fill();
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &["prefetch=yes", "threads=4"]);
    orders.send(3_000);
    kept(&sidecar, 0.0);
    let (status, said) = sidecar.try_get("/readyz").expect("it answers");
    assert_eq!(status, 503);
    assert!(said.contains("checking goes on in memory"), "{said}");
    let line = r#"{"view":"log","stream":"posted","partition":"0","position":0,"at":1}"#;
    let (status, said) =
        exchange(sidecar.address(), "POST", "/v1/observations", line).expect("it answers");
    assert_eq!(status, 503, "what cannot be kept must not be answered as taken: {said}");
    orders.wait();
    let truth = Truth::of(&kafka, topic);
    verify::found_is_true(&sidecar, topic, &truth);
    disk.clear();
    kept(&sidecar, 1.0);
    sidecar.ready();
    sidecar.kill();
    sidecar.start_again();
    sidecar.ready();
    verify::found_is_true(&sidecar, topic, &truth);
    let said = sidecar.said();
    assert_eq!(said.matches("the state cannot be kept").count(), 1, "{said}");
    sidecar.stop(0);
}
