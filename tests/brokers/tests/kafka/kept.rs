//! What is kept on disk: in use, damaged, an older copy of itself, or without room.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::http::exchange;
use lacuna_brokers::process::Signal;
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::Sidecar;
use lacuna_brokers::truth::Truth;
use lacuna_brokers::{verify, wait};

use crate::load::{Rng, state};

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
