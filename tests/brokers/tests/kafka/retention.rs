//! Retention overtakes groups that have stopped: what they never read is named, group by group.

use std::collections::{BTreeMap, BTreeSet};

use lacuna_brokers::broker::Kafka;
use lacuna_brokers::consumer::{Member, group};
use lacuna_brokers::producer::Producer;
use lacuna_brokers::sidecar::Sidecar;
use lacuna_brokers::wait;
use serde_json::Value;

/// A partition and a range of positions in it.
type Range = (u32, u64, u64);

/// A group's row.
fn row(sidecar: &Sidecar, group: &str) -> Value {
    let groups = sidecar.get(&format!("/v1/groups?group={group}"));
    assert!(groups["groups"][0].is_object(), "{group} is not watched: {groups}");
    groups["groups"][0].clone()
}

fn number(value: &Value, name: &str) -> u64 {
    assert!(value[name].is_u64(), "no {name}: {value}");
    value[name].as_u64().unwrap_or_default()
}

fn partition(value: &Value) -> u32 {
    value["partition"].as_str().and_then(|text| text.parse().ok()).expect("Kafka's are numbers")
}

/// What was found, and the ids under which.
fn found(row: &Value) -> (BTreeSet<Range>, BTreeSet<String>) {
    let findings = row["findings"].as_array().expect("a group has findings");
    let ranges = findings.iter().map(|finding| {
        assert_eq!((&finding["cause"], &finding["state"]), (&"retention".into(), &"lost".into()));
        let (first, last) = (number(finding, "first"), number(finding, "last"));
        assert_eq!(number(finding, "count"), last - first + 1, "{finding}");
        (partition(finding), first, last)
    });
    let ids = findings.iter().map(|finding| finding["id"].to_string());
    (ranges.collect(), ids.collect())
}

/// Waits until the sidecar has seen the offsets that Kafka's own tools tell, and gives the row.
fn looked(sidecar: &Sidecar, kafka: &Kafka, topic: &str, group: &str) -> Value {
    let (starts, ends) = (kafka.starts(topic), kafka.ends(topic));
    let commits = kafka.commits(group, topic);
    wait::until(&format!("{group} was looked at"), || {
        let row = row(sidecar, group);
        let partitions = row["partitions"].as_array().expect("a group has partitions");
        let seen = partitions.iter().all(|row| {
            let partition = partition(row);
            let committed = commits.get(&partition).copied();
            number(row, "log_start") == starts[&partition]
                && number(row, "log_end") == ends[&partition]
                && row["committed"].as_u64() == committed
                && row["lag"].as_u64() == committed.map(|committed| ends[&partition] - committed)
        });
        if seen && partitions.len() == starts.len() { Ok(row) } else { Err(row.to_string()) }
    })
}

/// What a group that has stopped at these commits can never read, now that the logs begin there.
fn taken(commits: &BTreeMap<u32, u64>, starts: &BTreeMap<u32, u64>) -> BTreeSet<Range> {
    let range = |(&partition, &committed): (&u32, &u64)| {
        (committed < starts[&partition]).then(|| (partition, committed, starts[&partition] - 1))
    };
    commits.iter().filter_map(range).collect()
}

/// Waits until exactly this is found, and counted.
fn is_found(sidecar: &Sidecar, kafka: &Kafka, topic: &str, group: &str, wanted: &BTreeSet<Range>) {
    let row = looked(sidecar, kafka, topic, group);
    assert_eq!(&found(&row).0, wanted, "{group}: found, against true");
    let count: u64 = wanted.iter().map(|(_, first, last)| last - first + 1).sum();
    let metric = "lacuna_group_retention_lost_positions_total";
    let samples = sidecar.samples_of(metric, &format!("group=\"{group}\""));
    assert_eq!(samples.len(), kafka.ends(topic).len(), "one for each partition, from 0 on");
    assert_eq!(samples.iter().sum::<f64>(), count as f64, "{group}: counted");
}

#[test]
fn retention_overtakes_groups_that_have_stopped() {
    let kafka = Kafka::take();
    let topic = "group-retention";
    kafka.create(topic, 3);
    let (slow, done, never) = (&*group(topic), "group-retention-done", "group-retention-never");
    let watched = ["--group", slow, "--group", done, "--group", never];
    let sidecar = Sidecar::start_with(&kafka, topic, &watched);
    let mut orders = Producer::start(&kafka, topic, "orders", 0, &[]);
    orders.send(3_000);
    orders.wait();
    let joins = |name: &str, group: &str| {
        let group = format!("group={group}");
        Member::join(&kafka, topic, name, None, &[&group])
    };
    for (name, group, below) in [("slow", slow, 400), ("done", done, 0)] {
        let mut member = joins(name, group);
        Member::all_handed(&mut [&mut member], 3_000);
        member.commit(below);
        member.leave();
    }
    for group in [slow, done, never] {
        is_found(&sidecar, &kafka, topic, group, &BTreeSet::new());
    }

    // Up to what the slow one has read, beyond that, and nearly to the end.
    let commits = kafka.commits(slow, topic);
    assert_eq!(commits.len(), 3, "{commits:?}");
    for (partition, beyond) in [(0, 0), (1, 50), (2, 300)] {
        kafka.delete_below(topic, partition, commits[&partition] + beyond);
    }
    let wanted = taken(&commits, &kafka.starts(topic));
    assert_eq!(wanted.len(), 2, "{wanted:?}");
    is_found(&sidecar, &kafka, topic, slow, &wanted);
    let (_, ids) = found(&row(&sidecar, slow));
    // It goes on: that is the same finding, which has grown.
    kafka.delete_below(topic, 2, commits[&2] + 350);
    let grown = taken(&commits, &kafka.starts(topic));
    assert_ne!(grown, wanted);
    is_found(&sidecar, &kafka, topic, slow, &grown);
    assert_eq!(found(&row(&sidecar, slow)).1, ids);
    for group in [done, never] {
        is_found(&sidecar, &kafka, topic, group, &BTreeSet::new());
    }

    // It comes back, and reads on where the log begins now.
    let left: u64 = kafka
        .ends(topic)
        .iter()
        .map(|(partition, end)| end - commits[partition].max(kafka.starts(topic)[partition]))
        .sum();
    let mut back = joins("back", slow);
    Member::all_handed(&mut [&mut back], left);
    back.commit(0);
    is_found(&sidecar, &kafka, topic, slow, &grown);
    // What it has committed may go, whether it is there or not.
    kafka.delete_below(topic, 0, kafka.ends(topic)[&0]);
    is_found(&sidecar, &kafka, topic, slow, &grown);
    back.leave();
    kafka.delete_below(topic, 1, kafka.ends(topic)[&1]);
    is_found(&sidecar, &kafka, topic, slow, &grown);

    // Set back, it would read again what it has read: what goes of that is not new to it.
    let at_first = kafka.commits(done, topic);
    kafka.reset(done, topic, &["--to-earliest"]);
    assert!(kafka.commits(done, topic)[&2] < at_first[&2], "it was set back");
    is_found(&sidecar, &kafka, topic, done, &BTreeSet::new());
    kafka.delete_below(topic, 2, kafka.ends(topic)[&2]);
    is_found(&sidecar, &kafka, topic, done, &BTreeSet::new());

    // The topic is made anew: what was committed in the old one is gone with it.
    kafka.delete(topic);
    wait::until("the topic is gone", || {
        let row = row(&sidecar, slow);
        if row["partitions"] == serde_json::json!([]) { Ok(()) } else { Err(row.to_string()) }
    });
    kafka.create(topic, 3);
    let mut anew = Producer::start(&kafka, topic, "anew", 1, &[]);
    anew.send(300);
    anew.wait();
    kafka.delete_below(topic, 0, 1);
    for (group, wanted) in [(slow, &grown), (done, &BTreeSet::new()), (never, &BTreeSet::new())] {
        is_found(&sidecar, &kafka, topic, group, wanted);
    }
}
