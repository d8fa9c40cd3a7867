//! The sidecar is killed again and again, and what it finds is as though it had not been.

use std::env;
use std::time::Duration;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::consumer::{Member, group};
use lacuna_brokers::process::Signal;
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::Sidecar;
use lacuna_brokers::truth::Truth;
use lacuna_brokers::wait;

use super::groups::{group_is_true, handed};
use crate::load::{Load, Rng, found_once, state};

/// Instants at which it is killed, unless `KILLS` says otherwise.
const KILLS: u64 = 50;

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
