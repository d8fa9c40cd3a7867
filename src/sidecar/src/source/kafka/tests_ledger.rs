//! The ledger's topic on librdkafka's embedded broker.

use std::time::Duration;

use lacuna_core::totals::Totals;
use rdkafka::producer::{BaseRecord, Producer};
use tokio::time::sleep;

use super::tests::{Cluster, PATIENCE, ready, settings, until};
use super::{From, Topics};
use crate::engine::Engine;

const LEDGER: &str = "lacuna.ledger";

impl Cluster {
    fn say(&self, lines: &str) {
        self.producer.send(BaseRecord::<(), str>::to(LEDGER).payload(lines)).unwrap();
        self.producer.flush(PATIENCE).unwrap();
    }

    /// Topic `a`, watched from its start, with a ledger where there is one.
    fn watch(&self, grace_ms: u64) -> Engine {
        self.tap(Topics::named("a"), From::Beginning, &settings(grace_ms))
    }
}

/// A record of the lane that [`Cluster::send`] sends in, with these members more.
fn record(rev: u64, next: u64, more: &str) -> String {
    format!(
        r#"{{"v":1,"rev":{rev},"producer":"p","epoch":"1","stream":"a","lane":"0","next":{next}{more}}}"#
    )
}

#[tokio::test]
async fn the_end_of_a_lane_is_judged_by_what_its_producer_says() {
    let cluster = Cluster::start(&[("a", 1), (LEDGER, 3)]);
    let engine = cluster.watch(300);
    cluster.send("a", 0, 0..5);
    let lists = r#","unanswered":[[6,7]],"refused":[[8,8]],"aborted":[[9,10]],"closed":true"#;
    cluster.say(&record(1, 11, lists));
    let judged = |totals: &Totals| totals.lost_sum() > 0 && totals.missing == 0;
    let totals = until(&engine, "judged", judged).await;
    assert_eq!((totals.lost.store, totals.lost.produce, totals.lost_sum()), (1, 2, 3));
    assert_eq!((totals.refused, totals.by_design.aborted), (1, 2));
    assert_eq!(totals.lanes_without_ledger, 0);
    assert_eq!(totals.observed.absent + totals.observed.malformed, 0, "no stream of its own");
}

#[tokio::test]
async fn a_topic_that_appears_later_is_read_from_its_start() {
    let cluster = Cluster::start(&[("a", 1)]);
    let engine = cluster.watch(300);
    ready(&engine).await;
    cluster.send("a", 0, 0..5);
    until(&engine, "read", |totals| totals.lanes_without_ledger == 1).await;
    cluster.mock.create_topic(LEDGER, 1, 1).unwrap();
    cluster.say(&record(1, 6, ""));
    let totals = until(&engine, "the ledger", |totals| totals.lost.store == 1).await;
    assert_eq!(totals.lanes_without_ledger, 0);
}

#[tokio::test]
async fn what_is_pending_is_not_judged_until_its_producer_is_silent() {
    let grace = 1_500;
    let cluster = Cluster::start(&[("a", 1), (LEDGER, 1)]);
    let engine = cluster.watch(grace);
    ready(&engine).await;
    cluster.send("a", 0, 0..5);
    // Several graces long, with the log's end read all the time: that is what is tried here.
    for rev in 1..=20 {
        cluster.say(&record(rev, 7, r#","pending":[[5,6]]"#));
        sleep(Duration::from_millis(grace / 5)).await;
    }
    let totals = engine.totals().await.unwrap();
    assert_eq!((totals.missing, totals.lost_sum()), (2, 0));
    let totals = until(&engine, "silent", |totals| totals.lost_sum() == 2).await;
    assert_eq!(totals.lost.produce, 2);
    cluster.send("a", 0, 5..7);
    let totals = until(&engine, "late", |totals| totals.seen == 7).await;
    assert_eq!((totals.recovered, totals.lost_sum()), (2, 0));
}

#[tokio::test]
async fn a_line_that_is_no_record_spoils_no_other() {
    let cluster = Cluster::start(&[("a", 1), (LEDGER, 1)]);
    let engine = cluster.watch(300);
    cluster.send("a", 0, 0..5);
    cluster.say(&format!(
        "junk\n{}\n{}\n",
        record(1, 3, r#","refused":[[3,3]]"#),
        record(2, 6, "")
    ));
    until(&engine, "judged", |totals| totals.lost.store == 1).await;
}

#[tokio::test]
async fn a_stream_that_nobody_looks_at_is_named() {
    let cluster = Cluster::start(&[("a", 1), (LEDGER, 1)]);
    let engine = cluster.watch(300);
    cluster.say(&record(1, 6, "").replace(r#""a""#, r#""elsewhere""#));
    cluster.say(&record(1, 4, ""));
    // The whole lane is known from its ledger alone: all of it was taken, and nothing is there.
    let totals = until(&engine, "judged", |totals| totals.unknown.joined + totals.lost_sum() == 4);
    assert_eq!(totals.await.seen, 0);
    assert_eq!(engine.unwatched_streams().await.unwrap(), ["elsewhere"]);
}
