//! Nothing goes wrong, so nothing may be found.

use std::collections::BTreeMap;

use lacuna_brokers::rabbitmq::broker::{RabbitMq, text};
use lacuna_brokers::rabbitmq::consumer::Consumer;
use lacuna_brokers::rabbitmq::producer::Producer;
use lacuna_brokers::rabbitmq::{sidecar, truth};
use lacuna_brokers::truth::nonzero;
use lapin::ExchangeKind;

/// Each publisher's share; a fifth of it goes to each target.
const EACH: u64 = 50_000;
/// A deadline is for one of these.
const SLICES: u64 = 10;

#[test]
fn two_hundred_thousand_messages_without_a_false_finding() {
    let rabbitmq = RabbitMq::take();
    let test = "clean";
    rabbitmq.exchange("clean-direct", ExchangeKind::Direct);
    rabbitmq.exchange("clean-topic", ExchangeKind::Topic);
    rabbitmq.exchange("clean-fanout", ExchangeKind::Fanout);
    let direct = [("clean-direct", "eu"), ("clean-direct", "us")];
    let (quorum, stream) = (text("quorum"), text("stream"));
    rabbitmq.queue("clean-classic", &[], &direct);
    rabbitmq.queue("clean-quorum", &[("x-queue-type", quorum)], &[("clean-topic", "eu.*")]);
    rabbitmq.queue("clean-stream", &[("x-queue-type", stream)], &[("clean-fanout", "")]);
    // All three taps; which of them watches which queue is of no matter.
    let queues = [
        ("clean-classic", "tap = \"queue\""),
        ("clean-quorum", "tap = \"stream\""),
        ("clean-stream", ""),
    ];
    let sidecar = sidecar::start(&rabbitmq, test, &queues);

    let streams = [
        "clean-direct/eu,clean-direct/us",
        "clean-topic/eu.de,clean-topic/eu.fr",
        "clean-fanout/any",
    ];
    let mut members = Vec::new();
    for ((queue, _), streams) in queues.iter().zip(streams).take(2) {
        for member in 0..3 {
            let member = format!("{queue}-{member}");
            members.push(Consumer::start(&rabbitmq, &sidecar, queue, &member, streams, &[]));
        }
    }
    members.push(Consumer::start(
        &rabbitmq,
        &sidecar,
        "clean-stream",
        "one",
        streams[2],
        &["stream=yes"],
    ));
    let targets = streams.join(",");
    let mut producers: Vec<_> = (0..4)
        .map(|number| {
            let name = format!("shop-{number}");
            Producer::start(&rabbitmq, &sidecar, test, &name, &targets, &[])
        })
        .collect();
    for _ in 0..SLICES {
        producers.iter_mut().for_each(|producer| producer.send(EACH / SLICES));
        producers.iter_mut().for_each(Producer::wait);
    }
    Consumer::all_handed(&mut members.iter_mut().collect::<Vec<_>>(), 4 * EACH);
    let files: Vec<_> = producers.iter().map(Producer::file).collect();
    producers.into_iter().for_each(Producer::finish);
    let member_files: Vec<_> = members.iter().map(Consumer::file).collect();
    members.into_iter().for_each(Consumer::finish);

    let published = truth::published(&files);
    assert_eq!(published.len(), 20, "lanes");
    let once = published.iter().map(|(lane, numbers)| {
        assert!(numbers.values().all(|answer| answer == "acknowledged"));
        (lane.clone(), numbers.keys().map(|&number| (number, 1)).collect())
    });
    assert_eq!(truth::handed(&member_files), once.collect::<BTreeMap<_, _>>(), "handed once each");

    let all = |lanes: u64, numbers: u64| {
        nonzero([
            ("observed.valid", numbers),
            ("seen", numbers),
            ("lanes", lanes),
            ("producers", 4),
        ])
    };
    assert_eq!(truth::judged(&sidecar, "log", 4 * EACH), all(20, 4 * EACH));
    for (view, lanes) in [("clean-classic", 8), ("clean-quorum", 8), ("clean-stream", 4)] {
        let numbers = EACH / 5 * lanes;
        let mut found = truth::judged(&sidecar, view, numbers);
        // Members compete: which of them is heard first is of no matter.
        found.remove("reordered");
        assert_eq!(found, all(lanes, numbers), "{view}");
        assert_eq!(truth::findings(&sidecar, view), BTreeMap::new(), "{view}");
    }
    assert_eq!(truth::findings(&sidecar, "log"), BTreeMap::new());
    assert_eq!(truth::unwatched(&sidecar), [""; 0]);
    sidecar.stop(0);
}
