use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::ledger;
use lacuna_brokers::producer::Producer;
use lacuna_brokers::relay;
use lacuna_brokers::sidecar::{GRACE_S, Sidecar};
use lacuna_brokers::truth::Truth;

use crate::harness::alarm;

/// What is ordinary comes first: whatever it would set off, the webhook hears before the loss.
#[test]
fn a_loss_reaches_the_webhook_and_what_is_ordinary_does_not() {
    let kafka = Kafka::take();
    let topic = "alerts";
    kafka.create(topic, 1);
    let sidecar = Sidecar::start(&kafka, topic);
    let alarm = alarm("lost", sidecar.address());
    let mut steady = Producer::start(&kafka, topic, "steady", 0, &["shape=free"]);
    steady.load(200);
    steady.goes_on(200);

    // The sidecar is deployed anew, then the broker.
    sidecar.stop(0);
    let sidecar = Sidecar::start(&kafka, topic);
    steady.goes_on(200);
    kafka.node(1).stop();
    kafka.start();
    steady.goes_on(200);
    alarm.prometheus.until(r#"lacuna_observed_messages_total{stamp="valid"} > 600"#);

    // Numbers 100 to 104 of another producer are acknowledged and never stored.
    let (relay, brokers) = relay::start(&kafka, topic, &["partitions=1", "swallow=0:100-104"]);
    let ledger = format!("sidecar=http://{}", sidecar.address());
    let more = [brokers.as_str(), &ledger, "prefetch=yes", "shape=free"];
    let mut losing = Producer::start(&kafka, topic, "losing", 0, &more);
    losing.send(100);
    losing.wait();
    let lost_at = SystemTime::now();
    losing.load(200);
    let told = alarm.webhook.hear("a loss", |_| true);

    assert!(told.fires(), "{}", told.alert);
    for (name, value) in [
        ("alertname", "LacunaMessagesLost"),
        ("severity", "critical"),
        ("view", "log"),
        ("stream", topic),
        ("stage", "store"),
        ("instance", &*sidecar.address().to_string()),
    ] {
        assert_eq!(told.label(name), value, "{}", told.alert);
    }
    let annotations = &told.alert["annotations"];
    assert_eq!(annotations["summary"], format!("5 messages of {topic} are lost"));
    assert_eq!(annotations["runbook_url"], "docs/runbooks/messages-lost.md");
    tell("loss to webhook", told.at.duration_since(lost_at).expect("one clock"));
    let row = &sidecar.rows("/v1/gaps", &format!("stream={topic}&state=lost"))[0];
    let judged = Duration::from_millis(row["judged_at"].as_u64().expect("it is judged"));
    let judged = (UNIX_EPOCH + judged).duration_since(lost_at).expect("one clock");
    tell("of which until it was judged", judged);

    losing.stop();
    losing.wait();
    steady.stop();
    steady.wait();
    relay.finish();
    let truth = Truth::of(&kafka, topic);
    truth.lacks_only_what_was_acknowledged(&[steady.file(), losing.file()]);
    let lost = ledger::count(&truth.gaps());
    assert_eq!(lost, 5);

    // A person has dealt with it.
    let id = row["id"].as_str().expect("a row has an id");
    let word = r#"{"by":"on call","note":"sent again"}"#;
    sidecar.send("PUT", &format!("/v1/gaps/{id}/acknowledgement"), word);
    alarm.webhook.hear("that it is over", |told| {
        let own = (told.label("alertname"), told.label("stream"));
        assert_eq!(own, ("LacunaMessagesLost", topic), "{}", told.alert);
        !told.fires()
    });
}

/// A figure for the documents, beside the goal.
fn tell(what: &str, took: Duration) {
    let took = took.as_secs_f64();
    let line = format!("{what}: {took:.2} s, at a grace of {GRACE_S} s and intervals of 1 s");
    drop(writeln!(io::stderr(), "{line}"));
}
