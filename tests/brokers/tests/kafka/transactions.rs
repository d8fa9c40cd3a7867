//! Transactions that are rolled back, or whose producer dies, beside a group that reads committed
//! messages only.

use std::collections::BTreeSet;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::consumer::{Member, group};
use lacuna_brokers::ledger::{self, answers};
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::{Sidecar, counts};
use lacuna_brokers::truth::{Counts, Gap, Truth};
use lacuna_brokers::{verify, wait};

/// The gaps of the group's view that are in this state.
fn gaps(sidecar: &Sidecar, topic: &str, state: &str) -> BTreeSet<Gap> {
    let query = format!("view={}&stream={topic}&state={state}", group(topic));
    verify::gaps(&sidecar.rows("/v1/gaps", &query))
}

fn count(counts: &Counts, name: &str) -> u64 {
    counts.get(name).copied().unwrap_or_default()
}

#[test]
fn what_was_rolled_back_is_no_loss_of_a_group_that_reads_committed() {
    let kafka = Kafka::take();
    let topic = "rolled-back";
    kafka.create(topic, 3);
    let sidecar = Sidecar::start_with(&kafka, topic, &["--group", &group(topic)]);
    let more = ["set.isolation.level=read_committed"];
    let mut member = Member::join(&kafka, topic, "member", Some(&sidecar), &more);
    let start = |name: &str, run: u32| {
        let id = format!("set.transactional.id={name}");
        let more = ["prefetch=yes", "threads=1", "shape=keyed", &id];
        Producer::start(&kafka, topic, name, run, &more)
    };
    let mut billing = start("billing", 0);
    billing.transact(300);
    let before = answers(&[billing.file()]);
    billing.roll_back(300);
    let mut after = answers(&[billing.file()]);
    for (lane, said) in &mut after {
        let committed = before.get(lane).map(|said| said.acknowledged.clone()).unwrap_or_default();
        said.aborted = said.acknowledged.difference(&committed).copied().collect();
    }
    // Its next run rolls back what a dead producer left open.
    let mut shipping = start("shipping", 0);
    shipping.leave_open(200);
    let open = answers(&[shipping.file()]);
    shipping.kill();
    let mut shipping = start("shipping", 1);
    shipping.transact(100);
    // The last messages are no transaction's, so that the group reads to the end.
    let more = ["prefetch=yes", "threads=1", "shape=keyed"];
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &more);
    orders.send(200);
    orders.wait();
    Member::all_handed(&mut [&mut member], 600);

    // All of it is in the log, and seen there.
    let truth = Truth::of(&kafka, topic);
    assert_eq!(truth.distinct(), 1_100);
    verify::found_is_true(&sidecar, topic, &truth);
    let view = group(topic);
    let found = |what: &str, unknown: u64, aborted: u64| {
        wait::until(what, || {
            let report = sidecar.report(&view, topic);
            let found = counts(&report["streams"][0]);
            let now = (
                count(&found, "seen"),
                count(&found, "unknown.transaction"),
                count(&found, "by_design.aborted"),
                count(&found, "missing"),
            );
            if now == (600, unknown, aborted, 0) { Ok(found) } else { Err(format!("{found:?}")) }
        })
    };
    // Without a ledger nobody knows that it was not the group that missed it.
    let counted = found("what was not handed over is unknown", 500, 0);
    assert!(counted.keys().all(|name| !name.starts_with("lost")), "{counted:?}");
    let rolled_back = ledger::such(&after, |said| &said.aborted, |_, _| true);
    let left_open = ledger::such(&open, |said| &said.acknowledged, |_, _| true);
    let unknown: BTreeSet<Gap> = rolled_back.union(&left_open).cloned().collect();
    assert_eq!(gaps(&sidecar, topic, "unknown"), unknown);

    // With one it is by design.
    sidecar.send("POST", "/v1/ledger", &ledger::ledger(topic, &after));
    let counted = found("what was rolled back is by design", 200, 300);
    assert!(counted.keys().all(|name| !name.starts_with("lost")), "{counted:?}");
    assert_eq!(gaps(&sidecar, topic, "aborted"), rolled_back);
    assert_eq!(gaps(&sidecar, topic, "unknown"), left_open);
    member.leave();
    sidecar.stop(3);
}
