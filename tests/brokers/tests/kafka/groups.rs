//! A consumer group that is handed messages again, and one that skips some.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::consumer::{Member, group};
use lacuna_brokers::files::{self, Line};
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::{Sidecar, counts};
use lacuna_brokers::truth::{Duplicate, Place, Truth, nonzero};
use lacuna_brokers::{verify, wait};

/// How often each message was handed over, as the members' files say.
fn handed(files: &[PathBuf]) -> BTreeMap<Place, u64> {
    let mut handed = BTreeMap::new();
    for file in files {
        files::read(file, |line| {
            if let Line::Handed { partition, offset, .. } = line {
                *handed.entry((partition, offset)).or_default() += 1;
            }
        });
    }
    handed
}

/// Holds what was found in the group's view against the members' files and the log.
fn group_is_true(sidecar: &Sidecar, topic: &str, truth: &Truth, files: &[PathBuf]) {
    let handed = handed(files);
    let skipped = truth.only_at(|place| !handed.contains_key(place));
    let view = group(topic);
    let row = &sidecar.report(&view, topic)["streams"][0];
    let times: u64 = handed.values().sum();
    let distinct = handed.len() as u64;
    let mut found = counts(row);
    found.remove("reordered");
    let wanted = nonzero([
        ("observed.valid", times),
        ("seen", distinct),
        ("lost.consume", truth.distinct() - distinct),
        ("open_gaps", skipped.len() as u64),
        ("duplicates.redelivered", times - distinct),
        ("lanes", truth.lanes().count() as u64),
        ("lanes_without_ledger", truth.lanes().count() as u64),
        ("producers", 1),
    ]);
    assert_eq!(found, wanted, "the group's view: found, against true");
    verify::adds_up(row);

    let rows = sidecar.rows("/v1/gaps", &format!("view={view}&stream={topic}"));
    for row in &rows {
        assert_eq!(row["stage"], "consume", "{row}");
    }
    let lost = verify::states(&rows).remove("lost").unwrap_or_default();
    assert_eq!(lost, skipped, "what the group skipped: found, against true");

    let rows = sidecar.rows("/v1/duplicates", &format!("view={view}&stream={topic}"));
    let mut again = BTreeMap::<Duplicate, u64>::new();
    for row in &rows {
        assert_eq!(row["kind"], "redelivered", "{row}");
        *again.entry(verify::duplicate(row)).or_default() += 1;
    }
    let wanted = truth.each().filter_map(|(lane, seq, place)| {
        let times = handed.get(&place).filter(|times| **times > 1)?;
        Some((Duplicate { lane: lane.clone(), seq, position: place.1 }, times - 1))
    });
    assert_eq!(again, wanted.collect(), "what the group was handed again: found, against true");
}

#[test]
fn handed_over_again_and_skipped() {
    let kafka = Kafka::take();
    let topic = "group";
    kafka.create(topic, 3);
    let sidecar = Sidecar::start(&kafka, topic);
    let address = sidecar.address();
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &[]);
    orders.send(3_000);
    orders.wait();
    let truth = Truth::of(&kafka, topic);
    // The log first: by its time the group's view is judged.
    sidecar.judged(topic, truth.ends());

    // One member reads all and commits less. A second one joins, and what was not committed is
    // handed over again to whoever has the partition now.
    let mut first = Member::join(&kafka, topic, "first", address, &["first=yes"]);
    Member::all_handed(&mut [&mut first], 3_000);
    first.commit(40);
    let mut second = Member::join(&kafka, topic, "second", address, &[]);
    Member::all_handed(&mut [&mut first, &mut second], 3_000 + 3 * 40);
    assert!(second.handed() > 0, "the rebalance gave the second member a partition");
    // It crashes before it commits: the first one is handed all of that again, too.
    let before = first.handed();
    let crashed = second.file();
    second.kill();
    Member::all_handed(&mut [&mut first], before + 3 * 40);
    own_view_is_true(&mut first);

    // It commits more than it has handled, and leaves: the group never sees what is in between.
    first.commit(-50);
    let left = first.file();
    first.leave();
    orders.send(3_000);
    orders.wait();
    let mut third = Member::join(&kafka, topic, "third", address, &[]);
    Member::all_handed(&mut [&mut third], 3_000 - 3 * 50);
    own_view_is_true(&mut third);

    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[orders.file()]);
    verify::found_is_true(&sidecar, topic, &truth);
    wait::until("the group's view is judged", || {
        third.report_ends();
        let report = sidecar.report(&group(topic), topic);
        let totals = &report["streams"][0]["totals"];
        if totals["missing"] == 0 { Ok(()) } else { Err(totals.to_string()) }
    });
    group_is_true(&sidecar, topic, &truth, &[left, crashed, third.file()]);
    sidecar.stop(1);
}

/// Holds what a member's own checker says against the member's own file. It cannot know what other
/// members were handed, so nothing is lost for it.
fn own_view_is_true(member: &mut Member) {
    let found = member.totals();
    let handed = handed(&[member.file()]);
    let (distinct, times) = (handed.len() as u64, handed.values().sum::<u64>());
    assert_eq!(found, [distinct, times - distinct, 0], "seen, redelivered, lost or missing");
}
