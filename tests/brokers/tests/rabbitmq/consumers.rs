//! Consumers that are killed with messages in their hands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lacuna_brokers::rabbitmq::broker::RabbitMq;
use lacuna_brokers::rabbitmq::consumer::Consumer;
use lacuna_brokers::rabbitmq::producer::Producer;
use lacuna_brokers::rabbitmq::truth::range;
use lacuna_brokers::rabbitmq::{sidecar, truth};
use lacuna_brokers::sidecar::{GRACE_S, counts};
use lacuna_brokers::wait;
use lapin::ExchangeKind;

#[test]
fn sent_to_a_consumer_that_never_processed_them() {
    let rabbitmq = RabbitMq::take();
    let queue = "auto";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "")]);
    let auto = ["answer=auto", "hold=200"];
    let mut killed = Consumer::start(&rabbitmq, &sidecar, queue, "killed", "auto/k", &auto);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "auto/k", &[]);
    shop.send(1_000);
    shop.wait();
    Consumer::all_handed(&mut [&mut killed], 200);
    rabbitmq.all_are_sent(queue);
    // It lives, and may be slow: what the broker has forgotten is in its hands. Twice as long as the
    // queue is asked for.
    wait::throughout(Duration::from_secs(20), || {
        let findings = truth::findings(&sidecar, queue);
        assert!(!findings.keys().any(|state| state.starts_with("lost")), "{findings:?}");
    });
    let handed = truth::handed(&[killed.file()]);
    let (lane, numbers) = handed.first_key_value().expect("a lane");
    assert_eq!(
        truth::ranges(lane, numbers.keys().copied()),
        [range("auto/k", "shop", 0, 199)].into()
    );
    killed.kill();
    shop.send(10);
    shop.wait();
    let mut member = Consumer::start(&rabbitmq, &sidecar, queue, "member", "auto/k", &[]);
    Consumer::all_handed(&mut [&mut member], 10);
    member.finish();
    shop.finish();

    let found = truth::judged(&sidecar, queue, 1_010);
    assert_eq!((found["seen"], found.get("lost.consume")), (210, Some(&800)), "{found:?}");
    let lost = [("lost.consume".to_owned(), [range("auto/k", "shop", 200, 999)].into())];
    assert_eq!(truth::findings(&sidecar, queue), lost.into());
    assert_eq!(truth::findings(&sidecar, "log"), BTreeMap::new());
    sidecar.stop(1);
}

#[test]
fn processed_and_not_acknowledged() {
    let rabbitmq = RabbitMq::take();
    let queue = "manual";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "")]);
    let never = ["answer=never", "prefetch=20"];
    let mut killed = Consumer::start(&rabbitmq, &sidecar, queue, "killed", "manual/k", &never);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "manual/k", &[]);
    shop.send(1_000);
    shop.wait();
    Consumer::all_handed(&mut [&mut killed], 20);
    let first = truth::handed(&[killed.file()]);
    killed.kill();
    let mut member = Consumer::start(&rabbitmq, &sidecar, queue, "member", "manual/k", &[]);
    Consumer::all_handed(&mut [&mut member], 1_000);
    let again = truth::handed(&[member.file()]);
    assert_eq!(again.values().next().map(BTreeMap::len), Some(1_000));
    assert_eq!(first.values().next().map(BTreeMap::len), Some(20));
    member.finish();
    shop.finish();

    let found = truth::judged(&sidecar, queue, 1_000);
    assert_eq!((found["seen"], found["duplicates.redelivered"]), (1_000, 20), "{found:?}");
    assert_eq!(found.get("duplicates.resent"), None, "{found:?}");
    assert_eq!(truth::findings(&sidecar, queue), BTreeMap::new());
    sidecar.stop(1);
}

#[test]
fn killed_in_the_middle_of_its_work() {
    let rabbitmq = RabbitMq::take();
    let queue = "middle";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "")]);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "middle/k", &[]);
    let mut files = Vec::new();
    for answer in ["answer=auto", "answer=ack"] {
        let name = answer.replace('=', "-");
        let mut killed = Consumer::start(&rabbitmq, &sidecar, queue, &name, "middle/k", &[answer]);
        files.push(killed.file());
        if answer == "answer=auto" {
            // What is lost within the view's first grace is unknown.
            shop.send(100);
            shop.wait();
            wait::throughout(Duration::from_secs(GRACE_S + 1), || ());
        }
        shop.send(20_000);
        wait::until("it is in the middle", || match killed.handed() {
            0..600 => Err(String::new()),
            _ => Ok(()),
        });
        killed.kill();
        shop.wait();
    }
    let member = Consumer::start(&rabbitmq, &sidecar, queue, "member", "middle/k", &[]);
    files.push(member.file());
    rabbitmq.all_are_sent(queue);
    // It stays until then: what it has not acknowledged would go back to the queue.
    let found = truth::judged(&sidecar, queue, 40_100);
    member.finish();
    shop.finish();

    // A member tells that it hands a message over just before it does: of the last one of each that was
    // killed, the application may have written nothing.
    let handed = truth::handed(&files);
    let times = handed.values().next().expect("a lane");
    let written = times.len() as u64;
    let repeated: u64 = times.values().map(|times| times - 1).sum();
    let (seen, again) = (found["seen"], found.get("duplicates.redelivered").copied().unwrap_or(0));
    assert!((written..=written + 1).contains(&seen), "{written} written, {found:?}");
    assert!((repeated..=repeated + 1).contains(&again), "{repeated} repeated, {found:?}");
    // How much was on its way to the first one when it was killed is the machine's pace.
    let lost_count = found.get("lost.consume").copied().unwrap_or(0);
    assert_eq!(seen + lost_count, 40_100, "{found:?}");
    let mut rows = truth::findings(&sidecar, queue);
    let lost = rows.remove("lost.consume").unwrap_or_default();
    assert_eq!(rows, BTreeMap::new());
    let lost: BTreeSet<u64> = lost.iter().flat_map(|(_, first, last)| *first..=*last).collect();
    let never: BTreeSet<u64> = (0..40_100).filter(|number| !times.contains_key(number)).collect();
    assert!(lost.is_subset(&never) && never.len() as u64 - lost.len() as u64 == seen - written);
    sidecar.stop(i32::from(lost_count + again > 0));
}

#[test]
fn killed_with_reports_that_were_not_posted() {
    let rabbitmq = RabbitMq::take();
    let queue = "posted";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "")]);
    let posts = ["answer=auto", "way=http"];
    let mut killed = Consumer::start(&rabbitmq, &sidecar, queue, "killed", "posted/k", &posts);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "posted/k", &[]);
    shop.send(200);
    shop.wait();
    truth::seen(&sidecar, queue, 200);
    shop.send(800);
    shop.wait();
    Consumer::all_handed(&mut [&mut killed], 1_000);
    killed.kill();
    shop.send(10);
    shop.wait();
    let mut member = Consumer::start(&rabbitmq, &sidecar, queue, "member", "posted/k", &posts);
    Consumer::all_handed(&mut [&mut member], 10);
    member.finish();
    shop.finish();

    // It was handed all of them, and nobody can know.
    let found = truth::judged(&sidecar, queue, 1_010);
    let unknown = found.get("unknown.paused").copied().unwrap_or(0);
    assert_eq!(found["seen"] + unknown, 1_010, "{found:?}");
    let rows = truth::findings(&sidecar, queue);
    for (state, ranges) in &rows {
        assert_eq!(state, "unknown");
        assert!(ranges.iter().all(|(_, first, last)| *first >= 200 && *last < 1_000), "{ranges:?}");
    }
    sidecar.stop(if unknown > 0 { 3 } else { 0 });
}

/// Nobody tells whether the queue is empty: what was lost is not called so, and log and page say why.
#[test]
fn killed_while_the_management_api_is_away() {
    let rabbitmq = RabbitMq::take();
    let queue = "unasked";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    // Nothing listens there.
    let api = format!("management = \"http://{}\"\nbindings = [\"unasked/k\"]", rabbitmq.port(79));
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, &api)]);
    let auto = ["answer=auto", "hold=20"];
    let mut killed = Consumer::start(&rabbitmq, &sidecar, queue, "killed", "unasked/k", &auto);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "unasked/k", &[]);
    shop.send(100);
    shop.wait();
    Consumer::all_handed(&mut [&mut killed], 20);
    rabbitmq.all_are_sent(queue);
    killed.kill();
    shop.send(10);
    shop.finish();
    let mut member = Consumer::start(&rabbitmq, &sidecar, queue, "member", "unasked/k", &[]);
    Consumer::all_handed(&mut [&mut member], 10);
    member.finish();
    truth::seen(&sidecar, queue, 30);
    let said = || {
        let log = sidecar.said();
        let mut lines = log.lines().map(str::to_owned);
        lines.find(|line| line.contains("waits to be judged")).ok_or(log)
    };
    let line = wait::until("the log says why", said);
    assert!(line.contains("the group of unasked") && line.contains("/api/queues/"), "{line}");
    let (_, page) = sidecar.try_get("/").expect("it answers");
    assert!(page.contains("what the group of unasked lacks waits to be judged"), "{page}");
    let found = counts(&sidecar.get(&format!("/v1/report?depth=totals&view={queue}")));
    assert_eq!((found["seen"], found["missing"]), (30, 80), "{found:?}");
    sidecar.stop(3);
}
