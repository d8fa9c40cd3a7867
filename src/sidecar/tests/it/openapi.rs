//! `/openapi.json` against real answers: each is what it says, and says no more.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use lacuna::engine::{Engine, EngineSettings};
use lacuna::http::{Api, HttpLimits, router};
use lacuna::state::{Bounds, Restored};
use lacuna_core::stamp::Encoder;
use serde_json::{Value, json};
use tower::ServiceExt;

async fn ask(api: &Router, method: &str, path: &str, body: &str) -> (u16, String, String) {
    let request = Request::builder().method(method).uri(path);
    let answer = api.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await;
    let answer = answer.unwrap();
    let media = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, media, String::from_utf8(body.to_vec()).unwrap())
}

/// Traffic with every kind of row in it: lost with a ledger, refused, unknown, repeated, foreign.
async fn traffic(api: &Router) -> String {
    let stamp = |stream: &str, producer: &str, seq| {
        let mut encoder = Encoder::new(producer, 7, stream, "0").unwrap();
        String::from_utf8(encoder.encode(seq).to_vec()).unwrap()
    };
    let mut lines = vec![
        json!({"watch": {"stream": "orders", "partition": "0", "from": "start", "at": 0}}),
        json!({"watch": {"stream": "late", "partition": "0", "position": 5, "at": 0}}),
    ];
    for (position, seq) in [0, 1, 4, 4, 6, 9].into_iter().enumerate() {
        lines.push(json!({"stream": "orders", "partition": "0", "position": position, "at": 0,
                          "time": 5, "stamp": stamp("orders", "p", seq)}));
    }
    lines.push(json!({"stream": "orders", "partition": "0", "position": 7, "at": 0,
                      "stamp": stamp("other", "p", 0)}));
    lines.push(json!({"stream": "late", "partition": "0", "position": 5, "at": 0,
                      "stamp": stamp("late", "q", 40)}));
    lines.push(json!({"ledger": {"v": 1, "rev": 1, "producer": "p", "epoch": "7", "stream": "orders",
        "lane": "0", "next": 10, "pending": [], "unanswered": [], "refused": [[5, 5]], "aborted": [],
        "closed": false, "at": 3}}));
    let end = json!({"end": {"stream": "orders", "partition": "0", "position": 8, "at": 0}});
    lines.push(end.clone());
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    assert_eq!(ask(api, "POST", "/v1/observations", &lines.join("\n")).await.0, 200);
    for _ in 0..100_000 {
        ask(api, "POST", "/v1/observations", &end.to_string()).await;
        let (.., gaps) = ask(api, "GET", "/v1/gaps?state=lost", "").await;
        let gaps: Value = serde_json::from_str(&gaps).unwrap();
        if gaps["gaps"].as_array().unwrap().len() == 2 {
            return gaps["gaps"][0]["id"].as_str().unwrap().to_owned();
        }
    }
    panic!("two gaps were never judged");
}

/// The document with one answer's schema as its own.
fn schema(document: &Value, path: &str, method: &str, status: &str) -> (String, Value) {
    let content = &document["paths"][path][method]["responses"][status]["content"];
    let (media, told) = content.as_object().unwrap().iter().next().unwrap();
    let mut schema = told["schema"].clone();
    schema["components"] = document["components"].clone();
    (media.clone(), schema)
}

fn holds(schema: &Value, answer: &str, what: &str) {
    let answer: Value = serde_json::from_str(answer).unwrap();
    let validator = jsonschema::draft202012::new(schema).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(&answer)
        .map(|error| format!("{} {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, [""; 0], "{what}: {answer}");
}

#[tokio::test]
async fn every_answer_is_what_the_document_says() {
    let mut settings = EngineSettings::default();
    settings.checker.default_stream.grace_ms = 0;
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("openapi");
    fs::remove_dir_all(&dir).ok();
    let restored = Restored::open(&dir, Bounds::default(), 1).unwrap();
    let second = Duration::from_secs(1);
    let engine = Engine::resume(&settings, Vec::new(), restored, second).unwrap();
    let api = router(Api::new(engine, 0, 5_000, HttpLimits::default()));
    let (_, media, document) = ask(&api, "GET", "/openapi.json", "").await;
    assert_eq!(media, "application/json");
    let document: Value = serde_json::from_str(&document).unwrap();
    let id = traffic(&api).await;
    let word = r#"{"by":"ann","note":"INC-7"}"#;
    let acknowledgement = format!("/v1/gaps/{id}/acknowledgement");
    let mut asked = BTreeSet::new();
    for (method, path, of, body) in [
        ("get", "/v1/report", "/v1/report", ""),
        ("get", "/v1/report?depth=totals", "/v1/report", ""),
        ("get", "/v1/report?depth=lanes&limit=1", "/v1/report", ""),
        ("put", &acknowledgement, "/v1/gaps/{id}/acknowledgement", word),
        ("get", "/v1/gaps?state=all", "/v1/gaps", ""),
        ("get", "/v1/gaps?state=all&limit=1", "/v1/gaps", ""),
        ("get", "/v1/acknowledgements", "/v1/acknowledgements", ""),
        ("delete", &acknowledgement, "/v1/gaps/{id}/acknowledgement", ""),
        ("get", "/v1/duplicates", "/v1/duplicates", ""),
        ("get", "/v1/findings", "/v1/findings", ""),
        ("get", "/v1/groups", "/v1/groups", ""),
        ("post", "/v1/observations", "/v1/observations", ""),
        ("post", "/v1/ledger", "/v1/ledger", ""),
        ("get", "/v1/checking", "/v1/checking", ""),
        ("put", "/v1/checking?stream=late", "/v1/checking", r#"{"enabled":false}"#),
        ("get", "/", "/", ""),
        ("get", "/metrics", "/metrics", ""),
        ("get", "/healthz", "/healthz", ""),
        ("get", "/readyz", "/readyz", ""),
        ("get", "/openapi.json", "/openapi.json", ""),
    ] {
        let (status, media, answer) = ask(&api, &method.to_uppercase(), path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        let (told, schema) = schema(&document, of, method, "200");
        assert!(media.starts_with(&told), "{path} is {media}");
        if told == "application/json" && of != "/openapi.json" {
            holds(&schema, &answer, path);
        }
        asked.insert((of, method));
    }
    for (method, path, of, body) in [
        ("get", "/v1/report?depth=all", "/v1/report", ""),
        ("post", "/v1/observations", "/v1/observations", "{"),
        ("put", "/v1/gaps/x/acknowledgement", "/v1/gaps/{id}/acknowledgement", word),
        ("get", "/?stream=a&streem=b", "/", ""),
    ] {
        let (status, media, answer) = ask(&api, &method.to_uppercase(), path, body).await;
        assert_eq!(status, 400, "{path}: {answer}");
        let (told, schema) = schema(&document, of, method, "default");
        assert_eq!(media, told);
        holds(&schema, &answer, path);
    }
    // Nothing is told of what is not there, and no answer goes unheard. Events go on for ever.
    asked.insert(("/v1/events", "get"));
    let told: BTreeSet<(&str, &str)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (path.as_str(), method.as_str()))
        })
        .collect();
    assert_eq!(told, asked);
}

/// Every path of the router is in the document, but for what only the page asks.
#[test]
fn every_path_is_told() {
    let router =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/router.rs")).unwrap();
    let document =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json")).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let paths = router.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/'));
    let paths: BTreeSet<&str> =
        paths.filter(|path| !path.starts_with("/page/") && !path.starts_with("/assets/")).collect();
    let told = document["paths"].as_object().unwrap().keys().map(String::as_str);
    assert_eq!(paths, told.collect());
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}
