//! For as long as `SOAK` says: everything is restarted again and again.

use std::collections::BTreeSet;
use std::env;
use std::time::{Duration, Instant};

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::consumer::{Member, group};
use lacuna_brokers::process::Signal;
use lacuna_brokers::sidecar::{GRACE_S, Sidecar, counts};
use lacuna_brokers::truth::Gap;
use lacuna_brokers::{verify, wait};

use super::groups::handed;
use crate::load::{Load, Rng, counted_once, state};

/// What fills within an hour is to be full within minutes. Rows of repeats are some 100 bytes each and keep
/// their bound: the group's are among them, thousands at a time where a member crashes. The neighbours of
/// all losses are held against the truth: some 200 bytes each.
const BOUNDS: [(&str, &str); 3] =
    [("CUT_MEMORY_BYTES", "65536"), ("READ_TIMES_BYTES", "65536"), ("EVIDENCE", "1000000")];
/// Between two restarts.
const PAUSE: Duration = Duration::from_secs(10);
const FAULTS: [&str; 2] = ["swallow", "repeat"];
const MEMBER: [&str; 3] = [
    "set.partition.assignment.strategy=cooperative-sticky",
    "set.enable.auto.commit=true",
    "set.auto.commit.interval.ms=500",
];

fn join(kafka: &Kafka, sidecar: &Sidecar, topic: &str, number: u64) -> Member {
    Member::join(kafka, topic, &format!("member-{number}"), Some(sidecar), &MEMBER)
}

/// Losses and repeats in the log, a group that comes and goes, and the sidecar, the broker and members
/// killed or restarted every ten seconds; in the second half the sidecar stays, and its memory too.
#[test]
#[ignore = "an hour: tests/run long"]
fn everything_is_restarted_for_an_hour() {
    let kafka = Kafka::take();
    let topic = "soak";
    let seconds = env::var("SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(3_600);
    let length = Duration::from_secs(seconds);
    let mut rng = Rng(seconds);
    let load = Load::with(&kafka, topic, &mut rng, &FAULTS, 100 * seconds);
    let mut sidecar = Sidecar::keeping(&kafka, topic, "off", &state(&kafka, topic));
    // Rows of repeats are forgotten soon, so they are fetched after each restart.
    sidecar.kill();
    for (limit, bound) in BOUNDS {
        sidecar.set(&format!("LACUNA_LIMITS__{limit}"), bound);
    }
    sidecar.start_again();
    sidecar.ready();
    let mut members: Vec<Member> =
        (0..2).map(|number| join(&kafka, &sidecar, topic, number)).collect();
    let mut files: Vec<_> = members.iter().map(Member::file).collect();
    let (mut joined, mut memory, mut repeats) = (2, Vec::new(), BTreeSet::new());
    let mut done = [0_u32; 6];
    #[expect(clippy::disallowed_methods, reason = "it lasts for a time")]
    let since = Instant::now();
    while since.elapsed() < length {
        let what = rng.below(6);
        match what {
            0 if since.elapsed() < length / 2 => {
                sidecar.kill();
                sidecar.start_again();
            }
            1 if since.elapsed() < length / 2 => {
                sidecar.signal(Signal::Terminate);
                let (code, last) = sidecar.refused();
                assert!(matches!(code, Some(0 | 1 | 3)), "ended with {code:?}: {last}");
                sidecar.start_again();
            }
            2 => {
                kafka.kill();
                kafka.start();
            }
            3 if members.len() > 2 => members.remove(0).leave(),
            4 => {
                members.remove(0).kill();
                members.push(join(&kafka, &sidecar, topic, joined));
                files.extend(members.last().map(Member::file));
                joined += 1;
            }
            3 | 5 => {
                members.push(join(&kafka, &sidecar, topic, joined));
                files.extend(members.last().map(Member::file));
                joined += 1;
                if members.len() > 3 {
                    members.remove(0).leave();
                }
            }
            _ => {}
        }
        done[usize::try_from(what).unwrap_or(0)] += 1;
        wait::throughout(PAUSE, || ());
        sidecar.ready();
        repeats.append(&mut verify::repeats(&sidecar, topic));
        if since.elapsed() > length / 2 {
            memory.push(sidecar.resident());
        }
    }
    let truth = load.stop(&kafka, topic);
    verify::counts_and_losses_are_true(&sidecar, topic, &truth);
    counted_once(&sidecar, topic, &truth);
    repeats.append(&mut verify::repeats(&sidecar, topic));
    assert_eq!(repeats, truth.duplicates(), "repeats found, against true");
    // Members that were killed may have been handed what nobody told; nothing is lost by them.
    wait::throughout(Duration::from_secs(2 * GRACE_S), || ());
    let view = wait::until("the group's view is judged", || {
        let report = sidecar.report(&group(topic), topic);
        match counts(&report["streams"][0]) {
            found if !found.contains_key("missing") => Ok(found),
            found => Err(format!("{found:?}")),
        }
    });
    // What was handed to somebody is not lost to the group; nor was it ever called so.
    members.into_iter().for_each(Member::leave);
    // Who was killed may have been about to begin.
    files.retain(|file| file.exists());
    let handed = handed(&files);
    let rows = sidecar.rows("/v1/gaps", &format!("view={}&state=lost", group(topic)));
    let ever = sidecar.rows("/v1/findings", &format!("view={}&state=lost", group(topic)));
    let places = truth.only_at(|place| handed.contains_key(place));
    println!("lost to the group: {rows:?}, ever: {ever:?}");
    for row in &rows {
        let [first, last] = ["first", "last"].map(|name| row[name].as_u64().expect("a number"));
        let of = |gap: &&Gap| {
            row["producer"] == *gap.lane.producer && row["lane"] == *gap.lane.partition
        };
        let false_ones = places.iter().filter(of).any(|gap| gap.first <= last && first <= gap.last);
        assert!(!false_ones, "handed over, and called lost: {row}");
    }
    assert_eq!(ever.len(), rows.len(), "losses of the group, taken back since: {ever:?}");
    // What is fetched anew after a restart of the broker comes and goes, by 20 MiB.
    println!("memory, KiB: {memory:?}");
    let quarter = memory.len() / 4;
    let median = |samples: &mut [u64]| *samples.select_nth_unstable(samples.len() / 2).1;
    let first = median(&mut memory[..=quarter]);
    let from = memory.len() - 1 - quarter;
    let last = median(&mut memory[from..]);
    println!(
        "{} numbers, {} gaps, {} repeats; kills and restarts {done:?}; memory {first} KiB, then \
         {last} KiB; the group: {view:?}",
        truth.distinct(),
        truth.gaps().len(),
        truth.duplicates().len()
    );
    assert!(last < first + first / 10 + 4_096, "memory grew from {first} to {last} KiB");
    sidecar.stop(1);
}
