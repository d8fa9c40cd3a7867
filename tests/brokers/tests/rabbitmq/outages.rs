//! Connections that break, a broker that goes away, a tap that is away.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::time::Duration;

use lacuna_brokers::proxy::Proxy;
use lacuna_brokers::rabbitmq::broker::{RabbitMq, Stored, url};
use lacuna_brokers::rabbitmq::consumer::Consumer;
use lacuna_brokers::rabbitmq::producer::Producer;
use lacuna_brokers::rabbitmq::truth::range;
use lacuna_brokers::rabbitmq::{sidecar, truth};
use lacuna_brokers::truth::nonzero;
use lacuna_brokers::wait;
use lapin::ExchangeKind;

/// Number by body, as the stamps in a queue say.
fn numbers(stored: &[Stored]) -> BTreeMap<&str, u64> {
    let number = |stored: &Stored| {
        let stamp = stored.stamp.as_deref().expect("all are stamped");
        stamp.rsplit(';').next().and_then(|number| number.parse().ok()).expect("a number")
    };
    stored.iter().map(|stored| (stored.body.as_str(), number(stored))).collect()
}

#[test]
fn confirms_are_lost_and_the_application_publishes_again() {
    let rabbitmq = RabbitMq::take();
    let queue = "twice";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "")]);
    let proxy = Proxy::start(rabbitmq.port(70), rabbitmq.port(0));
    let through = format!("url={}", url(rabbitmq.port(70)));
    let again = [through.as_str(), "again=yes"];
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "twice/k", &again);
    shop.load();
    for round in 1..=5 {
        shop.answered(400 * round);
        proxy.mute();
        // No more than its window is unanswered, and it may have been full before: what comes is
        // stored until it is, and then no more.
        let mut last = Vec::new();
        wait::until("all that it may publish is stored, unconfirmed", || {
            let ready = rabbitmq.ready(queue);
            last.retain(|before| *before == ready);
            last.push(ready);
            if last.len() > 3 { Ok(()) } else { Err(ready.to_string()) }
        });
        proxy.cut();
        proxy.mend();
    }
    shop.answered(2_400);
    shop.stop();
    shop.wait();
    let file = shop.file();
    shop.finish();

    let stored = rabbitmq.drain(queue);
    let mut times: BTreeMap<u64, u64> = BTreeMap::new();
    let by_body = numbers(&stored);
    for message in &stored {
        *times.entry(by_body[message.body.as_str()]).or_default() += 1;
    }
    let repeats: u64 = times.values().map(|times| times - 1).sum();
    assert!(repeats > 0, "nothing was stored twice");
    let published = truth::published(&[file]);
    let published = published.values().next().expect("a lane");
    assert!(published.values().all(|answer| answer == "acknowledged"));
    assert_eq!(by_body.len(), published.len(), "each is in the queue");
    assert_eq!(times.len(), published.len(), "each under a number of its own");

    let count = times.len() as u64;
    let found = truth::judged(&sidecar, "log", count);
    assert_eq!((found["seen"], found["duplicates.resent"]), (count, repeats), "{found:?}");
    assert_eq!(truth::findings(&sidecar, "log"), BTreeMap::new());
    let rows = sidecar.rows("/v1/duplicates", "view=log");
    let rows =
        rows.iter().map(|row| row["seq"].as_u64().expect("a number")).collect::<BTreeSet<_>>();
    let twice = times.iter().filter(|(_, times)| **times > 1).map(|(number, _)| *number);
    assert_eq!(rows, twice.collect(), "numbers found twice, against those in the queue");
    sidecar.stop(1);
}

#[test]
fn the_broker_is_killed_with_messages_in_flight() {
    let rabbitmq = RabbitMq::take();
    let queue = "killed";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "")]);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "killed/k", &[]);
    shop.load();
    shop.answered(1_000);
    rabbitmq.kill();
    rabbitmq.start();
    shop.answered(3_000);
    shop.stop();
    shop.wait();
    let file = shop.file();
    shop.finish();

    let stored = rabbitmq.drain(queue);
    let by_body = numbers(&stored);
    let published = truth::published(&[file]);
    let published = published.values().next().expect("a lane");
    let mut acknowledged = BTreeSet::new();
    for (number, answer) in published {
        if answer == "acknowledged" {
            let body = format!("killed/k#shop#{number}");
            let number = by_body.get(body.as_str());
            acknowledged.insert(*number.expect("what was acknowledged is in the queue"));
        }
    }
    let next = acknowledged.last().expect("some were") + 1;
    let unanswered = published.values().filter(|answer| *answer == "unanswered").count() as u64;
    assert!(unanswered > 0, "nothing was in flight");

    // The lane ends with an acknowledged message, so its numbers are those below.
    let found = truth::judged(&sidecar, "log", next);
    let lost = found.get("lost.produce").copied().unwrap_or(0);
    assert_eq!(found["seen"] + lost, next, "each is seen or lost at produce: {found:?}");
    for (name, ranges) in truth::findings(&sidecar, "log") {
        assert_eq!(name, "lost.produce", "{ranges:?}");
        for (_, first, last) in ranges {
            assert_eq!(
                acknowledged.range(first..=last).next(),
                None,
                "acknowledged, and called lost"
            );
        }
    }
    sidecar.stop(i32::from(lost > 0));
}

#[test]
fn the_tap_is_away_and_its_queue_is_full() {
    // For so many seconds more than the outage needs: `AWAY=60` is a whole minute.
    let away = env::var("AWAY").map_or(0, |text| text.parse().expect("a number"));
    let rabbitmq = RabbitMq::take();
    let queue = "away";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let proxy = Proxy::start(rabbitmq.port(70), rabbitmq.port(0));
    let through = url(rabbitmq.port(70));
    let sidecar = sidecar::through(&rabbitmq, &through, queue, &[(queue, "max_messages = 100")]);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "away/k", &[]);
    shop.send(200);
    shop.wait();
    truth::seen(&sidecar, "log", 200);
    proxy.cut();
    shop.send(1_000);
    shop.wait();
    wait::throughout(Duration::from_secs(away), || ());
    proxy.mend();
    truth::seen(&sidecar, "log", 300);
    shop.send(100);
    shop.wait();
    shop.finish();
    assert_eq!(rabbitmq.ready(queue), 1_300, "the business queue is untouched");

    let found = truth::judged(&sidecar, "log", 1_300);
    assert_eq!(
        found,
        nonzero([
            ("observed.valid", 400),
            ("seen", 400),
            ("unknown.paused", 900),
            ("lanes", 1),
            ("producers", 1),
        ])
    );
    let unknown = [("unknown".to_owned(), [range("away/k", "shop", 200, 1_099)].into())];
    assert_eq!(truth::findings(&sidecar, "log"), unknown.into());
    sidecar.stop(3);
}

#[test]
fn a_tap_that_is_away_and_has_room_misses_nothing() {
    for kind in ["queue", "stream"] {
        let rabbitmq = RabbitMq::take();
        let queue = format!("room-{kind}");
        rabbitmq.exchange(&queue, ExchangeKind::Direct);
        rabbitmq.queue(&queue, &[], &[(&queue, "k")]);
        let proxy = Proxy::start(rabbitmq.port(70), rabbitmq.port(0));
        let tap = format!("tap = \"{kind}\"");
        let through = url(rabbitmq.port(70));
        let sidecar = sidecar::through(&rabbitmq, &through, &queue, &[(&queue, &tap)]);
        let target = format!("{queue}/k");
        let mut shop = Producer::start(&rabbitmq, &sidecar, &queue, "shop", &target, &[]);
        // Before it has read anything, and in the middle.
        for sent in [0, 500, 500, 500] {
            shop.send(sent);
            shop.wait();
            proxy.cut();
            shop.send(500);
            shop.wait();
            proxy.mend();
        }
        shop.finish();
        let found = truth::judged(&sidecar, "log", 3_500);
        let clean = [("observed.valid", 3_500), ("seen", 3_500), ("lanes", 1), ("producers", 1)];
        assert_eq!(found, nonzero(clean), "{kind}");
        sidecar.stop(0);
    }
}

/// The first connection has read nothing, and the stream does not hold all that came after it.
#[test]
fn a_stream_deletes_what_was_never_read() {
    let rabbitmq = RabbitMq::take();
    let queue = "deletes";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let proxy = Proxy::start(rabbitmq.port(70), rabbitmq.port(0));
    let through = url(rabbitmq.port(70));
    let small = "tap = \"stream\"\nmax_bytes = 65536";
    let sidecar = sidecar::through(&rabbitmq, &through, queue, &[(queue, small)]);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "deletes/k", &[]);
    proxy.cut();
    for _ in 0..20 {
        shop.send(500);
        shop.wait();
    }
    proxy.mend();
    shop.finish();
    let found = truth::judged(&sidecar, "log", 10_000);
    assert!(found["seen"] > 0 && found["seen"] < 9_000, "{found:?}");
    let findings = truth::findings(&sidecar, "log");
    let unknown = [range("deletes/k", "shop", 0, 9_999 - found["seen"])].into();
    assert_eq!(findings, [("unknown".to_owned(), unknown)].into(), "{found:?}");
    assert_eq!(found["unknown.joined"], 10_000 - found["seen"], "{found:?}");
    // It counts as what came before the first message that was seen (contracts, exit codes).
    sidecar.stop(0);
}

#[test]
fn transient_messages_and_a_broker_that_is_stopped_and_started() {
    let rabbitmq = RabbitMq::take();
    let queue = "transient";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let proxy = Proxy::start(rabbitmq.port(70), rabbitmq.port(0));
    let through = url(rabbitmq.port(70));
    let sidecar = sidecar::through(&rabbitmq, &through, queue, &[(queue, "")]);
    let mut first = Consumer::start(&rabbitmq, &sidecar, queue, "first", "transient/k", &[]);
    let mut fast = Producer::start(
        &rabbitmq,
        &sidecar,
        queue,
        "fast",
        "transient/k",
        &["transient=yes", "again=yes"],
    );
    let mut safe =
        Producer::start(&rabbitmq, &sidecar, queue, "safe", "transient/k", &["again=yes"]);
    let mut both = |count: u64| {
        for shop in [&mut fast, &mut safe] {
            shop.send(count);
            shop.wait();
        }
    };
    // 0 to 9 are consumed.
    both(10);
    Consumer::all_handed(&mut [&mut first], 20);
    first.finish();
    // 10 to 109 are read by the tap before the broker ends, and lost to the consumers;
    both(100);
    truth::seen(&sidecar, "log", 220);
    // 110 to 209 are read by nobody.
    proxy.cut();
    both(100);
    rabbitmq.stop();
    rabbitmq.start();
    proxy.mend();
    let left = rabbitmq.ready(queue);
    assert_eq!(left, 200, "what was not transient");
    // 210 to 219 come after.
    both(10);
    let mut second = Consumer::start(&rabbitmq, &sidecar, queue, "second", "transient/k", &[]);
    Consumer::all_handed(&mut [&mut second], 220);
    second.finish();
    fast.finish();
    safe.finish();

    let log = truth::judged(&sidecar, "log", 440);
    assert_eq!((log["seen"], log["lost.store"]), (340, 100), "{log:?}");
    let store = [("lost.store".to_owned(), [range("transient/k", "fast", 110, 209)].into())];
    assert_eq!(truth::findings(&sidecar, "log"), store.into());
    // What the log has lost counts there, and only there.
    let found = truth::judged(&sidecar, queue, 340);
    assert_eq!((found["seen"], found["lost.consume"]), (240, 100), "{found:?}");
    let consume = [("lost.consume".to_owned(), [range("transient/k", "fast", 10, 109)].into())];
    assert_eq!(truth::findings(&sidecar, queue), consume.into());
    sidecar.stop(1);
}
