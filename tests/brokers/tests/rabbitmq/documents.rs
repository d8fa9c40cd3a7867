//! Every command in the documents that needs a RabbitMQ runs.

use lacuna_brokers::documents::{Shell, commands};
use lacuna_brokers::rabbitmq::broker::{RabbitMq, script};
use lacuna_brokers::sidecar::binary;
use lapin::ExchangeKind;

#[test]
fn every_command_in_the_documents_runs() {
    let rabbitmq = RabbitMq::take();
    let queue = "orders";
    rabbitmq.exchange(queue, ExchangeKind::Topic);
    rabbitmq.queue(queue, &[], &[(queue, "eu.#")]);
    let address = rabbitmq.port(61);
    let shell = Shell::new(rabbitmq.directory("documents"))
        .with("amqp://guest:guest@localhost:5672/%2f", &rabbitmq.url())
        .with("amqp://user:password@host:5672/%2f", &rabbitmq.url())
        .variable("LACUNA_SOURCE__RABBITMQ__MANAGEMENT", &rabbitmq.management())
        .variable("LACUNA_HTTP__LISTEN", &address.to_string())
        .variable("LACUNA_STATE__PATH", "none");
    shell.program("lacuna", &format!("exec {} \"$@\"", binary().display()));
    shell.program("rabbitmqctl", &format!("exec {} run \"$@\"", script().display()));

    let (mut served, mut ran) = (0, 0);
    for written in commands().iter().filter(|written| written.is_of_rabbitmq()) {
        if written.serves() {
            // It reads: whatever is wrong with queue or management would keep it from that.
            shell.serve(written, address, "/readyz");
            served += 1;
        } else {
            shell.run(written);
            ran += 1;
        }
    }
    assert!(served >= 2 && ran >= 2, "only {served} and {ran} commands");
    rabbitmq.delete_queue(queue);
    rabbitmq.delete_queue("lacuna.tap.orders");
    rabbitmq.delete_exchange(queue);
}
