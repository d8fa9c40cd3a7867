//! Streams that are not called as their messages were stamped: mirrors, and two sources with topics
//! of the same names. And one that is read from a time on.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use lacuna_brokers::broker::Kafka;
use lacuna_brokers::ledger;
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::{GRACE_S, Sidecar, counts};
use lacuna_brokers::truth::{Gap, Truth, nonzero};
use lacuna_brokers::{relay, verify, wait};
use serde_json::json;

use crate::ledger::{ONE_LANE, REFUSED, assert_counts, assert_found, closed_and_judged, fates};

/// A sidecar with these tables in its configuration, besides what all have.
pub(super) fn configured(kafka: &Kafka, name: &str, tables: &str) -> Sidecar {
    let sidecar = launched(kafka, name, tables);
    sidecar.ready();
    sidecar
}

/// As [`configured`], whether it gets ready or not.
pub(super) fn launched(kafka: &Kafka, name: &str, tables: &str) -> Sidecar {
    let config = kafka.directory(name).join("lacuna.toml");
    fs::write(&config, format!("[checking]\ngrace = \"2s\"\n{tables}"))
        .expect("the run's directory can be written");
    let address = kafka.port(60);
    let arguments = ["--config", config.to_str().expect("text"), "--listen", &address.to_string()];
    let log = kafka.directory("sidecar").join(name);
    Sidecar::launch(&arguments, &[], address, log, PathBuf::new())
}

fn source(kafka: &Kafka, name: &str, from: &str, more: &str) -> String {
    let brokers = kafka.brokers();
    format!("[source.{name}]\nbrokers = \"{brokers}\"\nfrom = \"{from}\"\n{more}\n")
}

#[test]
fn a_mirror_is_judged_by_the_stamps_of_its_original() {
    let (original, mirror, stranger) = ("mirrored", "mirror-of-mirrored", "copies-of-mirrored");
    let kafka = Kafka::take();
    for topic in [mirror, stranger] {
        kafka.create(topic, 3);
    }
    let tables = [
        source(
            &kafka,
            "main",
            "beginning",
            &format!("ledger = \"off\"\ntopics = [\"{mirror}\", \"{stranger}\"]"),
        ),
        format!("[stream.{mirror}]\naliases = [\"{original}\"]\n"),
    ];
    let sidecar = configured(&kafka, mirror, &tables.concat());
    // What mirrors it loses and repeats some; what else copies it is not declared to be a mirror.
    for (topic, faults) in [
        (mirror, ["swallow=0:0-4,1:100-149,2:20-20", "repeat=0:100-109,1:150-150"]),
        (stranger, ["swallow=0:10-19", "repeat=1:5-5"]),
    ] {
        let renamed = format!("as={topic}");
        let more = [&["partitions=3", &renamed], faults.as_slice()].concat();
        let (relay, brokers) = relay::start(&kafka, original, &more);
        let name = format!("shop-{topic}");
        let mut shop = Producer::start(&kafka, original, &name, 0, &[&brokers, "prefetch=yes"]);
        shop.send(6_000);
        shop.wait();
        let file = shop.file();
        shop.finish();
        relay.finish();
        let truth = Truth::of_mirror(&kafka, topic, original);
        truth.lacks_only_what_was_acknowledged(&[file]);
        if topic == mirror {
            assert_eq!(ledger::count(&truth.gaps()), 56);
            assert_eq!(truth.duplicates().len(), 11);
            verify::found_is_true(&sidecar, topic, &truth);
        } else {
            let found = counts(&sidecar.judged(topic, truth.ends()));
            assert_eq!(found, nonzero([("observed.foreign", 6_000 - 10 + 1)]), "{topic}");
        }
    }
    sidecar.stop(1);
}

/// Each source's streams have their own cluster's ledger, which knows the topics by their own names.
#[test]
fn prefixed_streams_are_judged_by_the_ledger_of_their_source() {
    let (topic, ledger) = ("prefixed", "prefixed-ledger");
    let kafka = Kafka::take();
    kafka.create_narrow(topic, 1_000);
    kafka.create(ledger, 1);
    let tables = ["eu", "us"].map(|name| {
        let more =
            format!("topics = [\"{topic}\"]\nstream_prefix = \"{name}.\"\nledger = \"{ledger}\"");
        source(&kafka, name, "beginning", &more)
    });
    let sidecar = configured(&kafka, topic, &tables.concat());
    let told = format!("ledger={ledger}");
    // Every tenth is too large for the broker, which only the ledger can tell.
    let mut more = vec![told.as_str(), "set.batch.num.messages=1", "long=10"];
    more.extend(ONE_LANE);
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &more);
    orders.send(100);
    orders.wait();
    let file = orders.file();
    orders.finish();

    let truth = Truth::of(&kafka, topic);
    let fates = fates(&truth, file);
    assert_eq!(fates, (0..100).step_by(10).map(|seq| (seq, REFUSED)).collect());
    for stream in ["eu.prefixed", "us.prefixed"] {
        let row = closed_and_judged(&sidecar, stream, &truth);
        assert_found(&sidecar, stream, &fates);
        assert_counts(&row, &truth, &fates);
    }
    assert_eq!(
        sidecar.report("log", topic)["streams"],
        json!([]),
        "by its bare name it is nobody's"
    );
    sidecar.stop(0);
}

/// What is below the first number that is read is unknown, and so is what may have passed just
/// before; after the first grace all is judged.
#[test]
fn from_a_time_on_only_what_came_later_is_judged() {
    let topic = "from-a-time";
    let kafka = Kafka::take();
    kafka.create(topic, 1);
    let swallow = "swallow=0:50-59,0:250-259,0:450-459";
    let (relay, brokers) = relay::start(&kafka, topic, &["partitions=1", swallow]);
    let mut more = vec![brokers.as_str()];
    more.extend(ONE_LANE);
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &more);
    let mut send = |stored| {
        orders.send(200);
        orders.wait();
        wait::until("the relay has forwarded all", || match kafka.ends(topic).get(&0) {
            Some(&end) if end == stored => Ok(()),
            end => Err(format!("{end:?}")),
        });
    };
    send(190);
    let time = Timestamp::now();
    send(380);
    let table = source(
        &kafka,
        "main",
        &time.to_string(),
        &format!("topics = [\"{topic}\"]\nledger = \"off\""),
    );
    let sidecar = configured(&kafka, topic, &table);
    sidecar.judged(topic, Truth::of(&kafka, topic).ends());
    wait::throughout(Duration::from_secs(GRACE_S + 1), || ());
    send(570);
    relay.finish();

    let truth = Truth::of(&kafka, topic);
    let row = sidecar.judged(topic, truth.ends());
    let lane = &row["partitions"][0]["lanes"][0];
    assert_eq!((&lane["base"], &lane["first"]), (&"joined".into(), &200.into()), "{lane}");
    let mut found = counts(&row);
    for name in ["open_gaps", "producers", "lanes", "lanes_without_ledger"] {
        found.remove(name);
    }
    let seen = [("observed.valid", 380), ("seen", 380)];
    let not = [("unknown.joined", 200 + 10), ("lost.undetermined", 10)];
    assert_eq!(found, nonzero([seen[0], seen[1], not[0], not[1]]));
    let rows = sidecar.rows("/v1/gaps", &format!("view=log&stream={topic}&state=lost"));
    let lane = truth.lanes().next().expect("the log has a lane").clone();
    assert_eq!(verify::gaps(&rows), [Gap { lane, first: 450, last: 459 }].into());
    sidecar.stop(1);
}
