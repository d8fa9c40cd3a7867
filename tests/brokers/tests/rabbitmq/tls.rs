//! Everything by TLS, with an authority that this machine does not know.

use std::collections::BTreeMap;

use lacuna_brokers::rabbitmq::broker::RabbitMq;
use lacuna_brokers::rabbitmq::consumer::Consumer;
use lacuna_brokers::rabbitmq::producer::Producer;
use lacuna_brokers::rabbitmq::{sidecar, truth};
use lacuna_brokers::truth::nonzero;
use lapin::ExchangeKind;

#[test]
fn by_tls_all_is_as_without() {
    let rabbitmq = RabbitMq::take();
    let queue = "tls";
    rabbitmq.exchange(queue, ExchangeKind::Direct);
    rabbitmq.queue(queue, &[], &[(queue, "k")]);
    let sidecar = sidecar::by_tls(&rabbitmq, queue, &[(queue, "")]);
    let url = format!("url={}", rabbitmq.tls_url());
    let mut member = Consumer::start(&rabbitmq, &sidecar, queue, "member", "tls/k", &[&url]);
    let mut shop = Producer::start(&rabbitmq, &sidecar, queue, "shop", "tls/k", &[&url]);
    shop.send(1_000);
    shop.wait();
    shop.finish();
    Consumer::all_handed(&mut [&mut member], 1_000);
    member.finish();
    let all = [("observed.valid", 1_000), ("seen", 1_000), ("lanes", 1), ("producers", 1)];
    for view in ["log", queue] {
        assert_eq!(truth::judged(&sidecar, view, 1_000), nonzero(all), "{view}");
        assert_eq!(truth::findings(&sidecar, view), BTreeMap::new(), "{view}");
    }
    sidecar.stop(0);
}
