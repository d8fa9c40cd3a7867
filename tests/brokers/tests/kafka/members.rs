//! Groups whose members come, go and crash, and tell what they were handed.

use std::time::Duration;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::consumer::{Member, group};
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::{GRACE_S, Sidecar, counts};
use lacuna_brokers::truth::Truth;
use lacuna_brokers::{verify, wait};

use super::groups::{deserted, group_is_true, handed};

/// A topic of three partitions with a thousand messages each, and a sidecar that watches its group.
fn begin(kafka: &Kafka, topic: &str) -> (Sidecar, Producer) {
    kafka.create(topic, 3);
    let sidecar = Sidecar::start_with(kafka, topic, &["--group", &group(topic)]);
    let mut orders = Producer::start(kafka, topic, "orders", 0, &[]);
    orders.send(3_000);
    orders.wait();
    (sidecar, orders)
}

#[test]
fn a_group_that_is_set_forwards_never_gets_what_was_between() {
    let kafka = Kafka::take();
    let topic = "group-reset";
    let (sidecar, mut orders) = begin(&kafka, topic);
    let mut first = Member::join(&kafka, topic, "first", Some(&sidecar), &[]);
    Member::all_handed(&mut [&mut first], 3_000);
    first.commit(0);
    let left = first.file();
    first.leave();
    orders.send(900);
    orders.wait();
    deserted(&kafka, &sidecar, topic);
    kafka.reset(&group(topic), topic, &["--to-latest"]);
    let mut second = Member::join(&kafka, topic, "second", Some(&sidecar), &[]);
    wait::until("it has all partitions", || match second.partitions() {
        3 => Ok(()),
        other => Err(other.to_string()),
    });
    orders.send(600);
    orders.wait();
    Member::all_handed(&mut [&mut second], 600);
    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[orders.file()]);
    verify::found_is_true(&sidecar, topic, &truth);
    group_is_true(&kafka, &sidecar, topic, &truth, &[left, second.file()]);
    let report = sidecar.report(&group(topic), topic);
    assert_eq!(counts(&report["streams"][0])["lost.consume"], 900);
    sidecar.stop(1);
}

#[test]
fn a_slow_group_is_handed_reordered_messages() {
    let kafka = Kafka::take();
    let topic = "group-slow";
    let (sidecar, mut orders) = begin(&kafka, topic);
    // The log was read long ago when the group comes, and what is out of order there is so here.
    wait::throughout(Duration::from_secs(2 * GRACE_S), || ());
    let mut member = Member::join(&kafka, topic, "member", Some(&sidecar), &[]);
    Member::all_handed(&mut [&mut member], 3_000);
    orders.send(3_000);
    orders.wait();
    Member::all_handed(&mut [&mut member], 6_000);
    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[orders.file()]);
    assert!(truth.reordered() > 0, "four threads send out of order");
    verify::found_is_true(&sidecar, topic, &truth);
    group_is_true(&kafka, &sidecar, topic, &truth, &[member.file()]);
    sidecar.stop(0);
}

#[test]
fn a_static_member_crashes_and_comes_back() {
    let kafka = Kafka::take();
    let topic = "group-static";
    let (sidecar, mut orders) = begin(&kafka, topic);
    let instance = ["set.group.instance.id=one", "set.session.timeout.ms=30000"];
    let join = |name: &str| Member::join(&kafka, topic, name, Some(&sidecar), &instance);
    let mut first = join("first");
    Member::all_handed(&mut [&mut first], 3_000);
    // Behind what it has handled in none, then ahead of it.
    first.commit(30);
    let crashed = first.file();
    first.kill();
    let mut again = join("again");
    Member::all_handed(&mut [&mut again], 3 * 30);
    again.commit(-20);
    let ahead = again.file();
    again.kill();
    orders.send(3_000);
    orders.wait();
    let mut third = join("third");
    Member::all_handed(&mut [&mut third], 3_000 - 3 * 20);
    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[orders.file()]);
    verify::found_is_true(&sidecar, topic, &truth);
    group_is_true(&kafka, &sidecar, topic, &truth, &[crashed, ahead, third.file()]);
    sidecar.stop(1);
}

#[test]
fn partitions_move_one_by_one() {
    let kafka = Kafka::take();
    let topic = "group-cooperative";
    let (sidecar, mut orders) = begin(&kafka, topic);
    // Long enough that nobody is taken for dead who only waits for a busy machine.
    let cooperative =
        ["set.partition.assignment.strategy=cooperative-sticky", "set.session.timeout.ms=6000"];
    let join = |name: &str| Member::join(&kafka, topic, name, Some(&sidecar), &cooperative);
    let mut first = join("first");
    Member::all_handed(&mut [&mut first], 3_000);
    // Whoever is given a partition is handed some of it again; who keeps one goes on in it.
    first.commit(40);
    let mut second = join("second");
    wait::until("a partition has moved", || match (first.partitions(), second.partitions()) {
        (2, 1) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    orders.send(3_000);
    orders.wait();
    Member::all_handed(&mut [&mut first, &mut second], 6_000 + 40);
    // It has not committed: all of that is handed over again.
    let (before, again, crashed) = (first.handed(), second.handed(), second.file());
    second.kill();
    Member::all_handed(&mut [&mut first], before + again);
    // Ahead of what it has handled: the next one misses that.
    first.commit(-25);
    let left = first.file();
    first.leave();
    orders.send(3_000);
    orders.wait();
    deserted(&kafka, &sidecar, topic);
    let mut third = join("third");
    Member::all_handed(&mut [&mut third], 3_000 - 3 * 25);
    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[orders.file()]);
    verify::found_is_true(&sidecar, topic, &truth);
    group_is_true(&kafka, &sidecar, topic, &truth, &[left, crashed, third.file()]);
    sidecar.stop(1);
}

#[test]
fn what_retention_took_from_a_group_is_not_its_fault() {
    let kafka = Kafka::take();
    let topic = "group-overtaken";
    let (sidecar, mut orders) = begin(&kafka, topic);
    sidecar.judged(topic, Truth::of(&kafka, topic).ends());
    let mut first = Member::join(&kafka, topic, "first", Some(&sidecar), &[]);
    Member::all_handed(&mut [&mut first], 3_000);
    first.commit(0);
    let left = first.file();
    first.leave();
    let commits = kafka.commits(&group(topic), topic);
    orders.send(3_000);
    orders.wait();
    deserted(&kafka, &sidecar, topic);
    let mut truth = Truth::of(&kafka, topic);
    sidecar.judged(topic, truth.ends());
    for (partition, committed) in &commits {
        kafka.delete_below(topic, *partition, committed + 100);
    }
    let mut second = Member::join(&kafka, topic, "second", Some(&sidecar), &[]);
    Member::all_handed(&mut [&mut second], 3_000 - 3 * 100);
    truth.add_later(Truth::of(&kafka, topic));
    let handed = handed(&[left, second.file()]);
    let row = wait::until("the group's view is judged", || {
        let report = sidecar.report(&group(topic), topic);
        let row = &report["streams"][0];
        let told = row["totals"]["observed"]["valid"] == 5_700 && row["totals"]["missing"] == 0;
        if told { Ok(row.clone()) } else { Err(row.to_string()) }
    });
    let found = counts(&row);
    assert_eq!((found["seen"], found["by_design.retention"]), (5_700, 300), "{found:?}");
    assert!(!found.keys().any(|name| name.starts_with("lost.")), "{found:?}");
    let query = format!("view={}&stream={topic}&state=retention", group(topic));
    let rows = verify::states(&sidecar.rows("/v1/gaps", &query));
    let gone = truth.only_at(|place| !handed.contains_key(place));
    assert_eq!(rows, [("retention".to_owned(), gone)].into());
    sidecar.stop(0);
}

#[test]
fn what_a_member_does_not_tell_is_unknown() {
    let kafka = Kafka::take();
    let topic = "group-silent";
    let (sidecar, mut orders) = begin(&kafka, topic);
    let mut first = Member::join(&kafka, topic, "first", Some(&sidecar), &[]);
    Member::all_handed(&mut [&mut first], 3_000);
    first.commit(0);
    first.leave();
    orders.send(900);
    orders.wait();
    let mut silent = Member::join(&kafka, topic, "silent", None, &[]);
    Member::all_handed(&mut [&mut silent], 900);
    silent.commit(0);
    silent.leave();
    deserted(&kafka, &sidecar, topic);
    orders.send(600);
    orders.wait();
    let mut third = Member::join(&kafka, topic, "third", Some(&sidecar), &[]);
    Member::all_handed(&mut [&mut third], 600);
    let truth = Truth::of(&kafka, topic);
    verify::found_is_true(&sidecar, topic, &truth);
    let row = wait::until("the group's view is told", || {
        let report = sidecar.report(&group(topic), topic);
        let row = &report["streams"][0];
        let told = row["totals"]["observed"]["valid"] == 3_600 && row["totals"]["missing"] == 0;
        if told { Ok(row.clone()) } else { Err(row.to_string()) }
    });
    let found = counts(&row);
    assert_eq!((found["seen"], found["unknown.paused"]), (3_600, 900), "{found:?}");
    assert!(!found.keys().any(|name| name.starts_with("lost.")), "{found:?}");
    sidecar.stop(3);
}

#[test]
fn without_a_shared_directory_what_a_killed_member_had_not_posted_is_unknown() {
    let kafka = Kafka::take();
    let topic = "group-posted";
    let (sidecar, mut orders) = begin(&kafka, topic);
    let join = |name: &str| Member::join(&kafka, topic, name, Some(&sidecar), &["way=socket"]);
    let told = |numbers: u64| {
        wait::until(&format!("{numbers} are told"), || {
            let report = sidecar.report(&group(topic), topic);
            match report["streams"][0]["totals"]["seen"].as_u64() {
                Some(seen) if seen >= numbers => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    };
    let mut first = join("first");
    Member::all_handed(&mut [&mut first], 3_000);
    told(3_000);
    first.commit(0);
    orders.send(900);
    orders.wait();
    Member::all_handed(&mut [&mut first], 3_900);
    first.kill();
    // It had committed none of these, and the next one is handed them all.
    let mut second = join("second");
    Member::all_handed(&mut [&mut second], 900);
    told(3_900);
    // Ahead of what it has handled: nobody who posts can tell that no other member was between.
    second.commit(-25);
    second.leave();
    orders.send(600);
    orders.wait();
    let mut third = join("third");
    Member::all_handed(&mut [&mut third], 600 - 3 * 25);
    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[orders.file()]);
    verify::found_is_true(&sidecar, topic, &truth);
    let row = wait::until("the group's view is told", || {
        let report = sidecar.report(&group(topic), topic);
        let row = &report["streams"][0];
        let told = row["totals"]["seen"] == 4_425 && row["totals"]["missing"] == 0;
        if told { Ok(row.clone()) } else { Err(row.to_string()) }
    });
    let found = counts(&row);
    assert_eq!(found["unknown.paused"], 75, "{found:?}");
    assert!(found.get("duplicates.redelivered").is_none_or(|again| *again <= 900), "{found:?}");
    let harmless = |name: &String| !name.starts_with("lost.") && name != "duplicates.resent";
    assert!(found.keys().all(harmless), "{found:?}");
    sidecar.stop(if found.contains_key("duplicates.redelivered") { 1 } else { 3 });
}
