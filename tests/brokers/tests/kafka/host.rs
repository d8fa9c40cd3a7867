//! The application's process goes on as though nothing were amiss, whatever is amiss with its
//! sidecar, its ledger's topic or its cluster; and each is counted.

use std::collections::BTreeMap;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::consumer::{Member, group};
use lacuna_brokers::ledger;
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::{Sidecar, counts};
use lacuna_brokers::stub::{Manner, Stub};
use lacuna_brokers::truth::Truth;
use lacuna_brokers::{verify, wait};

use super::ledger::{
    Fate, ONE_LANE, REFUSED, assert_counts, assert_found, closed_and_judged, fates,
};

/// Every tenth message is too large for the topic: what the ledger must tell of.
const TOO_LARGE: [&str; 2] = ["long=10", "set.batch.num.messages=1"];

fn too_large(count: u64) -> BTreeMap<u64, Fate> {
    (0..count).step_by(10).map(|seq| (seq, REFUSED)).collect()
}

fn start(kafka: &Kafka, topic: &str, more: &[&str]) -> Producer {
    let more = [ONE_LANE.as_slice(), &TOO_LARGE, more].concat();
    Producer::start(kafka, topic, "orders", 0, &more)
}

/// The ledger goes through the broker and to something that is no sidecar.
fn beside(topic: &str, manner: Manner) {
    let kafka = Kafka::take();
    let ledger = format!("{topic}-ledger");
    kafka.create_narrow(topic, 1_000);
    kafka.create(&ledger, 1);
    let sidecar = Sidecar::hearing(&kafka, &kafka.brokers(), topic, &ledger);
    let stub = Stub::start(manner);
    let (ledger, address) = (format!("ledger={ledger}"), format!("sidecar={}", stub.address()));
    let mut orders = start(&kafka, topic, &[&ledger, &address]);
    orders.send(100);
    orders.wait();
    if manner != Manner::Dead {
        stub.is_asked();
    }
    // One that is silent has not answered yet, and nobody waits for it.
    orders.send(100);
    orders.wait();
    let reported = wait::until("the failures are counted", || match orders.reported() {
        (sent, failed @ 1..) => Ok((sent, failed)),
        none => Err(format!("{none:?}")),
    });
    assert_eq!(reported.0, 0, "nothing has arrived by every way");
    let file = orders.file();
    orders.finish();

    let truth = Truth::of(&kafka, topic);
    let fates = fates(&truth, file);
    assert_eq!(fates, too_large(200));
    let row = closed_and_judged(&sidecar, topic, &truth);
    assert_found(&sidecar, topic, &fates);
    assert_counts(&row, &truth, &fates);
    sidecar.stop(0);
}

#[test]
fn a_sidecar_that_is_dead() {
    beside("beside-dead", Manner::Dead);
}

#[test]
fn a_sidecar_that_takes_requests_and_never_answers() {
    beside("beside-silent", Manner::Silent);
}

#[test]
fn a_sidecar_that_answers_rubbish() {
    beside("beside-garbled", Manner::Garbled);
}

#[test]
fn a_sidecar_that_refuses() {
    beside("beside-refusing", Manner::Refusing);
}

/// The ledger has no way but a topic that cannot be written, until it can.
fn without_ledger(topic: &str, denied: bool) {
    let kafka = Kafka::take();
    let ledger = format!("{topic}-ledger");
    kafka.create_narrow(topic, 1_000);
    if denied {
        kafka.create(&ledger, 1);
        kafka.deny("--add", &ledger);
    }
    let sidecar = Sidecar::hearing(&kafka, &kafka.brokers(), topic, &ledger);
    let mut orders = start(&kafka, topic, &[&format!("ledger={ledger}")]);
    orders.send(200);
    orders.wait();
    wait::until("the failures are counted", || match orders.reported() {
        (0, 1..) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    orders.send(100);
    orders.wait();
    // Nobody has told why these are missing.
    let truth = Truth::of(&kafka, topic);
    verify::found_is_true(&sidecar, topic, &truth);
    let untold = ledger::count(&truth.gaps());
    assert_eq!(untold, 30);

    if denied {
        kafka.deny("--remove", &ledger);
    } else {
        kafka.create(&ledger, 1);
    }
    wait::until("the ledger arrives", || {
        orders.send(1);
        orders.wait();
        match orders.reported() {
            (1.., _) => Ok(()),
            none => Err(format!("{none:?}")),
        }
    });
    let file = orders.file();
    orders.finish();
    let truth = Truth::of(&kafka, topic);
    let fates = fates(&truth, file);
    assert!(fates.len() >= 30 && fates.values().all(|&fate| fate == REFUSED), "{fates:?}");
    let row = closed_and_judged(&sidecar, topic, &truth);
    assert_found(&sidecar, topic, &fates);
    assert_counts(&row, &truth, &fates);
    sidecar.stop(0);
}

#[test]
fn a_ledger_topic_that_is_missing() {
    without_ledger("no-ledger", false);
}

#[test]
fn a_ledger_topic_that_is_denied() {
    without_ledger("denied-ledger", true);
}

#[test]
fn a_cluster_that_is_away() {
    let kafka = Kafka::take();
    let topic = "cluster-away";
    kafka.create(topic, 3);
    let sidecar = Sidecar::start(&kafka, topic);
    kafka.kill();
    // It has never seen the cluster, so that it knows no partitions.
    let more = ["threads=1", "shape=free", "set.message.timeout.ms=90000"];
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &more);
    orders.send(500);
    wait::until("all are taken while nobody can be asked", || match orders.taken() {
        500 => Ok(()),
        fewer => Err(fewer.to_string()),
    });
    assert_eq!(orders.reported(), (0, 0), "there is no ledger");
    kafka.start();
    orders.send(500);
    orders.wait();
    let file = orders.file();
    orders.finish();
    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[file]);
    assert!(truth.lanes().any(|lane| lane.partition == "*"), "without partitions, lane *");
    verify::found_is_true(&sidecar, topic, &truth);
    sidecar.stop(0);
}

/// A member that tells something that is no sidecar: how many messages it says were not told, once
/// `done` says so.
fn tells(topic: &str, manner: Manner, count: u64, done: impl Fn(u64) -> bool) {
    let kafka = Kafka::take();
    kafka.create(topic, 1);
    let sidecar = Sidecar::start(&kafka, topic);
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &ONE_LANE);
    orders.send(count);
    orders.wait();
    let stub = Stub::start(manner);
    let tell = format!("tell={}", stub.address());
    let mut member = Member::join(&kafka, topic, "member", None, &[&tell]);
    Member::all_handed(&mut [&mut member], count);
    wait::until("what was not told is counted", || match member.untold() {
        untold if done(untold) => Ok(()),
        other => Err(other.to_string()),
    });
    member.leave();
    orders.finish();
    let truth = Truth::of(&kafka, topic);
    verify::found_is_true(&sidecar, topic, &truth);
    let report = sidecar.get(&format!("/v1/report?view={}", group(topic)));
    assert_eq!(counts(&report), BTreeMap::new(), "of the group nothing is known: {report}");
    sidecar.stop(0);
}

#[test]
fn a_member_whose_sidecar_refuses() {
    tells("tells-refusing", Manner::Refusing, 3_000, |untold| untold == 3_000);
}

#[test]
fn a_member_whose_sidecar_never_answers() {
    // More than it keeps for a sidecar.
    tells("tells-silent", Manner::Silent, 120_000, |untold| untold > 0);
}
