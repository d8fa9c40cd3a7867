//! Requests: the first line is method and path, the rest the body. Nothing makes the server fail,
//! every refusal is a problem document, and what is refused takes nothing.

use std::sync::LazyLock;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Uri};
use lacuna::engine::{Engine, EngineSettings};
use lacuna::http::{Api, HttpLimits, router};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread().enable_all().build().expect("a runtime of one thread")
});

pub(crate) fn bodies(data: &[u8]) {
    let (head, body) = match data.iter().position(|&b| b == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    let mut words = head.splitn(3, |&b| b == b' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let Ok(method) = Method::from_bytes(method) else { return };
    let Ok(uri) = Uri::try_from(path) else { return };
    let mut request = Request::builder().method(method).uri(uri);
    if let Some(batch) = words.next() {
        request = request.header("Lacuna-Batch", batch);
    }
    let Ok(request) = request.body(Body::from(body.to_vec())) else { return };
    RUNTIME.block_on(ask(request));
}

async fn ask(request: Request<Body>) {
    let mut settings = EngineSettings::default();
    settings.checker.limits.lanes = 64;
    settings.checker.limits.partitions = 64;
    let engine = Engine::start(&settings, Vec::new()).expect("a thread");
    let limits = HttpLimits { max_body_bytes: 1 << 16, ..HttpLimits::default() };
    let api = router(Api::new(engine.clone(), 10_000, 5_000, limits));
    let answer = match api.oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let status = answer.status();
    let media = answer.headers().get("content-type").map(|media| media.as_bytes().to_vec());
    assert!(!status.is_server_error(), "{status}");
    let body = to_bytes(answer.into_body(), usize::MAX).await.expect("a body in memory");
    if status.is_client_error() {
        assert_eq!(media.as_deref(), Some(&b"application/problem+json"[..]), "{status}");
        assert!(std::str::from_utf8(&body).is_ok());
    }
    if let Some(b"application/json" | b"application/problem+json") = media.as_deref() {
        let control = body.iter().any(|&b| b < 0x20);
        assert!(!control, "JSON with a control character: {:?}", String::from_utf8_lossy(&body));
    }
    let totals = engine.totals().await.expect("the worker has not ended");
    let observed = totals.observed;
    let taken = observed.valid
        + observed.absent
        + observed.malformed
        + observed.unsupported
        + observed.foreign;
    assert!(status.is_success() || taken == 0, "refused, and taken");
}
