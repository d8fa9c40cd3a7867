//! Groups beside transactions: one that waits for an open transaction, and such as skip positions in
//! which transactions ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::consumer::{Member, group};
use lacuna_brokers::ledger::{self, answers};
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::{GRACE_S, Sidecar, binary, counts};
use lacuna_brokers::truth::{Counts, Gap, Truth, nonzero};
use lacuna_brokers::{verify, wait};
use serde_json::Value;

use super::groups::{deserted, handed};
use super::load::state;

const KEYED: [&str; 3] = ["prefetch=yes", "threads=1", "shape=keyed"];

/// A topic of three partitions, and a sidecar that has its group's view.
fn watched(topic: &str) -> (Kafka, Sidecar) {
    let kafka = Kafka::take();
    kafka.create(topic, 3);
    let sidecar = Sidecar::start_with(&kafka, topic, &["--group", &group(topic)]);
    (kafka, sidecar)
}

fn transactional(kafka: &Kafka, topic: &str, name: &str) -> Producer {
    let id = format!("set.transactional.id={topic}-{name}");
    Producer::start(kafka, topic, name, 0, &[KEYED.as_slice(), &[&id]].concat())
}

/// Waits until each of so many transactions has its mark in each of three partitions: a commit returns
/// before that.
fn marked(kafka: &Kafka, topic: &str, transactions: u64, messages: u64) {
    wait::until("each transaction has its marks", || {
        let end: u64 = kafka.ends(topic).values().sum();
        if end == messages + 3 * transactions { Ok(()) } else { Err(end.to_string()) }
    });
}

/// The group's view with nothing in it but what it lacks, once that is so.
fn lacks(sidecar: &Sidecar, topic: &str, what: &str, wanted: &Counts) {
    wait::until(what, || {
        let mut found = counts(&sidecar.report(&group(topic), topic)["streams"][0]);
        let lacks = |name: &String| {
            ["seen", "missing", "unknown", "lost", "by_design"]
                .iter()
                .any(|state| name.starts_with(state))
        };
        found.retain(|name, _| lacks(name));
        if found == *wanted { Ok(()) } else { Err(format!("{found:?}, not {wanted:?}")) }
    });
}

#[test]
fn what_an_open_transaction_holds_back_is_lag() {
    let topic = "held-back";
    let (kafka, sidecar) = watched(topic);
    let more = ["set.isolation.level=read_committed"];
    let mut member = Member::join(&kafka, topic, "member", Some(&sidecar), &more);
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &KEYED);
    orders.send(300);
    orders.wait();
    Member::all_handed(&mut [&mut member], 300);
    let mut billing = transactional(&kafka, topic, "billing");
    billing.leave_open(200);
    orders.send(300);
    orders.wait();
    let truth = Truth::of(&kafka, topic);
    assert_eq!(truth.distinct(), 800);
    verify::found_is_true(&sidecar, topic, &truth);
    // Several graces long: the group can read no further, and nothing of that is a loss.
    wait::throughout(Duration::from_secs(3 * GRACE_S), || {
        let found = counts(&sidecar.report(&group(topic), topic)["streams"][0]);
        let wrong = |name: &String| name.starts_with("lost") || name.starts_with("unknown");
        assert!(!found.keys().any(wrong), "{found:?}");
    });
    assert_eq!(member.handed(), 300, "it waits for the transaction");
    billing.commit();
    Member::all_handed(&mut [&mut member], 800);
    lacks(&sidecar, topic, "all of it is handed over", &nonzero([("seen", 800)]));
    verify::found_is_true(&sidecar, topic, &truth);
    member.leave();
    sidecar.stop(0);
}

/// A group that skips positions, some of which were rolled back. Without a ledger, what it was not
/// handed is `without`; with one, each is what it is.
fn skips(topic: &str, isolation: &str, without: &str) {
    let (kafka, sidecar) = watched(topic);
    let isolation = format!("set.isolation.level={isolation}");
    let join = |name| Member::join(&kafka, topic, name, Some(&sidecar), &[&isolation]);
    let mut first = join("first");
    let mut billing = transactional(&kafka, topic, "billing");
    billing.transact(300);
    Member::all_handed(&mut [&mut first], 300);
    first.commit(-60);
    let left = first.file();
    first.leave();
    let before = answers(&[billing.file()]);
    billing.roll_back(300);
    let rolled_back = answers(&[billing.file()]);
    billing.transact(300);
    // The last messages are no transaction's, nor is what stands behind them.
    marked(&kafka, topic, 3, 900);
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &KEYED);
    orders.send(300);
    orders.wait();
    let mut said = answers(&[billing.file(), orders.file()]);
    for (lane, answers) in &mut said {
        let of = |all: &BTreeMap<_, ledger::Answers>| {
            all.get(lane).map(|said| said.acknowledged.clone()).unwrap_or_default()
        };
        answers.aborted = of(&rolled_back).difference(&of(&before)).copied().collect();
    }
    deserted(&kafka, &sidecar, topic);
    let mut second = join("second");
    let truth = Truth::of(&kafka, topic);
    assert_eq!(truth.distinct(), 1_200);
    verify::found_is_true(&sidecar, topic, &truth);
    let committed = ledger::such(
        &said,
        |said| &said.acknowledged,
        |lane, seq| !said[lane].aborted.contains(&seq),
    );
    assert_eq!(ledger::count(&committed), 900);
    // Each partition's last message is an order's, which it is handed last.
    let last = truth.ends().clone();
    let files = [left, second.file()];
    let handed = wait::until("the group has come to the end", || {
        second.handed();
        let handed = handed(&files);
        let at_end = last.iter().all(|(&partition, &end)| handed.contains_key(&(partition, end)));
        if at_end { Ok(handed) } else { Err(format!("{} of them", handed.len())) }
    });
    assert!(handed.values().all(|times| *times == 1), "nothing is handed over twice");
    let unhanded =
        |lane: &_, seq| truth.places(lane, seq).iter().all(|place| !handed.contains_key(place));
    let all = ledger::such(&said, |said| &said.acknowledged, unhanded);
    let aborted = ledger::such(&said, |said| &said.aborted, unhanded);
    let lost = ledger::such(
        &said,
        |said| &said.acknowledged,
        |lane, seq| unhanded(lane, seq) && !said[lane].aborted.contains(&seq),
    );
    assert!(!aborted.is_empty() && !lost.is_empty(), "some of both were skipped");

    let seen = handed.len() as u64;
    let wanted = nonzero([("seen", seen), (without, ledger::count(&all))]);
    lacks(&sidecar, topic, "what nobody speaks of", &wanted);
    let state = without.split('.').next().unwrap_or_default();
    assert_eq!(gaps(&sidecar, topic), [(state.to_owned(), all)].into());

    sidecar.send("POST", "/v1/ledger", &ledger::ledger(topic, &said));
    let wanted = nonzero([
        ("seen", seen),
        ("by_design.aborted", ledger::count(&aborted)),
        ("lost.consume", ledger::count(&lost)),
    ]);
    lacks(&sidecar, topic, "what the ledger speaks of", &wanted);
    let found = [("aborted".to_owned(), aborted), ("lost".to_owned(), lost)].into();
    assert_eq!(gaps(&sidecar, topic), found);
    second.leave();
    sidecar.stop(1);
}

/// What ends a transaction stands behind its last message, and nobody is handed it: a group that was
/// handed that message has come to the end, and what it lacks there is judged without another one.
fn comes_to_its_end(topic: &str, crashes: bool) {
    let kafka = Kafka::take();
    kafka.create(topic, 3);
    let dir = state(&kafka, topic);
    let kept = dir.to_str().expect("a path of text");
    let group = group(topic);
    let more = ["--group", &group, "--state", kept];
    let mut sidecar = Sidecar::start_with(&kafka, topic, &more);
    let join = |name, sidecar: &Sidecar| Member::join(&kafka, topic, name, Some(sidecar), &[]);
    let mut first = join("first", &sidecar);
    let mut billing = transactional(&kafka, topic, "billing");
    billing.transact(300);
    Member::all_handed(&mut [&mut first], 300);
    let left = first.file();
    first.leave();
    deserted(&kafka, &sidecar, topic);
    billing.transact(60);
    marked(&kafka, topic, 2, 360);
    kafka.reset(&group, topic, &["--to-latest"]);

    // Two transactions, the marks of which are read one after the other.
    let mut orders = transactional(&kafka, topic, "orders");
    orders.leave_open(150);
    transactional(&kafka, topic, "web").transact(150);
    marked(&kafka, topic, 3, 660);
    is_kept(&dir, &kafka, topic);
    orders.commit();
    marked(&kafka, topic, 4, 660);
    is_kept(&dir, &kafka, topic);
    if crashes {
        sidecar.kill();
        sidecar.start_again();
        sidecar.ready();
        deserted(&kafka, &sidecar, topic);
    }
    let mut second = join("second", &sidecar);
    Member::all_handed(&mut [&mut second], 300);

    let truth = Truth::of(&kafka, topic);
    assert_eq!(truth.distinct(), 660);
    verify::found_is_true(&sidecar, topic, &truth);
    let handed = handed(&[left, second.file()]);
    let skipped = truth.only_at(|place| !handed.contains_key(place));
    assert_eq!(ledger::count(&skipped), 60);
    let wanted = nonzero([("seen", 600), ("lost.consume", 60)]);
    lacks(&sidecar, topic, "the end is judged", &wanted);
    assert_eq!(gaps(&sidecar, topic), [("lost".to_owned(), skipped)].into());
    second.leave();
    sidecar.stop(1);
}

/// Waits until what is kept of a log's reading reaches to its end.
fn is_kept(dir: &Path, kafka: &Kafka, topic: &str) {
    let ends = kafka.ends(topic);
    wait::until("the log's end is kept", || {
        let mut inspect = Command::new(binary());
        let said = inspect.args(["state", "inspect"]).arg(dir).output().expect("it was built");
        let account: Value =
            serde_json::from_slice(&said.stdout).map_err(|error| error.to_string())?;
        let taps = &account["taps"]["kafka"];
        let next = |partition| taps[format!("log/{partition}/{topic}")]["next"].as_u64();
        let kept = ends.iter().all(|(&partition, &end)| next(partition) == Some(end));
        if kept { Ok(()) } else { Err(format!("{taps}, not {ends:?}")) }
    });
}

#[test]
fn a_group_comes_to_an_end_behind_which_marks_stand() {
    comes_to_its_end("marked-end", false);
}

#[test]
fn a_group_comes_to_such_an_end_that_was_read_before_a_crash() {
    comes_to_its_end("marked-end-crash", true);
}

fn gaps(sidecar: &Sidecar, topic: &str) -> BTreeMap<String, BTreeSet<Gap>> {
    let rows = ["lost", "missing", "unknown", "aborted"].map(|state| {
        let query = format!("view={}&stream={topic}&state={state}", group(topic));
        sidecar.rows("/v1/gaps", &query)
    });
    verify::states(&rows.concat())
}

#[test]
fn a_group_that_reads_committed_skips_positions() {
    skips("skips-committed", "read_committed", "unknown.transaction");
}

#[test]
fn a_group_that_reads_uncommitted_skips_positions() {
    skips("skips-uncommitted", "read_uncommitted", "lost.consume");
}
