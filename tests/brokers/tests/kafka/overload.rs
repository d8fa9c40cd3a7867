//! The sidecar has less of a processor than the traffic needs.

use std::time::Duration;

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::process::Signal;
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::Sidecar;
use lacuna_brokers::truth::Truth;
use lacuna_brokers::{verify, wait};

/// It runs for a moment now and then: too little to keep up, and never frozen for so long that it
/// would take itself for stalled.
#[test]
fn checking_that_cannot_keep_up_lags_visibly_and_drops_nothing() {
    let kafka = Kafka::take();
    let topic = "overload";
    kafka.create(topic, 3);
    let sidecar = Sidecar::start(&kafka, topic);
    let mut producers = ["first", "second"].map(|name| {
        let mut producer = Producer::start(&kafka, topic, name, 0, &["prefetch=yes"]);
        producer.send(300_000);
        producer
    });
    let lag = || sidecar.metrics_of("lacuna_source_lag_messages").iter().sum::<f64>();
    let mut most = 0_f64;
    while producers.iter_mut().map(Producer::taken).sum::<u64>() < 600_000 {
        sidecar.signal(Signal::Stop);
        wait::throughout(Duration::from_millis(900), || ());
        sidecar.signal(Signal::Continue);
        wait::throughout(Duration::from_millis(25), || ());
        most = most.max(lag());
    }
    for producer in &mut producers {
        producer.wait();
    }
    assert!(most > 10_000.0, "it says that it is {most} messages behind");
    println!("{most} messages behind");
    let truth = Truth::of(&kafka, topic);
    truth.holds_all_of(&[producers[0].file(), producers[1].file()]);
    assert_eq!(truth.distinct(), 600_000);
    verify::found_is_true(&sidecar, topic, &truth);
    wait::until("it has caught up", || match lag() {
        0.0 => Ok(()),
        lag => Err(format!("{lag}")),
    });
    sidecar.stop(0);
}
