//! The switch asks before it turns off, and does what the API does.

use lacuna_page::browser::Browser;
use lacuna_page::tab::Look;
use lacuna_page::{sidecar, traffic};

#[test]
fn turning_off_asks_first() {
    let sidecar = sidecar::start("switch");
    traffic::shop().judged(&sidecar, traffic::SHOP_LOST);
    let browser = Browser::start("switch");
    let mut tab = browser.tab(&Look::default());
    tab.go(&sidecar::page(&sidecar, ""));
    assert_eq!(tab.texts(".switches .what"), ["Everything", "orders", "payments"]);
    tab.click(".switches li:nth-child(3) > button");
    tab.until("it asks", "document.querySelector('.ask:popover-open') !== null");
    assert!(tab.text(".ask:popover-open").starts_with("Stop checking payments?"));
    tab.click(".ask:popover-open [popovertargetaction=hide]");
    tab.until("it is left", "document.querySelector('.ask:popover-open') === null");
    assert_eq!(sidecar.get("/v1/checking?stream=payments")["enabled"], true);

    tab.click(".switches li:nth-child(3) > button");
    tab.until("it asks", "document.querySelector('.ask:popover-open') !== null");
    tab.click(".ask:popover-open .danger");
    tab.until("it is off", "document.querySelector('.switches li:nth-child(3) .off') !== null");
    assert_eq!(sidecar.get("/v1/checking?stream=payments")["enabled"], false);
    assert_eq!(sidecar.get("/v1/checking?stream=orders")["enabled"], true);

    tab.click(".switches li:nth-child(3) form.switch button");
    tab.until("it is on", "document.querySelector('.switches li:nth-child(3) .off') === null");
    assert_eq!(sidecar.get("/v1/checking?stream=payments")["enabled"], true);
    assert_eq!(tab.errors(), [""; 0]);
    sidecar.stop(1);
}

/// Where nothing is judged the page does not say that all is well.
#[test]
fn off_is_said_where_nothing_is_lost() {
    let sidecar = sidecar::start("off");
    let browser = Browser::start("off");
    let mut tab = browser.tab(&Look::default());
    tab.go(&sidecar::page(&sidecar, ""));
    sidecar.send("PUT", "/v1/checking", r#"{"enabled":false}"#);
    tab.until("it is said", "document.querySelector('h1').innerText === 'Checking is off'");
    sidecar.stop(3);
}
