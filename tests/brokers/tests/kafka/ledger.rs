//! What only the producer's ledger can tell: the end of a lane, and where a message was lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::files::{self, Line};
use lacuna_brokers::producer::Producer;
use lacuna_brokers::proxy::Proxy;
use lacuna_brokers::sidecar::{GRACE_S, Sidecar, counts};
use lacuna_brokers::truth::{Counts, Truth, nonzero};
use lacuna_brokers::{relay, verify, wait};
use serde_json::Value;

/// What a number must be found as: state, stage, and what the ledger says of it.
pub(super) type Fate = (&'static str, &'static str, &'static str);
const LOST_IN_STORE: Fate = ("lost", "store", "acknowledged");
const LOST_IN_PRODUCE: Fate = ("lost", "produce", "unanswered");
pub(super) const REFUSED: Fate = ("refused", "", "refused");

/// By the producer's own file: what became of its numbers in the one lane of this topic that are
/// not in its log.
pub(super) fn fates(truth: &Truth, file: PathBuf) -> BTreeMap<u64, Fate> {
    let lane = truth.lanes().next().expect("the log has a lane");
    let mut fates = BTreeMap::new();
    files::read(&file, |line| {
        let (stamp, fate) = match line {
            Line::Acknowledged { stamp, .. } => (stamp, LOST_IN_STORE),
            Line::Failed { stamp, error } if error.contains("too large") => (stamp, REFUSED),
            Line::Failed { stamp, error } => {
                assert!(error.contains("timed out") || error == "not asked", "{error}");
                (stamp, LOST_IN_PRODUCE)
            }
            Line::Handed { .. } => unreachable!("a producer is handed nothing"),
        };
        let stamp = stamp.expect("it stamps everything");
        let (prefix, seq) = stamp.rsplit_once(';').expect("a stamp has fields");
        assert!(prefix.starts_with(&format!("1;{};{};", lane.producer, lane.epoch)), "{stamp}");
        let seq = seq.parse().expect("a stamp ends in a number");
        if truth.places(lane, seq).is_empty() {
            fates.insert(seq, fate);
        }
    });
    fates
}

/// Every number of the stream's one lane that is not seen, as it was found.
fn found(sidecar: &Sidecar, topic: &str) -> BTreeMap<u64, (String, String, String)> {
    let mut found = BTreeMap::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for state in ["lost", "refused", "missing"] {
        let query = format!("view=log&stream={topic}&state={state}");
        for row in sidecar.rows("/v1/gaps", &query) {
            let ends = ["first", "last"].map(|name| row[name].as_u64().expect("a number"));
            for seq in ends[0]..=ends[1] {
                let fate = (text(&row["state"]), text(&row["stage"]), text(&row["ledger"]["says"]));
                assert!(found.insert(seq, fate).is_none(), "found once: {row}");
            }
        }
    }
    found
}

/// Waits until the ledger of the topic's one lane says this.
fn hears(sidecar: &Sidecar, topic: &str, what: &str, says: impl Fn(&Value) -> bool) {
    wait::until(what, || {
        let report = sidecar.report("log", topic);
        let lane = &report["streams"][0]["partitions"][0]["lanes"][0];
        if says(&lane["ledger"]) { Ok(()) } else { Err(report.to_string()) }
    });
}

/// Waits until the ledger has said its last of the topic's one lane and all is judged.
pub(super) fn closed_and_judged(sidecar: &Sidecar, topic: &str, truth: &Truth) -> Value {
    hears(sidecar, topic, "the lane is closed", |ledger| ledger["closed"] == true);
    sidecar.judged(topic, truth.ends())
}

pub(super) fn assert_found(sidecar: &Sidecar, topic: &str, fates: &BTreeMap<u64, Fate>) {
    let owned =
        |&(state, stage, says): &Fate| (state.to_owned(), stage.to_owned(), says.to_owned());
    let wanted = fates.iter().map(|(&seq, fate)| (seq, owned(fate))).collect::<BTreeMap<_, _>>();
    assert_eq!(found(sidecar, topic), wanted, "found, against true");
}

/// The row without what came after it was judged lost, at every level.
fn without_recovered(mut row: Value) -> Value {
    match &mut row {
        Value::Object(fields) => {
            fields.remove("recovered");
            fields.values_mut().for_each(|value| *value = without_recovered(value.take()));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|value| *value = without_recovered(value.take()));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    row
}

/// The stream's row holds what is seen, these losses and refusals, and nothing else.
pub(super) fn assert_counts(row: &Value, truth: &Truth, fates: &BTreeMap<u64, Fate>) {
    let count = |fate| fates.values().filter(|&&own| own == fate).count() as u64;
    let produce = count(LOST_IN_PRODUCE);
    let wanted: Counts = nonzero([
        ("observed.valid", truth.distinct()),
        ("seen", truth.distinct()),
        ("lost.store", count(LOST_IN_STORE)),
        ("lost.produce", produce),
        ("refused", count(REFUSED)),
        ("lanes", 1),
        ("producers", 1),
    ]);
    let mut found = counts(row);
    found.remove("open_gaps");
    assert_eq!(found, wanted, "the stream, found against true");
    verify::adds_up(row);
}

/// A topic of one partition and one producer of it, all of whose messages are in one lane.
pub(super) const ONE_LANE: [&str; 3] = ["prefetch=yes", "shape=free", "threads=1"];

/// A producer behind a relay that acknowledges everything and swallows the last seven of a hundred.
fn loses_its_tail(topic: &str, ledger: bool) -> (Kafka, Sidecar, Truth, PathBuf) {
    let kafka = Kafka::take();
    kafka.create(topic, 1);
    let sidecar = Sidecar::start(&kafka, topic);
    let (relay, brokers) = relay::start(&kafka, topic, &["partitions=1", "swallow=0:93-99"]);
    let address = format!("sidecar=http://{}", sidecar.address());
    let mut more = vec![brokers.as_str()];
    more.extend(ONE_LANE);
    if ledger {
        more.push(&address);
    }
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &more);
    orders.send(100);
    orders.wait();
    let file = orders.file();
    orders.finish();
    relay.finish();
    let truth = Truth::of(&kafka, topic);
    (kafka, sidecar, truth, file)
}

#[test]
fn a_tail_that_was_acknowledged_is_lost_in_store() {
    let topic = "tail";
    let (_kafka, sidecar, truth, file) = loses_its_tail(topic, true);
    let fates = fates(&truth, file);
    assert_eq!(fates, (93..100).map(|seq| (seq, LOST_IN_STORE)).collect());
    let row = closed_and_judged(&sidecar, topic, &truth);
    assert_found(&sidecar, topic, &fates);
    assert_counts(&row, &truth, &fates);
    sidecar.stop(1);
}

#[test]
fn a_tail_without_a_ledger_is_not_judged_and_shown_as_that() {
    let topic = "tail-without-ledger";
    let (_kafka, sidecar, truth, file) = loses_its_tail(topic, false);
    assert_eq!(fates(&truth, file).len(), 7, "they are lost all the same");
    sidecar.judged(topic, truth.ends());
    // Time alone must not change it.
    wait::throughout(Duration::from_secs(2 * GRACE_S), || ());
    let row = sidecar.judged(topic, truth.ends());
    assert_found(&sidecar, topic, &BTreeMap::new());
    assert_eq!(counts(&row).get("lanes_without_ledger"), Some(&1), "{row}");
    sidecar.stop(0);
}

#[test]
fn a_producer_killed_with_messages_in_flight() {
    let (topic, ledger) = ("killed", "killed-ledger");
    let kafka = Kafka::take();
    kafka.create(topic, 1);
    kafka.create(ledger, 1);
    let sidecar = Sidecar::hearing(&kafka, &kafka.brokers(), topic, ledger);
    let address = format!("sidecar=http://{}", sidecar.address());
    let ledger = format!("ledger={ledger}");
    let mut more = vec![address.as_str(), &ledger, "set.max.in.flight=1"];
    // One request is under way at a time, and it cannot hold all that is sent while nobody answers.
    more.push("set.batch.num.messages=10");
    more.extend(ONE_LANE);
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &more);
    orders.send(300);
    orders.wait();
    // A frozen broker answers nothing; the ledger that is posted still arrives.
    kafka.freeze();
    orders.send(50);
    let taken = wait::until("all have taken their numbers", || match orders.taken() {
        350 => Ok(350),
        fewer => Err(fewer.to_string()),
    });
    hears(&sidecar, topic, "the ledger has told of them", |ledger| {
        ledger["next"] == taken && ledger["pending"] == 50
    });
    orders.kill();
    kafka.thaw();

    // What the broker still finds in its socket is stored, and nobody is told.
    let lane_of = |truth: &Truth| truth.lanes().next().expect("the log has a lane").clone();
    let row = wait::until("what was in flight is judged", || {
        let report = sidecar.report("log", topic);
        let row = &report["streams"][0];
        let judged = row["totals"]["missing"] == 0 && row["totals"]["lost"]["produce"] != 0;
        if judged { Ok(row.clone()) } else { Err(report.to_string()) }
    });
    let truth = Truth::of(&kafka, topic);
    let lane = lane_of(&truth);
    let in_log = |seq: &u64| !truth.places(&lane, *seq).is_empty();
    assert!((0..300).all(|seq| in_log(&seq)), "what was answered is in the log");
    let lost: BTreeSet<u64> = (300..taken).filter(|seq| !in_log(seq)).collect();
    assert!(!lost.is_empty(), "something was under way");
    let found = found(&sidecar, topic);
    assert_eq!(found.keys().copied().collect::<BTreeSet<_>>(), lost, "found, against true");
    for (seq, (state, stage, says)) in found {
        assert_eq!((&*state, &*stage), ("lost", "produce"), "{seq}: {says}");
    }
    verify::adds_up(&row);
    sidecar.stop(1);
}

#[test]
fn a_retry_of_several_graces_in_an_idle_lane_is_no_finding() {
    let topic = "long-retry";
    let kafka = Kafka::take();
    kafka.create(topic, 1);
    let sidecar = Sidecar::start(&kafka, topic);
    let (from, to) = kafka.proxied();
    let proxy = Proxy::start(from, to);
    let brokers = format!("brokers={from}");
    let address = format!("sidecar=http://{}", sidecar.address());
    let mut more = vec![brokers.as_str(), &address, "set.message.timeout.ms=60000"];
    more.extend(ONE_LANE);
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &more);
    orders.send(100);
    orders.wait();
    proxy.cut();
    orders.send(1);
    let lost = || sidecar.metrics_of("lacuna_lost_messages_total").iter().sum::<f64>();
    wait::until("the ledger tells of it", || {
        let report = sidecar.report("log", topic);
        if report["streams"][0]["totals"]["missing"] == 1 {
            Ok(())
        } else {
            Err(report.to_string())
        }
    });
    // Several graces long, with the log's end read all the time: that is what is tried here.
    wait::throughout(Duration::from_secs(4 * GRACE_S), || {
        assert_eq!(lost(), 0.0, "what is retried is not lost");
    });
    proxy.mend();
    orders.wait();
    orders.finish();
    let truth = Truth::of(&kafka, topic);
    assert_eq!(truth.distinct(), 101);
    let row = closed_and_judged(&sidecar, topic, &truth);
    assert_found(&sidecar, topic, &BTreeMap::new());
    assert_counts(&row, &truth, &BTreeMap::new());
    assert_eq!(lost(), 0.0);
    sidecar.stop(0);
}

/// A producer with these arguments, sending to a topic that takes no batch of more than 1,000
/// bytes, while the broker is there, while it is `down`, and then again. Its ledger goes through the
/// broker. Gives what became of those that are not in the log, as its file says.
fn fails(topic: &str, down: bool, arguments: &[&str]) -> BTreeMap<u64, Fate> {
    let kafka = Kafka::take();
    let ledger = format!("{topic}-ledger");
    kafka.create_narrow(topic, 1_000);
    kafka.create(&ledger, 1);
    let sidecar = Sidecar::hearing(&kafka, &kafka.brokers(), topic, &ledger);
    let ledger = format!("ledger={ledger}");
    let mut more = vec![ledger.as_str(), "set.message.timeout.ms=2000", "set.batch.num.messages=1"];
    more.extend(ONE_LANE);
    more.extend(arguments);
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &more);
    orders.send(100);
    orders.wait();
    if down {
        kafka.kill();
        orders.send(20);
        orders.wait();
        kafka.start();
        // A broker is slow at first, and without acks nobody would wait for it.
        let before = kafka.ends(topic);
        orders.send(1);
        wait::until("the broker stores again", || match kafka.ends(topic) {
            now if now == before => Err(format!("{now:?}")),
            _ => Ok(()),
        });
    }
    orders.send(100);
    orders.wait();
    // After an outage the ledger's way must be there again before its last words are said.
    let taken = orders.taken();
    hears(&sidecar, topic, "the ledger is heard", |ledger| ledger["next"] == taken);
    let file = orders.file();
    orders.finish();
    let truth = Truth::of(&kafka, topic);
    let fates = fates(&truth, file);
    let mut row = closed_and_judged(&sidecar, topic, &truth);
    assert_found(&sidecar, topic, &fates);
    if arguments.contains(&"set.acks=0") {
        // Nobody waits for an answer, so a busy broker may store a message after its grace.
        row = without_recovered(row);
    }
    assert_counts(&row, &truth, &fates);
    let lost = fates.values().any(|fate| fate.0 == "lost");
    sidecar.stop(i32::from(lost));
    fates
}

#[test]
fn a_delivery_timeout_is_lost_in_produce() {
    let fates = fails("timeout", true, &[]);
    assert_eq!(fates, (100..120).map(|seq| (seq, LOST_IN_PRODUCE)).collect());
}

#[test]
fn without_acks_what_a_broker_that_is_down_misses_is_lost_in_produce() {
    let fates = fails("no-acks", true, &["set.acks=0"]);
    assert!(fates.len() >= 20 && fates.values().all(|&fate| fate == LOST_IN_PRODUCE), "{fates:?}");
}

#[test]
fn what_is_too_large_is_refused() {
    let fates = fails("too-large", false, &["long=10"]);
    assert_eq!(fates, (0..200).step_by(10).map(|seq| (seq, REFUSED)).collect());
}

#[test]
fn a_full_buffer_gives_its_numbers_back() {
    let fates = fails("buffer-full", false, &["set.queue.buffering.max.messages=10"]);
    assert_eq!(fates, BTreeMap::new());
}
