use lacuna_brokers::board::{boards, targets};
use lacuna_brokers::broker::Kafka;
use lacuna_brokers::consumer::{Member, group};
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::Sidecar;
use lacuna_brokers::wait;

use crate::harness::alarm;

/// The query of the panel that shows it, over the last minute.
fn panel(topic: &str) -> String {
    let boards = boards();
    let board = boards.iter().find(|board| board.uid() == "lacuna-stream").expect("it is there");
    let panels = board.panels();
    let panel = panels.iter().find(|panel| panel["title"] == "Taken by retention");
    let (_, query) = targets(panel.expect("it is there"))[0];
    let chosen =
        [("$__rate_interval", "1m"), ("$instance", ".*"), ("$view", ".*"), ("$stream", topic)];
    chosen.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value))
}

#[test]
fn what_retention_takes_from_a_group_reaches_the_webhook_and_the_board() {
    let kafka = Kafka::take();
    let topic = "alerts-retention";
    let group = group(topic);
    kafka.create(topic, 1);
    let sidecar = Sidecar::start_with(&kafka, topic, &["--group", &group]);
    let alarm = alarm("retention", sidecar.address());
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &["shape=free"]);
    orders.send(1_000);
    orders.wait();
    let mut member = Member::join(&kafka, topic, "slow", None, &[]);
    Member::all_handed(&mut [&mut member], 1_000);
    member.commit(400);
    member.leave();
    kafka.is_deserted(&group);
    alarm.prometheus.until("lacuna_group_retention_lost_positions_total == 0");
    assert_eq!(kafka.commits(&group, topic), [(0, 600)].into());

    kafka.delete_below(topic, 0, 650);
    let told = alarm.webhook.hear("retention", |_| true);
    for (name, value) in [
        ("alertname", "LacunaRetentionOvertookGroup"),
        ("severity", "critical"),
        ("stream", topic),
        ("group", &group),
    ] {
        assert_eq!(told.label(name), value, "{}", told.alert);
    }
    // 50 positions. Of a series that is some seconds old rate() makes up to a half more.
    let fifty = format!("{} * 60 > 40 < 60", panel(topic));
    let shown = wait::until("the board shows them", || match alarm.prometheus.query(&fifty) {
        shown if shown.is_empty() => Err(String::new()),
        shown => Ok(shown),
    });
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!(shown[0].0.get("group"), Some(&group));
}
