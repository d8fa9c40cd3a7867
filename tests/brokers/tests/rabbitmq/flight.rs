//! Messages in flight when a broker is killed: what becomes of each number, by exact set.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use lacuna_brokers::proxy::Proxy;
use lacuna_brokers::rabbitmq::broker::{RabbitMq, url};
use lacuna_brokers::rabbitmq::producer::Producer;
use lacuna_brokers::rabbitmq::{sidecar, truth};
use lapin::ExchangeKind;

/// By answer: the numbers that messages had in the lane. Such as were never on their way have none.
fn answered(file: &Path) -> BTreeMap<String, BTreeSet<u64>> {
    let mut answered: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for line in fs::read_to_string(file).expect("the file is there").lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [_, _, answer, number] = words[..] else { unreachable!("{line:?}") };
        if number != "-" {
            let number = number.parse().expect("a number");
            let new = answered.entry(answer.to_owned()).or_default().insert(number);
            assert!(new, "{line:?}: the number is another message's");
        }
    }
    answered
}

fn killed(queue: &str, again: bool) {
    let rabbitmq = RabbitMq::take();
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let proxy = Proxy::start(rabbitmq.port(70), rabbitmq.port(0));
    let sidecar = sidecar::through(&rabbitmq, &url(rabbitmq.port(70)), queue, &[(queue, "")]);
    let target = format!("{queue}/k");
    let more: &[&str] = if again { &["numbers=yes", "again=yes"] } else { &["numbers=yes"] };
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", &target, more);
    shop.send(500);
    shop.wait();
    truth::seen(&sidecar, "log", 500);
    // While the tap is away, what it will read can be looked at.
    proxy.cut();
    shop.load();
    shop.answered(1_500);
    rabbitmq.kill();
    rabbitmq.start();
    shop.answered(3_000);
    shop.stop();
    shop.wait();
    // The lane ends with an answer.
    shop.send(1);
    shop.wait();
    let answered = answered(&shop.file());
    shop.finish();

    let numbers = |answer: &str| answered.get(answer).cloned().unwrap_or_default();
    let (acknowledged, unanswered) = (numbers("acknowledged"), numbers("unanswered"));
    let all: BTreeSet<u64> = acknowledged.union(&unanswered).copied().collect();
    let next = all.last().expect("some were published") + 1;
    assert_eq!(all, (0..next).collect(), "each number is one message's");
    assert_eq!(unanswered.is_empty(), again, "something was in flight");
    let mut copies: BTreeMap<u64, u64> = (0..500).map(|number| (number, 1)).collect();
    for number in rabbitmq.look(&format!("lacuna.tap.{queue}")) {
        *copies.entry(number).or_default() += 1;
    }
    proxy.mend();
    let stored: BTreeSet<u64> = copies.keys().copied().collect();
    assert!(acknowledged.is_subset(&stored), "what was acknowledged is there");

    // Each number is seen, seen again, or lost at produce.
    let lost: BTreeSet<u64> = unanswered.difference(&stored).copied().collect();
    let resent: BTreeMap<u64, u64> = copies
        .into_iter()
        .filter(|(_, times)| *times > 1)
        .map(|(n, times)| (n, times - 1))
        .collect();
    let found = truth::judged(&sidecar, "log", next);
    assert_eq!(found["seen"], stored.len() as u64, "{found:?}");
    let lane = (target, "shop".to_owned());
    let mut wanted = BTreeMap::new();
    if !lost.is_empty() {
        let ranges = truth::ranges(&lane, lost.iter().copied());
        wanted.insert("lost.produce".to_owned(), ranges);
    }
    assert_eq!(truth::findings(&sidecar, "log"), wanted);
    let mut repeats: BTreeMap<u64, u64> = BTreeMap::new();
    for row in sidecar.rows("/v1/duplicates", "view=log") {
        assert_eq!(row["kind"], "resent", "{row}");
        *repeats.entry(row["seq"].as_u64().expect("a number")).or_default() += 1;
    }
    assert_eq!(repeats, resent, "stored again");
    sidecar.stop(i32::from(!lost.is_empty() || !resent.is_empty()));
}

#[test]
fn the_broker_is_killed_and_nothing_is_published_again() {
    killed("flight", false);
}

#[test]
fn the_broker_is_killed_and_what_was_unanswered_is_published_again() {
    killed("flight-again", true);
}
