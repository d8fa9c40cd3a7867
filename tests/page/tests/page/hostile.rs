//! Names come from anywhere. None of them is anything but text, and no other site's page changes
//! anything here.

use lacuna_brokers::http::exchange;
use lacuna_page::browser::Browser;
use lacuna_page::sidecar;
use lacuna_page::tab::Look;
use lacuna_page::traffic::Traffic;
use serde_json::json;

const NAMES: [&str; 4] = [
    r#"<script>window.pwned = 1</script>"#,
    r#""><img src=x onerror="window.pwned = 1">"#,
    "javascript:window.pwned=1",
    "$(touch /tmp/pwned) `id` 'x' & | ; \u{202e}",
];

#[test]
fn names_are_text() {
    let sidecar = sidecar::start("hostile");
    let mut all = Traffic::default();
    for name in NAMES {
        all.watch("log", name, 0);
        all.log(name, 0, "-rf@x", &[0, 2, 2]);
    }
    all.line(
        &json!({"stream": "views", "view": NAMES[1], "partition": "@-:", "position": 1, "at": 0}),
    );
    all.judged(&sidecar, NAMES.len() as u64);
    let browser = Browser::start("hostile");
    let mut tab = browser.tab(&Look::default());
    for rest in [
        "",
        "?state=all",
        "?stream=%3Cscript%3Ewindow.pwned%3D1%3C/script%3E&producer=%22%3E%3Cb%3E",
    ] {
        tab.go(&sidecar::page(&sidecar, rest));
        tab.eval("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
        assert_eq!(tab.eval("window.pwned ?? null"), json!(null), "{rest}");
        assert_eq!(tab.eval("document.querySelectorAll('main img, main script').length"), 0);
        assert_eq!(tab.errors(), [""; 0], "{rest}");
    }
    tab.go(&sidecar::page(&sidecar, ""));
    let mut streams =
        tab.eval("[...document.querySelectorAll('.stream .name a')].map((one) => one.textContent)");
    let streams = streams.as_array_mut().unwrap();
    for name in NAMES {
        assert!(streams.contains(&json!(name)), "{name} {streams:?}");
    }
    // Nothing that Kafka would not call a topic comes near a shell.
    assert_eq!(tab.eval("document.body.textContent.includes('kcat')"), false);
    // A cell's link leads where it says.
    tab.click(".grid .cells a");
    tab.until(
        "it is chosen",
        "location.search.includes('partition=0') && document.readyState === 'complete'",
    );
    assert_eq!(tab.text("h1"), "1 message is lost");
    assert_eq!(tab.eval("window.pwned ?? null"), json!(null));
    sidecar.stop(1);
}

#[test]
fn nothing_but_our_own_runs_or_is_framed() {
    let sidecar = sidecar::start("policy");
    let browser = Browser::start("policy");
    let mut tab = browser.tab(&Look::default());
    tab.go(&sidecar::page(&sidecar, ""));
    tab.eval("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.pwned = 1\"><p style=\"color: red\">')");
    tab.eval("document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.pwned = 1' }))");
    assert_eq!(tab.eval("window.pwned ?? null"), json!(null));
    tab.until("the browser refused it", "true");
    assert!(tab.errors().iter().any(|error| error.contains("Content Security Policy")));
    sidecar.stop(3);
}

/// Another site's page asks, in a real browser: nothing is changed.
#[test]
fn no_other_site_changes_anything() {
    let sidecar = sidecar::start("other");
    // Another port is another site's page to us.
    let other = sidecar::start("other-site");
    let browser = Browser::start("other");
    let mut tab = browser.tab(&Look::default());
    let target = sidecar.address();
    tab.go(&format!("http://{}/healthz", other.address()));
    for (path, body) in [
        ("/page/checking", "enabled=false"),
        ("/v1/observations", r#"{"stream":"orders","partition":"0","at":0}"#),
    ] {
        let sent = tab.eval(&format!(
            "fetch('http://{target}{path}', {{ method: 'POST', mode: 'no-cors', \
             headers: {{ 'content-type': 'application/x-www-form-urlencoded' }}, \
             body: {} }}).then(() => true)",
            json!(body)
        ));
        assert_eq!(sent, true, "the browser lets it through: it is ours to refuse");
    }
    assert_eq!(sidecar.get("/v1/checking")["enabled"], true);
    assert_eq!(sidecar.get("/v1/report")["streams"], json!([]));
    let (status, _) = exchange(target, "POST", "/page/checking", "enabled=false").unwrap();
    assert_ne!(status, 403, "what is no browser says nothing of where it comes from");
    sidecar.stop(3);
    other.stop(3);
}
