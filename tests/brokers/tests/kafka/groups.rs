//! A consumer group that is handed messages again, and one that skips some.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::consumer::{Member, group};
use lacuna_brokers::files::{self, Line};
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::{Sidecar, counts, partition_row};
use lacuna_brokers::truth::{Duplicate, Place, Truth, nonzero};
use lacuna_brokers::{verify, wait};
use serde_json::{Value, json};

/// How often each message was handed over, as the members' files say.
pub(super) fn handed(files: &[PathBuf]) -> BTreeMap<Place, u64> {
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

/// Waits until the sidecar has looked at the group once more since its last member left.
pub(super) fn deserted(kafka: &Kafka, sidecar: &Sidecar, topic: &str) {
    kafka.is_deserted(&group(topic));
    let at = || {
        let groups = sidecar.get(&format!("/v1/groups?group={}", group(topic)));
        groups["groups"][0]["at"].as_u64()
    };
    // The look that is under way may have begun before.
    for _ in 0..2 {
        let last = at();
        wait::until("the group is looked at", || {
            if at() > last { Ok(()) } else { Err(String::new()) }
        });
    }
}

/// Waits until the group's view has been told all and is judged to the log's end, and holds what was
/// found in it against the members' files and the log.
pub(super) fn group_is_true(
    kafka: &Kafka,
    sidecar: &Sidecar,
    topic: &str,
    truth: &Truth,
    files: &[PathBuf],
) {
    let handed = handed(files);
    let ends = kafka.ends(topic);
    let told: u64 = handed.values().sum();
    wait::until("the group's view is judged", || {
        let report = sidecar.report(&group(topic), topic);
        let row = &report["streams"][0];
        let at_end = ends.iter().all(|(partition, end)| {
            let row = partition_row(row, &partition.to_string());
            row.is_some_and(|row| row["end"].as_u64() == Some(*end))
        });
        let done =
            at_end && row["totals"]["observed"]["valid"] == told && row["totals"]["missing"] == 0;
        if done { Ok(()) } else { Err(row.to_string()) }
    });
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

/// By partition: what was committed and no member was handed.
fn committed_unhanded(sidecar: &Sidecar, topic: &str) -> BTreeMap<String, Value> {
    let groups = sidecar.get(&format!("/v1/groups?group={}", group(topic)));
    let partitions = groups["groups"][0]["partitions"].as_array().expect("they are a list");
    let row = |row: &Value| {
        let partition = row["partition"].as_str().expect("it has a name").to_owned();
        (partition, row["committed_unhanded"].clone())
    };
    partitions.iter().map(row).collect()
}

/// The last `count` positions below what Kafka's tool says is committed.
fn ahead(kafka: &Kafka, topic: &str, count: u64) -> BTreeMap<String, Value> {
    let commits = kafka.commits(&group(topic), topic).into_iter();
    let range = |commit: u64| json!([[commit - count, commit - 1]]);
    commits.map(|(partition, commit)| (partition.to_string(), range(commit))).collect()
}

/// A topic with so many messages, and a sidecar that has the group's view.
fn sent(kafka: &Kafka, topic: &str, messages: u64) -> (Sidecar, Producer) {
    kafka.create(topic, 3);
    let sidecar = Sidecar::start_with(kafka, topic, &["--group", &group(topic)]);
    let mut orders = Producer::start(kafka, topic, "orders", 0, &[]);
    orders.send(messages);
    orders.wait();
    (sidecar, orders)
}

#[test]
fn handed_over_again_and_skipped() {
    let kafka = Kafka::take();
    let topic = "group";
    let (sidecar, mut orders) = sent(&kafka, topic, 3_000);

    // One member reads all and commits less. A second one joins, and what was not committed is
    // handed over again to whoever has the partition now.
    let mut first = Member::join(&kafka, topic, "first", Some(&sidecar), &[]);
    Member::all_handed(&mut [&mut first], 3_000);
    first.commit(40);
    let mut second = Member::join(&kafka, topic, "second", Some(&sidecar), &[]);
    Member::all_handed(&mut [&mut first, &mut second], 3_000 + 3 * 40);
    assert!(second.handed() > 0, "the rebalance gave the second member a partition");
    // It crashes before it commits: the first one is handed all of that again, too.
    let before = first.handed();
    let crashed = second.file();
    second.kill();
    Member::all_handed(&mut [&mut first], before + 3 * 40);

    // It commits more than it has handled, and leaves: the group never sees what is in between.
    first.commit(-50);
    let left = first.file();
    first.leave();
    orders.send(3_000);
    orders.wait();
    deserted(&kafka, &sidecar, topic);
    assert_eq!(committed_unhanded(&sidecar, topic), ahead(&kafka, topic, 50));
    let mut third = Member::join(&kafka, topic, "third", Some(&sidecar), &[]);
    Member::all_handed(&mut [&mut third], 3_000 - 3 * 50);

    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[orders.file()]);
    verify::found_is_true(&sidecar, topic, &truth);
    group_is_true(&kafka, &sidecar, topic, &truth, &[left, crashed, third.file()]);
    sidecar.stop(1);
}

/// rdkafka's consumer polls on while it is dropped, and throws away what it is handed by that; with
/// `enable.auto.commit` it commits it, too (`Drop for BaseConsumer`, rdkafka 0.39). Nobody injects
/// these losses: what the members wrote down tells how many there were.
#[test]
fn thrown_away_while_leaving() {
    let kafka = Kafka::take();
    let topic = "leaving";
    let (sidecar, mut orders) = sent(&kafka, topic, 3_000);
    // It begins with the log: of what it threw away before its first message nobody could know.
    let mut begins = Member::join(&kafka, topic, "begins", Some(&sidecar), &[]);
    Member::all_handed(&mut [&mut begins], 3_000);
    begins.commit(0);
    let mut files = vec![begins.file()];
    begins.leave();
    // A ring has room for all of them, so that a sidecar that is kept waiting misses none.
    orders.send(40_000);
    orders.wait();

    let committed = loop {
        let name = format!("leaves-{}", files.len());
        // However fast it is, there is something left for it to throw away.
        let more = ["set.enable.auto.commit=true", "most=500"];
        let mut member = Member::join(&kafka, topic, &name, Some(&sidecar), &more);
        wait::until("it is handed something", || {
            if member.handed() > 0 { Ok(()) } else { Err(String::new()) }
        });
        files.push(member.file());
        member.leave();
        deserted(&kafka, &sidecar, topic);
        let committed: u64 = kafka.commits(&group(topic), topic).values().sum();
        let handed = handed(&files).len() as u64;
        println!("{} left, handed {handed}, committed {committed}", files.len() - 1);
        if committed > handed {
            break committed;
        }
        assert!(committed < 43_000, "no member threw anything away");
    };
    // A group that is handed nothing more has no end.
    orders.send(3_000);
    orders.wait();
    let mut stays = Member::join(&kafka, topic, "stays", Some(&sidecar), &[]);
    Member::all_handed(&mut [&mut stays], 46_000 - committed);
    files.push(stays.file());

    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[orders.file()]);
    verify::found_is_true(&sidecar, topic, &truth);
    group_is_true(&kafka, &sidecar, topic, &truth, &files);
    sidecar.stop(1);
}
