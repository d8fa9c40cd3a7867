use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lacuna_core::report::Filter;
use lacuna_core::stamp::Encoder;
use lacuna_core::verdict::{Stage, State};
use lacuna_core::{Checker, Watch};

use super::{Engine, EngineSettings, Opened, Source, SourceStatus, Stopped, Switch, Tap};
use crate::clock;
use crate::record::{Event, Line, Message, Place};

/// A source whose taps tell what they are told to do by breaking.
#[derive(Debug)]
struct Broken;

impl Source for Broken {
    fn status(&self) -> SourceStatus {
        SourceStatus {
            name: "broken".to_owned(),
            kind: "test",
            up: true,
            ready: false,
            lag: 0,
            partitions: 0,
            unplaced: 0,
            error: None,
        }
    }
}

impl Tap for Broken {
    fn read(&mut self, _: &mut Checker, _: Duration) -> bool {
        panic!("on purpose")
    }

    fn switch(&mut self, _: &mut Checker, _: &Switch) {}
}

fn place(stream: &'static str) -> Place<'static> {
    Place {
        view: Cow::Borrowed("log"),
        stream: Cow::Borrowed(stream),
        partition: Cow::Borrowed("0"),
    }
}

fn watch(stream: &'static str) -> Line<'static> {
    let watch = Watch { from_start: true, position: Some(0), ..Watch::default() };
    Line::At(place(stream), Event::Watch(watch))
}

/// These numbers of one producer, in the order given, from this position on.
fn messages(stream: &'static str, first: u64, numbers: &[u64]) -> Vec<Line<'static>> {
    let mut encoder = Encoder::new("p", 1, stream, "0").unwrap();
    let stamp = |(position, &number)| {
        let stamp = String::from_utf8(encoder.encode(number).to_vec()).unwrap();
        Line::At(
            place(stream),
            Event::Message(Message {
                position: Some(position),
                at: 0,
                time: None,
                stamp: Some(Cow::Owned(stamp)),
                redelivered: None,
            }),
        )
    };
    (first..).zip(numbers).map(stamp).collect()
}

fn settings(workers: usize) -> EngineSettings {
    let mut settings = EngineSettings { workers, ..EngineSettings::default() };
    settings.checker.default_stream.grace_ms = 0;
    settings
}

#[tokio::test]
async fn rows_of_several_workers_are_one_report() {
    let engine = Engine::start(&settings(3), Vec::new()).unwrap();
    let streams = ["a", "b", "c", "d", "e", "f"];
    for stream in streams {
        let mut lines = vec![watch(stream)];
        lines.extend(messages(stream, 0, &[0, 1, 3, 3]));
        engine.observations(lines).await.unwrap();
    }
    let rows = engine.report(Filter::default(), false).await.unwrap();
    let names: Vec<_> = rows.iter().map(|row| &*row.stream).collect();
    assert_eq!(names, streams);
    let totals = engine.totals().await.unwrap();
    // The one producer of six streams is one.
    assert_eq!((totals.seen, totals.lanes, totals.producers), (18, 6, 1));
    let missing = Arc::new(|state| state == Some(State::Missing));
    let gaps = engine.gaps(Filter::default(), missing, None, 4).await.unwrap();
    assert_eq!(gaps.len(), 4);
    assert!(gaps.windows(2).all(|pair| pair[0].age >= pair[1].age));
    // Pages of repeats: each once, none left out.
    let mut cursor = None;
    let mut paged = Vec::new();
    loop {
        let page = engine.duplicates(Filter::default(), cursor, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(last.age);
        paged.extend(page.into_iter().map(|row| row.stream));
    }
    paged.sort();
    assert_eq!(paged, streams);
}

/// A message of the count over the whole stream.
fn spanning(partition: &'static str, position: u64, number: u64) -> Line<'static> {
    let mut encoder = Encoder::new("p", 1, "a", "*").unwrap();
    let stamp = Cow::Owned(String::from_utf8(encoder.encode(number).to_vec()).unwrap());
    let place = Place { partition: Cow::Borrowed(partition), ..place("a") };
    let message = Message {
        position: Some(position),
        at: 0,
        time: None,
        stamp: Some(stamp),
        redelivered: None,
    };
    Line::At(place, Event::Message(message))
}

#[tokio::test]
async fn lanes_over_a_stream_are_one_worker_s_whoever_reads_its_partitions() {
    let settings = settings(3);
    let owners: BTreeSet<usize> =
        ["0", "1", "2"].map(|partition| settings.owner("a", partition)).into();
    assert_eq!(owners.len(), 3);
    let engine = Engine::start(&settings, Vec::new()).unwrap();
    let partitions = ["0", "1", "2"];
    let at = |partition: &'static str, event| {
        Line::At(Place { partition: Cow::Borrowed(partition), ..place("a") }, event)
    };
    let watch = Watch { from_start: true, position: Some(0), ..Watch::default() };
    engine.observations(partitions.map(|part| at(part, Event::Watch(watch))).into()).await.unwrap();
    // 0 … 8 in turn without 4, and 6 twice.
    let numbers = [(0, 0, 0), (1, 0, 1), (2, 0, 2), (0, 1, 3), (2, 1, 5), (0, 2, 6), (1, 1, 7)];
    let mut lines: Vec<_> = numbers
        .map(|(partition, position, number)| spanning(partitions[partition], position, number))
        .into();
    lines.push(spanning("2", 2, 8));
    lines.push(spanning("1", 2, 6));
    engine.observations(lines).await.unwrap();
    let totals = engine.totals().await.unwrap();
    assert_eq!((totals.seen, totals.missing, totals.duplicates.resent), (8, 1, 1));
    assert_eq!((totals.observed.valid, totals.lanes, totals.producers), (9, 1, 1));
    let mut ends = 0;
    let opened_at = clock::now_ms();
    while engine.totals().await.unwrap().lost.undetermined != 1 {
        assert!(clock::now_ms() < opened_at + 10_000, "not judged after {ends} ends");
        let end = Event::End { position: Some(3), at: 0 };
        engine.observations(partitions.map(|part| at(part, end.clone())).into()).await.unwrap();
        ends += 1;
    }
    let rows = engine.report(Filter::default(), true).await.unwrap();
    let [row] = &*rows else { panic!("{} rows of one stream", rows.len()) };
    let labels: Vec<_> = row.partitions.iter().map(|row| &*row.partition).collect();
    assert_eq!(labels, ["0", "1", "2", "*"]);
    assert_eq!((row.totals.seen, row.totals.observed.valid, row.totals.producers), (8, 9, 1));
    let lost = Arc::new(|state| state == Some(State::Lost(Stage::Undetermined)));
    let gaps = engine.gaps(Filter::default(), lost, None, 10).await.unwrap();
    let [gap] = &*gaps else { panic!("{} gaps", gaps.len()) };
    assert_eq!((gap.first, gap.last, &*gap.partition), (4, 4, "*"));
    let near = gap.before.as_ref().zip(gap.after.as_ref());
    assert_eq!(near.map(|(b, a)| (&*b.partition, &*a.partition)), Some(("0", "2")));
    let (rows, _) = engine.metrics(Vec::new()).await.unwrap();
    assert_eq!(rows.len(), 4, "a partition has one row, whoever judges what it carries");
}

#[tokio::test]
async fn what_passes_while_checking_is_off_is_unknown() {
    let engine = Engine::start(&settings(1), Vec::new()).unwrap();
    let stream = || Some("a".to_owned());
    engine.observations(vec![watch("a")]).await.unwrap();
    engine.observations(messages("a", 0, &[0, 1, 3])).await.unwrap();
    assert_eq!(engine.totals().await.unwrap().missing, 1);
    engine.set_checking(stream(), false).await.unwrap();
    assert!(!engine.checking(Some("a")) && engine.checking(Some("b")) && engine.checking(None));
    let totals = engine.totals().await.unwrap();
    assert_eq!((totals.missing, totals.unknown.paused), (0, 1));
    engine.observations(messages("a", 3, &[4, 5, 7])).await.unwrap();
    engine.set_checking(stream(), true).await.unwrap();
    engine.observations(messages("a", 6, &[8, 9])).await.unwrap();
    let totals = engine.totals().await.unwrap();
    assert_eq!((totals.seen, totals.unknown.paused, totals.missing), (5, 5, 0));
    assert_eq!(totals.lost_sum(), 0);
}

#[tokio::test]
async fn a_gap_is_judged_by_the_time_of_arrival() {
    let mut settings = settings(1);
    settings.checker.default_stream.grace_ms = 50;
    let engine = Engine::start(&settings, Vec::new()).unwrap();
    engine.observations(vec![watch("a")]).await.unwrap();
    let opened_at = clock::now_ms();
    engine.observations(messages("a", 0, &[0, 2])).await.unwrap();
    // Whatever times the lines have, an end that arrives after the grace is what judges.
    let mut ends = 0;
    loop {
        let end = Event::End { position: Some(3), at: 0 };
        engine.observations(vec![Line::At(place("a"), end)]).await.unwrap();
        ends += 1;
        let totals = engine.totals().await.unwrap();
        if totals.lost.undetermined == 1 {
            break;
        }
        assert!(clock::now_ms() < opened_at + 10_000, "not judged after {ends} ends");
        tokio::task::yield_now().await;
    }
    assert!(clock::now_ms() >= opened_at + 50, "judged before its grace");
    let lost = Arc::new(|state| state == Some(State::Lost(Stage::Undetermined)));
    let gaps = engine.gaps(Filter::default(), lost, None, 10).await.unwrap();
    assert_eq!(gaps.iter().map(|gap| (gap.first, gap.last)).collect::<Vec<_>>(), [(1, 1)]);
}

#[tokio::test]
async fn a_worker_that_broke_gives_no_answer() {
    let opened = Opened { source: Box::new(Broken), taps: vec![Box::new(Broken)] };
    let engine = Engine::start(&settings(1), vec![opened]).unwrap();
    assert!(!engine.ready());
    // Its first answer may be on the way before it reads.
    while engine.totals().await.is_ok() {}
    assert_eq!(engine.totals().await, Err(Stopped));
}
