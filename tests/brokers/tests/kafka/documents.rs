//! Every command in the documents runs, and the examples do what the README says.

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::documents::{Shell, commands};
use lacuna_brokers::http::exchange;
use lacuna_brokers::process::{Process, example};
use lacuna_brokers::producer::Producer;
use lacuna_brokers::relay;
use lacuna_brokers::sidecar::{Sidecar, binary};
use lacuna_brokers::wait;

#[test]
fn every_command_in_the_documents_runs() {
    let kafka = Kafka::take();
    let topic = "orders";
    kafka.create(topic, 4);
    let (relay, brokers) = relay::start(&kafka, topic, &["partitions=4", "swallow=1:40-46"]);
    let mut web = Producer::start(&kafka, topic, "web", 0, &[&brokers, "prefetch=yes"]);
    web.send(2_000);
    web.wait();
    relay.finish();
    // The commands that ask talk to this one; those that serve have a port of their own.
    let sidecar = Sidecar::start(&kafka, topic);
    sidecar.judged(topic, &kafka.ends(topic).into_iter().map(|(p, end)| (p, end - 1)).collect());

    let tool =
        format!("exec {} org.apache.kafka.tools.consumer.ConsoleConsumer \"$@\"", kafka.tool());
    let shell = Shell::new(kafka.directory("documents"))
        .with("localhost:9092", &kafka.brokers())
        .with("127.0.0.1:7117", &sidecar.address().to_string())
        .with("/run/lacuna", &kafka.directory("documents-rings").display().to_string())
        .variable("LACUNA_HTTP__LISTEN", &kafka.port(61).to_string())
        .variable("LACUNA_STATE__PATH", "none");
    shell.program("lacuna", &format!("exec {} \"$@\"", binary().display()));
    shell.program("kafka-console-consumer.sh", &tool);

    let mut ran = 0;
    for written in commands().iter().filter(|written| !written.is_of_rabbitmq()) {
        if written.serves() {
            shell.serve(written, kafka.port(61), "/healthz");
        } else {
            shell.run(written);
        }
        ran += 1;
    }
    assert!(ran >= 9, "only {ran} commands");
    sidecar.stop(1);
}

#[test]
fn the_examples_lose_nothing() {
    let kafka = Kafka::take();
    let topic = "examples";
    kafka.create(topic, 3);
    let sidecar = Sidecar::hearing(&kafka, &kafka.brokers(), topic, "lacuna.ledger");
    let address = kafka.port(62);
    let mut web = example("kafka-web");
    let web = Process::start("web", web.args([&kafka.brokers(), topic, &address.to_string()]));
    let mut worker = example("kafka-worker");
    worker
        .args([&kafka.brokers(), topic, "examples-group"])
        .env("LACUNA_RING_DIR", sidecar.rings());
    let mut worker = Process::start("worker", &mut worker);
    wait::until("the shop is open", || match exchange(address, "POST", "/orders/first", "tea") {
        Ok((202, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    for number in 1..100 {
        let (status, _) =
            exchange(address, "POST", &format!("/orders/{number}"), "tea").expect("it answers");
        assert_eq!(status, 202);
    }
    for _ in 0..100 {
        assert!(worker.line().ends_with(": tea"));
    }
    for view in ["log", "examples-group"] {
        wait::until(&format!("{view} has seen all"), || {
            let totals = sidecar.report(view, topic)["totals"].clone();
            let exact = totals["seen"] == 100 && totals["observed"]["valid"] == 100;
            if exact { Ok(()) } else { Err(totals.to_string()) }
        });
    }
    drop((web, worker));
    sidecar.stop(0);
}
