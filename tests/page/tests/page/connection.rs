//! A page that no longer hears says so, and one that nobody looks at does not ask.

use lacuna_brokers::process::Signal;
use lacuna_page::browser::Browser;
use lacuna_page::tab::Look;
use lacuna_page::{sidecar, traffic};
use serde_json::json;

const LIVE: &str = "document.querySelector('#live').dataset.state === 'live'";
const CUT: &str = "document.querySelector('#live').dataset.state === 'cut'";

#[test]
fn a_lost_connection_is_said_and_found_again() {
    let sidecar = sidecar::start("connection");
    traffic::shop().judged(&sidecar, traffic::SHOP_LOST);
    let address = sidecar.address();
    let browser = Browser::start("connection");
    let mut tab = browser.tab(&Look::default());
    tab.go(&sidecar::page(&sidecar, ""));
    tab.until("it is live", LIVE);
    // An answer that goes on for ever does not keep the process.
    sidecar.stop(1);
    tab.until("it is cut", CUT);
    assert!(tab.text("#live").starts_with("connection lost; this is of "));
    assert_eq!(tab.text("h1"), "20 messages are lost");
    let sidecar = sidecar::at("connection", address);
    tab.until("it is live again", LIVE);
    tab.until(
        "it shows what is now",
        "document.querySelector('h1').innerText === 'Nothing to judge yet'",
    );
    sidecar.stop(3);
}

/// A connection that is open and silent is as good as none.
#[test]
fn silence_is_a_lost_connection() {
    let sidecar = sidecar::start("silence");
    let browser = Browser::start("silence");
    let mut tab = browser.tab(&Look::default());
    tab.go(&sidecar::page(&sidecar, ""));
    tab.until("it is live", LIVE);
    sidecar.signal(Signal::Stop);
    tab.until("it is cut", CUT);
    sidecar.signal(Signal::Continue);
    tab.until("it is live again", LIVE);
    sidecar.stop(3);
}

#[test]
fn a_page_that_is_hidden_is_paused() {
    let sidecar = sidecar::start("hidden");
    let browser = Browser::start("hidden");
    let mut tab = browser.tab(&Look::default());
    tab.go(&sidecar::page(&sidecar, ""));
    tab.until("it is live", LIVE);
    let hide = |hidden| {
        format!(
            "Object.defineProperty(document, 'hidden', {{ configurable: true, get: () => {hidden} }}); \
             document.dispatchEvent(new Event('visibilitychange'))"
        )
    };
    tab.eval(&hide(true));
    tab.until("it is paused", "document.querySelector('#live').dataset.state === 'paused'");
    let asked = "performance.getEntriesByType('resource').filter((one) => one.initiatorType === 'fetch').length";
    let before = tab.eval(asked);
    traffic::shop().judged(&sidecar, traffic::SHOP_LOST);
    assert_eq!(tab.text("h1"), "Nothing to judge yet");
    assert_eq!(tab.eval(asked), before);
    tab.eval(&hide(false));
    tab.until(
        "it shows what is now",
        "document.querySelector('h1').innerText === '20 messages are lost'",
    );
    assert_eq!(json!(tab.errors()), json!([]));
    sidecar.stop(1);
}
