//! Transactions of AMQP.

use lacuna_brokers::rabbitmq::broker::RabbitMq;
use lacuna_brokers::rabbitmq::producer::Producer;
use lacuna_brokers::rabbitmq::truth::range;
use lacuna_brokers::rabbitmq::{sidecar, truth};
use lapin::ExchangeKind;

#[test]
fn committed_rolled_back_and_lost_in_the_middle() {
    let rabbitmq = RabbitMq::take();
    let queue = "deals";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let sidecar = sidecar::start(&rabbitmq, queue, &[(queue, "")]);
    let none = ["confirms=no"];
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "deals/k", &none);
    for end in ["commit", "rollback", "commit", "lose", "commit"] {
        shop.transact(50, end);
    }
    shop.finish();
    assert_eq!(rabbitmq.ready(queue), 150);

    let found = truth::judged(&sidecar, "log", 250);
    assert_eq!((found["seen"], found["by_design.aborted"]), (150, 100), "{found:?}");
    let aborted = [range("deals/k", "shop", 50, 99), range("deals/k", "shop", 150, 199)];
    assert_eq!(truth::findings(&sidecar, "log"), [("aborted".to_owned(), aborted.into())].into());
    sidecar.stop(0);
}
