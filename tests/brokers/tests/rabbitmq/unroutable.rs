//! Messages that no queue is bound for.

use std::collections::BTreeMap;

use lacuna_brokers::rabbitmq::broker::RabbitMq;
use lacuna_brokers::rabbitmq::producer::Producer;
use lacuna_brokers::rabbitmq::truth::range;
use lacuna_brokers::rabbitmq::{sidecar, truth};
use lapin::ExchangeKind;

#[test]
fn confirmed_and_nowhere_or_returned() {
    let rabbitmq = RabbitMq::take();
    let queue = "routes";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "known")]);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "whole = [\"routes\"]")]);
    let targets = "routes/known,routes/typo";
    let mut blind = Producer::start(&rabbitmq, &sidecar, queue, "blind", targets, &[]);
    let mandatory = ["mandatory=yes"];
    let mut told = Producer::start(&rabbitmq, &sidecar, queue, "told", targets, &mandatory);
    blind.send(400);
    told.send(400);
    blind.wait();
    told.wait();
    let published = truth::published(&[blind.file(), told.file()]);
    for ((stream, name), answers) in &published {
        // Lapin gives a return to whichever confirm comes next, so only their number is exact.
        let returned = answers.values().filter(|answer| *answer == "returned").count();
        if name == "blind" || stream == "routes/known" {
            assert!(
                answers.values().all(|answer| answer == "acknowledged" || answer == "returned")
            );
        }
        assert!(name == "told" || returned == 0, "{stream} {name}");
    }
    let returned = published.values().flat_map(BTreeMap::values);
    assert_eq!(returned.filter(|answer| *answer == "returned").count(), 200);
    blind.finish();
    told.finish();
    assert_eq!(rabbitmq.ready(queue), 400);

    let found = truth::judged(&sidecar, "log", 800);
    assert_eq!(
        (found["seen"], found["lost.store"], found["refused"]),
        (400, 200, 200),
        "{found:?}"
    );
    let findings = [
        ("lost.store".to_owned(), [range("routes/typo", "blind", 0, 199)].into()),
        ("refused".to_owned(), [range("routes/typo", "told", 0, 199)].into()),
    ];
    assert_eq!(truth::findings(&sidecar, "log"), findings.into());
    sidecar.stop(1);
}

#[test]
fn counted_per_exchange() {
    let rabbitmq = RabbitMq::take();
    let queue = "endless";
    rabbitmq.exchange(queue, ExchangeKind::Topic);
    rabbitmq.queue(queue, &[], &[(queue, "order.#")]);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "whole = [\"endless\"]")]);
    let per_exchange = ["per_exchange=endless"];
    let targets = "endless/order.1,endless/order.2,endless/other,endless/order.3";
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", targets, &per_exchange);
    shop.send(400);
    shop.wait();
    shop.finish();
    assert_eq!(rabbitmq.ready(queue), 300);
    let found = truth::judged(&sidecar, "log", 400);
    assert_eq!((found["seen"], found["lost.store"]), (300, 100), "{found:?}");
    let every_fourth = (0..100).map(|turn| range("endless", "shop", 4 * turn + 2, 4 * turn + 2));
    let lost = [("lost.store".to_owned(), every_fourth.collect())];
    assert_eq!(truth::findings(&sidecar, "log"), lost.into());
    sidecar.stop(1);
}

#[test]
fn the_exchange_is_deleted_under_load() {
    let rabbitmq = RabbitMq::take();
    let queue = "gone";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "")]);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "gone/k", &[]);
    shop.load();
    shop.answered(500);
    rabbitmq.delete_exchange(queue);
    // However long that took.
    let answered = shop.count() + 300;
    shop.answered(answered);
    shop.stop();
    shop.wait();
    let published = truth::published(&[shop.file()]);
    let answers = published.values().next().expect("a lane");
    let of = |wanted: &str| answers.values().filter(|answer| *answer == wanted).count() as u64;
    let (acknowledged, unanswered) = (of("acknowledged"), of("unanswered"));
    assert_eq!(acknowledged + unanswered, answers.len() as u64);
    assert!(acknowledged >= 400 && unanswered > 50, "{acknowledged} {unanswered}");
    shop.finish();
    let stored = u64::from(rabbitmq.ready(queue));
    assert!(stored >= acknowledged, "{stored} are in the queue");

    // A publish that is refused on the spot gives its number back, so not every failure has one.
    truth::seen(&sidecar, "log", stored);
    let found = lacuna_brokers::wait::until("it is judged", || {
        let report = sidecar.get("/v1/report?depth=totals&view=log");
        let counts = lacuna_brokers::sidecar::counts(&report);
        if counts.contains_key("lost.produce") && !counts.contains_key("missing") {
            Ok(counts)
        } else {
            Err(format!("{counts:?}"))
        }
    });
    assert!(found["lost.produce"] <= unanswered, "{found:?}");
    let findings = truth::findings(&sidecar, "log");
    let names: Vec<_> = findings.keys().collect();
    assert_eq!(names, ["lost.produce"], "nothing else: {findings:?}");
    sidecar.stop(1);
}
