//! The wall clock is moved back and forth under the sidecar.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::clock::WallClock;
use lacuna_brokers::sidecar::Sidecar;
use lacuna_brokers::wait;

use crate::load::{Load, Rng, found_once, state};

const HOUR_MS: i64 = 60 * 60 * 1_000;

/// Milliseconds by which its report is ahead of the system's clock.
fn ahead_ms(sidecar: &Sidecar) -> i64 {
    #[expect(clippy::disallowed_methods, reason = "it is the system's clock that is compared")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    let at = sidecar.get("/v1/report?depth=totals")["at"].as_i64().expect("a report has its time");
    at - i64::try_from(now.as_millis()).expect("it is earlier than the year 290 million")
}

/// Losses, repeats and messages that come late, and the clock is an hour ahead, two hours behind, a
/// month ahead, right, and a year behind, with a restart in between: what comes late is not lost
/// before the grace has passed, and what is lost is found.
#[test]
fn the_wall_clock_is_moved_and_nothing_is_early_or_late() {
    let kafka = Kafka::take();
    let topic = "wall-clock";
    let clock = WallClock::new(&kafka.directory("clock"));
    let load = Load::with(&kafka, topic, &mut Rng(11), &["swallow", "repeat", "late"], 100_000);
    let (brokers, address, dir) = (kafka.brokers(), kafka.port(60), state(&kafka, topic));
    let (listen, dir) = (address.to_string(), dir.to_str().expect("a path of text"));
    let arguments = ["kafka", "--brokers", &brokers, "--topic", topic, "--from", "beginning"];
    // Longer than what comes late is on its way, however busy the machine.
    let more = ["--grace", "10s", "--listen", &listen, "--state", dir];
    let variables = [&clock.variables()[..], &[("LACUNA_SOURCE__KAFKA__LEDGER", "off")]].concat();
    let (log, rings) =
        (kafka.directory("sidecar").join(topic), kafka.directory("rings").join(topic));
    let arguments = [&arguments[..], &more].concat();
    let mut sidecar = Sidecar::launch(&arguments, &variables, address, log, rings);
    sidecar.ready();
    for hours in [1, -2, 24 * 30, 0] {
        clock.set(hours * HOUR_MS);
        wait::throughout(Duration::from_secs(3), || ());
        assert!(ahead_ms(&sidecar).abs() < HOUR_MS / 2, "time goes on as it began");
    }
    // The next run begins with the clock as it is then; what was seen before is not unseen.
    clock.set(24 * HOUR_MS);
    sidecar.kill();
    sidecar.start_again();
    sidecar.ready();
    assert!(ahead_ms(&sidecar) > 23 * HOUR_MS, "the sidecar goes by the clock that was set");
    wait::throughout(Duration::from_secs(3), || ());
    clock.set(-365 * 24 * HOUR_MS);
    wait::throughout(Duration::from_secs(3), || ());
    sidecar.kill();
    sidecar.start_again();
    sidecar.ready();
    assert!(ahead_ms(&sidecar) > 23 * HOUR_MS, "its time does not go back");
    wait::throughout(Duration::from_secs(3), || ());
    clock.set(0);
    let truth = load.stop(&kafka, topic);
    assert!(truth.reordered() > 10, "too little came late");
    found_once(&sidecar, topic, &truth);
    sidecar.stop(1);
}
