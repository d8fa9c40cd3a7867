//! A broker that asks who comes.

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::Sidecar;
use lacuna_brokers::truth::Truth;
use lacuna_brokers::{verify, wait};

use crate::renamed::{configured, launched};

const PASSWORD: &[&str] =
    &[r#""security.protocol" = "SASL_PLAINTEXT""#, r#""sasl.mechanism" = "PLAIN""#];

fn source(topic: &str, brokers: &str, properties: &[&str], said: &str) -> String {
    format!(
        "[source.main]\nbrokers = \"{brokers}\"\ntopics = [\"{topic}\"]\nfrom = \"beginning\"\n\
         ledger = \"off\"\n[source.main.properties]\n\"sasl.username\" = \"lacuna\"\n\
         \"sasl.password\" = \"{said}\"\n{}\n",
        properties.join("\n")
    )
}

fn all_is_as_without(topic: &str, kafka: &Kafka, sidecar: Sidecar) {
    let mut shop = Producer::start(kafka, topic, "shop", 0, &[]);
    shop.send(3_000);
    shop.wait();
    let truth = Truth::of(kafka, topic);
    truth.holds_all_of(&[shop.file()]);
    verify::found_is_true(&sidecar, topic, &truth);
    sidecar.stop(0);
}

#[test]
fn by_a_password_all_is_as_without() {
    let (kafka, topic) = (Kafka::take(), "by-password");
    kafka.create(topic, 3);
    let brokers = kafka.by_password().to_string();
    let sidecar = configured(&kafka, topic, &source(topic, &brokers, PASSWORD, "secret"));
    all_is_as_without(topic, &kafka, sidecar);
}

/// It waits, and says so: the password may be made right at the broker.
#[test]
fn a_wrong_password_is_said_to_be_one() {
    let (kafka, topic) = (Kafka::take(), "by-wrong-password");
    kafka.create(topic, 3);
    let brokers = kafka.by_password().to_string();
    let sidecar = launched(&kafka, topic, &source(topic, &brokers, PASSWORD, "wrong"));
    sidecar.answers();
    wait::until("the log says why", || {
        let said = sidecar.said();
        if said.contains("Invalid username or password") { Ok(()) } else { Err(said) }
    });
    assert!(!sidecar.said().contains("wrong"), "the password stands in no log");
    // It has read nothing that it could call fine.
    sidecar.stop(3);
}

#[test]
#[ignore = "needs a sidecar with TLS, which takes minutes to build: tests/run tls"]
fn by_tls_all_is_as_without() {
    let (kafka, topic) = (Kafka::take(), "by-tls");
    kafka.create(topic, 3);
    let (brokers, authority) = kafka.by_tls();
    let authority = format!("\"ssl.ca.location\" = \"{}\"", authority.display());
    let properties = [
        r#""security.protocol" = "SASL_SSL""#,
        r#""sasl.mechanism" = "SCRAM-SHA-512""#,
        &authority,
    ];
    let sidecar = configured(&kafka, topic, &source(topic, &brokers, &properties, "secret"));
    all_is_as_without(topic, &kafka, sidecar);
}
