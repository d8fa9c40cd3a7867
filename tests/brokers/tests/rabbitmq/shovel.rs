//! Messages that a shovel has moved back to where they were published.

use std::collections::BTreeMap;

use lacuna_brokers::rabbitmq::broker::{RabbitMq, text};
use lacuna_brokers::rabbitmq::consumer::Consumer;
use lacuna_brokers::rabbitmq::producer::Producer;
use lacuna_brokers::rabbitmq::{sidecar, truth};
use lacuna_brokers::wait;
use lapin::ExchangeKind;

const COUNT: u64 = 300;

/// Messages are parked by `park`, moved back by a shovel, and handed over a second time; they must be
/// repeats of this kind, in the log and in the group.
fn moved_back(queue: &str, rejected: bool, headers: bool, kind: &str) {
    let rabbitmq = RabbitMq::take();
    let (parked, dead) = (format!("{queue}-parked"), format!("{queue}-dead"));
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.exchange(&dead, ExchangeKind::Fanout);
    let dead_letters = [("x-dead-letter-exchange", text(&dead))];
    rabbitmq.queue(queue, if rejected { &dead_letters } else { &[] }, &[(queue, "k")]);
    let bound = if rejected { (dead.as_str(), "") } else { (queue, "k") };
    rabbitmq.queue(&parked, &[], &[bound]);
    let target = format!("{queue}/k");
    let bindings = format!("bindings = [\"{target}\"]");
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, &bindings)]);
    let answer = [if rejected { "answer=reject-once" } else { "answer=ack" }];
    let mut member = Consumer::start(&rabbitmq, &sidecar, queue, "member", &target, &answer);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", &target, &[]);
    shop.send(COUNT);
    shop.wait();
    Consumer::all_handed(&mut [&mut member], COUNT);
    wait::until("all are parked", || match u64::from(rabbitmq.ready(&parked)) {
        COUNT => Ok(()),
        other => Err(other.to_string()),
    });
    if !rejected {
        rabbitmq.unbind(&parked, queue, "k");
    }
    rabbitmq.shovel(&parked, queue, "k", headers);
    Consumer::all_handed(&mut [&mut member], 2 * COUNT);
    let handed = truth::handed(&[member.file()]);
    assert!(handed.values().flat_map(BTreeMap::values).all(|&times| times == 2));
    assert_eq!(rabbitmq.ready(&parked), 0);
    member.finish();
    shop.finish();

    for view in ["log", queue] {
        wait::until(&format!("{view} has read all of them"), || {
            let found = truth::judged(&sidecar, view, COUNT);
            if found["observed.valid"] == 2 * COUNT { Ok(()) } else { Err(format!("{found:?}")) }
        });
        let mut found = truth::judged(&sidecar, view, COUNT);
        found.retain(|name, _| name.starts_with("duplicates.") || name == "seen");
        let kind = format!("duplicates.{kind}");
        assert_eq!(found, [("seen".to_owned(), COUNT), (kind, COUNT)].into(), "{view}");
        assert_eq!(truth::findings(&sidecar, view), BTreeMap::new(), "{view}");
    }
    sidecar.stop(1);
}

#[test]
fn out_of_a_dead_letter_queue() {
    moved_back("shovel-dead", true, false, "redelivered");
}

#[test]
fn out_of_another_queue_and_it_says_so() {
    moved_back("shovel-says", false, true, "redelivered");
}
