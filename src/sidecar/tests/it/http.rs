//! The HTTP interface, over an engine without sources: what it judges is what is posted.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use lacuna::clock::now_ms;
use lacuna::engine::{Engine, EngineSettings, Opened, Source, SourceStatus, Switch, Tap};
use lacuna::http::{Api, HttpLimits, router};
use lacuna::members::end_leases;
use lacuna_core::stamp::Encoder;
use lacuna_core::{Checker, StreamSettings};
use serde_json::{Value, json};
use tower::ServiceExt;

const MAX_BODY: usize = 10_000;

fn limits() -> HttpLimits {
    HttpLimits { max_body_bytes: MAX_BODY, ..HttpLimits::default() }
}

fn serve(settings: &EngineSettings) -> Router {
    let engine = Engine::start(settings, Vec::new()).unwrap();
    router(Api::new(engine, 10_000, 5_000, limits()))
}

/// An answer's status, media type and body.
async fn ask(
    api: &Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, String, String) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let answer = api.clone().oneshot(request).await.unwrap();
    let media = answer.headers().get(header::CONTENT_TYPE).map(|media| media.to_str().unwrap());
    let (status, media) = (answer.status(), media.unwrap_or_default().to_owned());
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, media, String::from_utf8(body.to_vec()).unwrap())
}

async fn get(api: &Router, path: &str) -> Value {
    let (status, media, body) = ask(api, Method::GET, path, &[], "").await;
    assert_eq!((status, media.as_str()), (StatusCode::OK, "application/json"), "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

async fn post(api: &Router, path: &str, body: &str) -> Value {
    let (status, _, body) = ask(api, Method::POST, path, &[], body).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// A problem document, which is whole.
async fn problem(api: &Router, method: Method, path: &str, body: &str) -> (u16, String, Value) {
    let (status, media, body) = ask(api, method, path, &[], body).await;
    assert_eq!(media, "application/problem+json", "{path}: {body}");
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document["status"], status.as_u16());
    assert_eq!(document["title"], status.canonical_reason().unwrap());
    let detail = document["detail"].as_str().unwrap().to_owned();
    (status.as_u16(), detail, document["line"].clone())
}

fn watch(stream: &str) -> String {
    format!(r#"{{"watch":{{"stream":"{stream}","partition":"0","from":"start","at":0}}}}"#) + "\n"
}

fn message(stream: &str, producer: &str, seq: u64) -> String {
    let mut encoder = Encoder::new(producer, 1, stream, "0").unwrap();
    let stamp = String::from_utf8(encoder.encode(seq).to_vec()).unwrap();
    format!(r#"{{"stream":"{stream}","partition":"0","at":0,"stamp":"{stamp}"}}"#) + "\n"
}

/// Nothing may be late: what is missing is lost as soon as the clock moves.
fn impatient() -> EngineSettings {
    let mut settings = EngineSettings::default();
    settings.checker.default_stream = StreamSettings { grace_ms: 0, ..StreamSettings::default() };
    settings
}

/// Posts ends of the stream until this many of its numbers are lost.
async fn until_lost(api: &Router, stream: &str, lost: u64) {
    let end = format!(r#"{{"end":{{"stream":"{stream}","partition":"0","at":0}}}}"#);
    for _ in 0..100_000 {
        post(api, "/v1/observations", &end).await;
        let report = get(api, &format!("/v1/report?depth=totals&stream={stream}")).await;
        if report["totals"]["lost"]["undetermined"] == lost {
            return;
        }
    }
    panic!("{lost} of {stream} were never lost");
}

#[tokio::test]
async fn a_report_goes_as_deep_as_it_is_asked() {
    let api = serve(&EngineSettings::default());
    let lines = watch("orders") + &message("orders", "p", 0);
    let taken = post(&api, "/v1/observations", &lines).await;
    assert_eq!(taken, json!({"v": 1, "taken": 2, "repeated": false}));
    let members = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    let top = [
        "v",
        "at",
        "checking",
        "grace_ms",
        "clock_skew_ms",
        "complete",
        "totals",
        "unwatched_streams",
    ];

    let report = get(&api, "/v1/report?depth=totals").await;
    assert_eq!(members(&report), set(&top));
    assert_eq!(report["totals"]["seen"], 1);
    assert_eq!((&report["checking"], &report["complete"]), (&true.into(), &false.into()));
    assert_eq!((&report["grace_ms"], &report["clock_skew_ms"]), (&10_000.into(), &5_000.into()));

    let report = get(&api, "/v1/report?depth=streams").await;
    assert_eq!(members(&report), set(&[&top[..], &["streams"]].concat()));
    assert_eq!(members(&report["streams"][0]), set(&["view", "stream", "totals"]));

    let report = get(&api, "/v1/report").await;
    assert_eq!(report["streams"][0]["partitions"][0]["partition"], "0");
    assert_eq!(report["streams"][0]["partitions"][0].get("lanes"), None);

    let report = get(&api, "/v1/report?depth=lanes").await;
    assert_eq!(members(&report), set(&[&top[..], &["streams", "cursor"]].concat()));
    assert_eq!(report["cursor"], Value::Null);
    assert_eq!(report["streams"][0]["partitions"][0]["lanes"][0]["producer"], "p");
}

#[tokio::test]
async fn filters_choose_rows_and_their_totals() {
    let api = serve(&EngineSettings::default());
    let lines = ["a", "b"].map(|stream| {
        watch(stream)
            + &message(stream, "p", 0)
            + &message(stream, "q", 0)
            + &message(stream, "q", 1)
    });
    post(&api, "/v1/observations", &lines.concat()).await;
    let report = get(&api, "/v1/report?depth=lanes&stream=a&producer=q").await;
    let streams = report["streams"].as_array().unwrap();
    assert_eq!((streams.len(), &streams[0]["stream"]), (1, &"a".into()));
    assert_eq!(streams[0]["partitions"][0]["lanes"].as_array().unwrap().len(), 1);

    // A producer's lanes, and their sums above them; with a filter lanes are what is shown.
    let report = get(&api, "/v1/report?producer=q").await;
    for stream in report["streams"].as_array().unwrap() {
        let partition = &stream["partitions"][0];
        let lane = &partition["lanes"][0];
        assert_eq!((&lane["producer"], &lane["totals"]["seen"]), (&"q".into(), &2.into()));
        assert_eq!((&partition["totals"], partition.get("rest")), (&stream["totals"], None));
        let totals = &partition["totals"];
        assert_eq!((&totals["seen"], &totals["observed"]["valid"]), (&2.into(), &2.into()));
        assert_eq!((&totals["lanes"], &totals["producers"]), (&1.into(), &1.into()));
    }
    let totals = &report["totals"];
    assert_eq!((&totals["seen"], &totals["lanes"]), (&4.into(), &2.into()));
    assert_eq!(totals["producers"], 1);
    let none = get(&api, "/v1/report?producer=nobody").await;
    assert_eq!((&none["totals"]["lanes"], &none["streams"]), (&0.into(), &json!([])));

    let report = get(&api, "/v1/report?stream=a").await;
    assert_eq!(report["totals"], report["streams"][0]["totals"]);
    assert_eq!(report["streams"][0]["partitions"][0]["lanes"].as_array().unwrap().len(), 2);
    let all = get(&api, "/v1/report").await;
    assert_eq!((&all["totals"]["seen"], &all["totals"]["producers"]), (&6.into(), &2.into()));
    let log = get(&api, "/v1/report?view=log").await;
    assert_eq!(log["totals"], all["totals"]);
    let none = get(&api, "/v1/report?view=nobody").await;
    assert_eq!((&none["totals"]["seen"], &none["streams"]), (&0.into(), &json!([])));
}

#[tokio::test]
async fn pages_of_lanes_bring_each_lane_once() {
    let api = serve(&EngineSettings::default());
    let mut lines = String::new();
    for stream in ["a", "b"] {
        lines += &watch(stream);
        for producer in 0..5 {
            lines += &message(stream, &format!("p{producer}"), 0);
        }
    }
    post(&api, "/v1/observations", &lines).await;
    let (mut seen, mut pages, mut path) =
        (Vec::new(), 0, "/v1/report?depth=lanes&limit=3".to_owned());
    loop {
        let report = get(&api, &path).await;
        for stream in report["streams"].as_array().unwrap() {
            for lane in stream["partitions"][0]["lanes"].as_array().unwrap() {
                seen.push(format!("{}{}", stream["stream"], lane["producer"]).replace('"', ""));
            }
        }
        pages += 1;
        let Some(cursor) = report["cursor"].as_str() else { break };
        path = format!("/v1/report?depth=lanes&limit=3&cursor={cursor}");
    }
    let all = ["a", "b"].map(|stream| (0..5).map(move |n| format!("{stream}p{n}")));
    assert_eq!(seen, all.into_iter().flatten().collect::<Vec<_>>());
    assert_eq!(pages, 4);
}

#[tokio::test]
async fn gaps_are_rows_in_pages_and_by_state() {
    let api = serve(&impatient());
    let numbers = [0, 2, 4, 6].map(|seq| message("orders", "p", seq)).concat();
    post(&api, "/v1/observations", &(watch("orders") + &numbers)).await;
    until_lost(&api, "orders", 3).await;
    let first = |rows: &Value| -> Vec<u64> {
        let rows = rows["gaps"].as_array().unwrap().iter();
        rows.map(|row| row["first"].as_u64().unwrap()).collect()
    };
    let all = get(&api, "/v1/gaps").await;
    assert_eq!(first(&all), [5, 3, 1]);
    assert_eq!(all["gaps"][0]["state"], "lost");
    assert_eq!(all["cursor"], Value::Null);
    let page = get(&api, "/v1/gaps?limit=2").await;
    assert_eq!(first(&page), [5, 3]);
    let cursor = page["cursor"].as_str().unwrap();
    let rest = get(&api, &format!("/v1/gaps?limit=2&cursor={cursor}")).await;
    assert_eq!((first(&rest), &rest["cursor"]), (vec![1], &Value::Null));

    post(&api, "/v1/observations", &message("orders", "p", 3)).await;
    assert_eq!(first(&get(&api, "/v1/gaps").await), [5, 1]);
    assert_eq!(first(&get(&api, "/v1/gaps?state=recovered").await), [3]);
    assert_eq!(first(&get(&api, "/v1/gaps?state=missing,refused").await), [0; 0]);
    assert_eq!(first(&get(&api, "/v1/gaps?state=all").await).len(), 3);
    assert_eq!(first(&get(&api, "/v1/gaps?producer=q").await), [0; 0]);
    let (status, why, _) = problem(&api, Method::GET, "/v1/gaps?state=gone", "").await;
    assert_eq!(status, 400);
    assert!(why.starts_with("\"gone\" is no state: missing, lost, "), "{why}");
}

#[tokio::test]
async fn duplicates_are_rows_in_pages() {
    let api = serve(&EngineSettings::default());
    let mut lines = watch("orders");
    for (position, seq) in [0, 1, 0, 1, 1].into_iter().enumerate() {
        let position = format!(r#""position":{position},"at""#);
        lines += &message("orders", "p", seq).replace(r#""at""#, &position);
    }
    post(&api, "/v1/observations", &lines).await;
    let rows = get(&api, "/v1/duplicates").await;
    let row = &rows["duplicates"][2];
    assert_eq!((&row["seq"], &row["kind"]), (&0.into(), &"resent".into()));
    assert_eq!((&row["position"], &row["earlier"]), (&2.into(), &json!({"position": 0})));
    let page = get(&api, "/v1/duplicates?limit=2").await;
    assert_eq!(
        page["duplicates"].as_array().unwrap()[..],
        rows["duplicates"].as_array().unwrap()[..2]
    );
    let cursor = page["cursor"].as_str().unwrap();
    let rest = get(&api, &format!("/v1/duplicates?cursor={cursor}")).await;
    assert_eq!(
        rest["duplicates"].as_array().unwrap()[..],
        rows["duplicates"].as_array().unwrap()[2..]
    );
}

#[tokio::test]
async fn a_body_is_taken_whole_or_not_at_all() {
    let api = serve(&EngineSettings::default());
    let good = watch("orders") + &message("orders", "p", 0);
    let bad = format!("{good}\n{{\"stream\":\"orders\"}}\n{good}");
    let refused = problem(&api, Method::POST, "/v1/observations", &bad).await;
    assert_eq!(refused, (400, "line 4: missing field `partition`".to_owned(), json!(4)));
    assert_eq!(get(&api, "/v1/report").await["streams"], json!([]));

    let ledger = |next| {
        format!(
            r#"{{"producer":"p","epoch":"1","stream":"bills","lane":"0","next":{next},"refused":[[1,1]]}}"#
        )
    };
    let bad = format!("{}\n{}", ledger(2), ledger(1));
    let refused = problem(&api, Method::POST, "/v1/ledger", &bad).await;
    let why = "line 2: range [1,1] does not lie in from … next-1".to_owned();
    assert_eq!(refused, (400, why, json!(2)));
    assert_eq!(get(&api, "/v1/report").await["unwatched_streams"], json!([]));
    let taken = post(&api, "/v1/ledger", &format!("{}\n{}\n", ledger(2), ledger(3))).await;
    assert_eq!(taken["taken"], 2);
    assert_eq!(get(&api, "/v1/report").await["unwatched_streams"], json!(["bills"]));
}

#[tokio::test]
async fn a_batch_that_is_sent_again_is_not_taken_twice() {
    let api = serve(&EngineSettings::default());
    let send = async |batch: &str, seq| {
        let headers = [("Lacuna-Batch", batch)];
        let body = message("orders", "p", seq);
        let (status, _, body) = ask(&api, Method::POST, "/v1/observations", &headers, &body).await;
        (status.as_u16(), serde_json::from_str::<Value>(&body).unwrap())
    };
    assert_eq!(send("web-3;7", 0).await, (200, json!({"v": 1, "taken": 1, "repeated": false})));
    assert_eq!(send("web-3;7", 0).await, (200, json!({"v": 1, "taken": 0, "repeated": true})));
    assert_eq!(send("web-3;8", 1).await, (200, json!({"v": 1, "taken": 1, "repeated": false})));
    assert_eq!(send("web-4;7", 2).await, (200, json!({"v": 1, "taken": 1, "repeated": false})));
    let totals = &get(&api, "/v1/report").await["totals"];
    assert_eq!((&totals["observed"]["valid"], &totals["seen"]), (&3.into(), &3.into()));
    let (status, why) = send("web-3", 3).await;
    assert_eq!((status, &why["title"]), (400, &"Bad Request".into()));
}

#[tokio::test]
async fn a_batch_that_was_refused_may_be_sent_again() {
    let api = serve(&EngineSettings::default());
    let headers = [("Lacuna-Batch", "web-3;7")];
    let (status, ..) = ask(&api, Method::POST, "/v1/observations", &headers, "{").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let body = message("orders", "p", 0);
    let (.., answer) = ask(&api, Method::POST, "/v1/observations", &headers, &body).await;
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["taken"], 1);
}

#[tokio::test]
async fn a_member_that_is_not_heard_in_time_leaves_its_view_unknown() {
    let engine = Engine::start(&impatient(), Vec::new()).unwrap();
    let ending = tokio::spawn(end_leases(engine.clone()));
    let api = router(Api::new(engine, 10_000, 5_000, limits()));
    let send = async |batch: &str, lease: &str, body: &str| {
        let headers = [("Lacuna-Batch", batch), ("Lacuna-Lease", lease)];
        let headers = if batch.is_empty() { &headers[1..] } else { &headers[..] };
        let (status, _, why) = ask(&api, Method::POST, "/v1/observations", headers, body).await;
        (status.as_u16(), why)
    };
    let refused = async |batch: &str, lease: &str, wanted: u16, word: &str| {
        let (status, why) = send(batch, lease, "").await;
        assert!(status == wanted && why.contains(word), "{batch:?} {lease:?}: {status} {why}");
    };
    refused("", "50", 400, "Lacuna-Batch is missing").await;
    refused("a;1", "x", 400, "[;more][;busy]").await;
    // Nobody here has heard what it told before.
    refused("a;7", "50", 409, "begin again").await;

    let watch = |from: &str, handover: bool| {
        let place = json!({"view": "g", "stream": "orders", "partition": "0", "at": 0});
        let mut watch = json!({"watch": place});
        watch["watch"]["from"] = from.into();
        watch["watch"]["ordered"] = false.into();
        watch["watch"]["handover"] = handover.into();
        format!("{watch}\n")
    };
    let handed = |seq| message("orders", "p", seq).replacen('{', r#"{"view":"g","#, 1);
    let lines = watch("start", false) + &handed(0) + &handed(2);
    assert_eq!(send("a;1", "50", &lines).await.0, 200);
    let unknown = async || {
        let totals = &get(&api, "/v1/report").await["totals"];
        (totals["seen"].clone(), totals["missing"].clone(), totals["unknown"]["paused"].clone())
    };
    // Its time is over, and what it may have been handed is unknown, whatever another one says.
    let deadline = now_ms() + 60_000;
    while unknown().await.2 != 1 {
        assert!(now_ms() < deadline, "its time is not over: {:?}", unknown().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let other = watch("here", true) + &handed(4);
    assert_eq!(send("b;1", "0", &other).await.0, 200);
    assert_eq!(unknown().await, (3.into(), 0.into(), 2.into()));
    ending.abort();
}

#[tokio::test]
async fn the_switch_makes_what_passes_unknown() {
    let api = serve(&impatient());
    let put = async |path: &str, body: &str| {
        let (status, _, body) = ask(&api, Method::PUT, path, &[], body).await;
        (status.as_u16(), serde_json::from_str::<Value>(&body).unwrap())
    };
    assert_eq!(get(&api, "/v1/checking").await, json!({"enabled": true}));
    post(&api, "/v1/observations", &(watch("orders") + &message("orders", "p", 0))).await;

    let off = r#"{"enabled":false}"#;
    assert_eq!(put("/v1/checking?stream=orders", off).await, (200, json!({"enabled": false})));
    assert_eq!(get(&api, "/v1/checking?stream=orders").await, json!({"enabled": false}));
    assert_eq!(get(&api, "/v1/checking?stream=bills").await, json!({"enabled": true}));
    assert_eq!(get(&api, "/v1/checking").await, json!({"enabled": true}));
    let passing = message("orders", "p", 1) + &message("orders", "p", 5);
    post(&api, "/v1/observations", &passing).await;
    assert_eq!(
        put("/v1/checking?stream=orders", r#"{"enabled":true}"#).await,
        (200, json!({"enabled": true}))
    );
    let after = [7, 8].map(|seq| message("orders", "p", seq)).concat();
    post(&api, "/v1/observations", &after).await;
    let totals = &get(&api, "/v1/report").await["totals"];
    assert_eq!((&totals["seen"], &totals["unknown"]["paused"]), (&3.into(), &6.into()));

    assert_eq!(put("/v1/checking", off).await, (200, json!({"enabled": false})));
    assert_eq!(get(&api, "/v1/report").await["checking"], false);
    assert_eq!(get(&api, "/v1/checking?stream=bills").await, json!({"enabled": false}));
    let (status, why) = put("/v1/checking", r#"{"on":true}"#).await;
    assert_eq!(status, 400);
    assert!(why["detail"].as_str().unwrap().starts_with("body is not {\"enabled\":true}: "));
}

/// A source that cannot read.
#[derive(Debug)]
struct Behind;

impl Source for Behind {
    fn status(&self) -> SourceStatus {
        SourceStatus {
            name: "main \"1\"".to_owned(),
            kind: "kafka",
            up: false,
            ready: true,
            lag: 7,
            partitions: 1,
            unplaced: 0,
            error: None,
        }
    }
}

/// Hands nothing over.
#[derive(Debug)]
struct Silent;

impl Tap for Silent {
    fn read(&mut self, _: &mut Checker, wait: Duration) -> bool {
        std::thread::park_timeout(wait);
        false
    }

    fn switch(&mut self, _: &mut Checker, _: &Switch) {}
}

#[tokio::test]
async fn every_metric_of_the_contract_is_there_once_and_from_0() {
    let settings = EngineSettings::default();
    let opened = Opened { source: Box::new(Behind), taps: vec![Box::new(Silent)] };
    let engine = Engine::start(&settings, vec![opened]).unwrap();
    let api = router(Api::new(engine, 10_000, 5_000, limits()));
    post(&api, "/v1/observations", &(watch("orders") + &message("orders", "p", 0))).await;
    let (status, media, text) = ask(&api, Method::GET, "/metrics", &[], "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(media, "text/plain; version=0.0.4; charset=utf-8");

    let contract = include_str!("../../../../docs/contracts.md");
    let section = contract.split("\n## ").find(|text| text.starts_with("5. Metrics")).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `lacuna_"));
    let first = rows.map(|line| line.split('|').nth(1).unwrap());
    let mut promised: Vec<&str> =
        first.flat_map(|cell| cell.split('`').filter(|name| name.starts_with("lacuna_"))).collect();
    let mut typed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(typed.len(), text.matches("# HELP ").count());
    promised.sort_unstable();
    typed.sort_unstable();
    assert_eq!(typed, promised);

    let place = r#"view="log",stream="orders",partition="0""#;
    for (name, label, values) in [
        (
            "observed_messages_total",
            "stamp",
            &["absent", "malformed", "unsupported", "foreign"][..],
        ),
        ("lost_messages_total", "stage", &["produce", "store", "consume", "undetermined"]),
        ("current_lost_messages", "stage", &["produce", "store", "consume", "undetermined"]),
        ("duplicate_messages_total", "kind", &["resent", "redelivered", "undetermined"]),
        (
            "absent_by_design_messages_total",
            "cause",
            &["aborted", "compacted", "expired", "retention"],
        ),
        ("unknown_messages_total", "reason", &["joined", "paused", "evicted", "transaction"]),
    ] {
        for value in values {
            let line = format!("\nlacuna_{name}{{{place},{label}=\"{value}\"}} 0\n");
            assert!(text.contains(&line), "{line}{text}");
        }
    }
    for line in [
        &format!("lacuna_observed_messages_total{{{place},stamp=\"valid\"}} 1"),
        &format!("lacuna_missing_messages{{{place}}} 0"),
        &format!("lacuna_recovered_messages_total{{{place}}} 0"),
        &format!("lacuna_lanes{{{place}}} 1"),
        &format!("lacuna_lanes_without_ledger{{{place}}} 1"),
        &format!("lacuna_producers{{{place}}} 1"),
        &format!("lacuna_log_cuts_total{{{place}}} 0"),
        r#"lacuna_checking_enabled{stream=""} 1"#,
        r#"lacuna_checking_enabled{stream="orders"} 1"#,
        r#"lacuna_source_lag_messages{source="main \"1\""} 7"#,
        r#"lacuna_source_up{source="main \"1\""} 0"#,
        &format!(
            r#"lacuna_build_info{{revision="unknown",version="{}"}} 1"#,
            env!("CARGO_PKG_VERSION")
        ),
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn metrics_come_as_open_metrics_to_whom_prefers_them() {
    let api = serve(&EngineSettings::default());
    post(&api, "/v1/observations", &(watch("orders") + &message("orders", "p", 0))).await;
    let (.., text) = ask(&api, Method::GET, "/metrics", &[], "").await;
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let (status, media, open) = ask(&api, Method::GET, "/metrics", &[("accept", accept)], "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(media, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let open = open.strip_suffix("# EOF\n").unwrap();
    assert!(open.contains("# TYPE lacuna_lost_messages counter\nlacuna_lost_messages_total{"));
    let samples = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(samples(open), samples(&text));
    let announced = |text: &str| text.lines().filter(|line| line.starts_with("# ")).count();
    assert_eq!(announced(open), announced(&text));
    let mut counters = open.lines().filter(|line| line.ends_with(" counter"));
    assert!(counters.all(|line| !line.contains("_total")), "{open}");
}

#[tokio::test]
async fn metrics_without_partitions_are_sums_over_them() {
    let engine = Engine::start(&EngineSettings::default(), Vec::new()).unwrap();
    let api = Api::new(engine, 10_000, 5_000, limits()).with_partition_label(false);
    let api = router(api);
    // The same producer in both, and one more in the second.
    let second = (watch("orders") + &message("orders", "q", 0))
        .replace(r#""partition":"0""#, r#""partition":"1""#)
        .replace(";0;0\"", ";1;0\"");
    let third = second.lines().last().unwrap().replace("1;q;", "1;p;");
    let lines = watch("orders") + &message("orders", "p", 0) + &second + &third;
    post(&api, "/v1/observations", &lines).await;
    let (.., text) = ask(&api, Method::GET, "/metrics", &[], "").await;
    assert!(!text.contains("partition="), "{text}");
    let place = r#"view="log",stream="orders""#;
    for line in [
        format!("lacuna_observed_messages_total{{{place},stamp=\"valid\"}} 3"),
        format!("lacuna_lanes{{{place}}} 3"),
        format!("lacuna_producers{{{place}}} 2"),
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn counters_stay_where_gauges_go_down() {
    let api = serve(&impatient());
    let numbers = [0, 2].map(|seq| message("orders", "p", seq)).concat();
    post(&api, "/v1/observations", &(watch("orders") + &numbers)).await;
    until_lost(&api, "orders", 1).await;
    post(&api, "/v1/observations", &message("orders", "p", 1)).await;
    let (.., text) = ask(&api, Method::GET, "/metrics", &[], "").await;
    let sample = |name: &str| {
        let sample = text.lines().find(|line| line.starts_with(name)).unwrap();
        sample.rsplit(' ').next().unwrap().to_owned()
    };
    let place = r#"{view="log",stream="orders",partition="0""#;
    let stage = format!("{place},stage=\"undetermined\"}}");
    assert_eq!(sample(&format!("lacuna_lost_messages_total{stage}")), "1");
    assert_eq!(sample(&format!("lacuna_current_lost_messages{stage}")), "0");
    assert_eq!(sample(&format!("lacuna_recovered_messages_total{place}}}")), "1");
}

#[tokio::test]
async fn requests_that_are_not_of_the_form_are_problems() {
    let api = serve(&EngineSettings::default());
    let table = [
        (Method::GET, "/v1/nothing", 404, "there is nothing at /v1/nothing"),
        (Method::DELETE, "/v1/report", 405, "/v1/report does not take this method"),
        (
            Method::GET,
            "/v1/report?depth=all",
            400,
            "\"all\" is no depth: totals, streams, partitions and lanes are",
        ),
        (Method::GET, "/v1/report?state=lost", 400, "state means nothing here"),
        (Method::GET, "/v1/report?depth=streams&cursor=00", 400, "cursor means nothing here"),
        (Method::GET, "/v1/report?depth=partitions&limit=5", 400, "limit means nothing here"),
        (Method::GET, "/v1/report?depth=lanes&cursor=00", 400, "cursor \"00\" is not one of ours"),
        (Method::GET, "/v1/report?depth=lanes&limit=0", 400, "limit 0 is not 1 to 100000"),
        (Method::GET, "/v1/gaps?cursor=x", 400, "cursor \"x\" is not one of ours"),
        (Method::GET, "/v1/gaps?depth=lanes", 400, "depth means nothing here"),
    ];
    for (method, path, status, why) in table {
        let expected = (status, why.to_owned(), Value::Null);
        assert_eq!(problem(&api, method, path, "").await, expected, "{path}");
    }
    let (status, why, _) = problem(&api, Method::GET, "/v1/report?streem=orders", "").await;
    assert_eq!(status, 400);
    assert!(why.contains("unknown field `streem`"), "{why}");
    let long = message("orders", "p", 0).repeat(MAX_BODY / 50);
    let (status, ..) = problem(&api, Method::POST, "/v1/observations", &long).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn an_engine_without_sources_is_alive_and_ready() {
    let api = serve(&EngineSettings::default());
    for path in ["/healthz", "/readyz"] {
        let (status, ..) = ask(&api, Method::GET, path, &[], "").await;
        assert_eq!(status, StatusCode::OK, "{path}");
    }
}
