//! A person deals with a loss: page and alert are calm again, and the next loss is news.

use lacuna_brokers::sidecar::Sidecar;
use lacuna_page::browser::Browser;
use lacuna_page::tab::Look;
use lacuna_page::traffic::Traffic;
use lacuna_page::{sidecar, traffic};

/// What an alert looks at.
fn alerted(sidecar: &Sidecar) -> f64 {
    sidecar.metrics_of("lacuna_current_lost_messages").iter().sum()
}

#[test]
fn an_acknowledgement_calms_page_and_alert() {
    let sidecar = sidecar::start("acknowledging");
    let mut one = Traffic::default();
    one.watch("log", "orders", 0);
    one.log("orders", 0, "web@1", &[0, 1, 2, 6, 7]);
    one.judged(&sidecar, 3);
    assert!((alerted(&sidecar) - 3.0).abs() < 0.5);
    let browser = Browser::start("acknowledging");
    let mut tab = browser.tab(&Look::default());
    tab.go(&sidecar::page(&sidecar, ""));
    assert_eq!(tab.text("h1"), "3 messages are lost");
    tab.click(".gap > summary");
    tab.click(".acknowledge [name=by]");
    tab.write("ann");
    tab.click(".acknowledge [name=note]");
    tab.write("sent again by hand, <b>INC-7</b>");
    tab.click(".acknowledge button");
    tab.until("it is calm", "document.querySelector('h1').innerText === 'Nothing is lost'");
    assert!(tab.text(".headline p").contains("3 more lost, and acknowledged"));
    assert!(tab.text(".gap").contains("Acknowledged by ann"));
    assert!(tab.text(".gap").contains("sent again by hand, <b>INC-7</b>"));
    assert_eq!(tab.eval("document.querySelector('.grid .cells a').className"), "d");
    assert!(alerted(&sidecar).abs() < 0.5);
    // It stays lost, in the report and in the history.
    let lost = &sidecar.get("/v1/report?depth=totals")["totals"]["lost"]["undetermined"];
    assert_eq!(lost, 3);
    let row = &sidecar.get("/v1/gaps")["gaps"][0];
    assert_eq!(row["acknowledged"]["by"], "ann");
    let all = sidecar.get("/v1/acknowledgements");
    assert_eq!(
        (&all["lost"]["undetermined"], &all["acknowledgements"][0]["last"]),
        (&3.into(), &5.into())
    );

    // What is lost beside it later is not what was acknowledged.
    one.log("orders", 0, "web@1", &[9]);
    one.judged(&sidecar, 4);
    tab.until("that is news", "document.querySelector('h1').innerText === '1 message is lost'");
    assert!((alerted(&sidecar) - 1.0).abs() < 0.5);

    tab.until("a row to take back", "document.querySelector('.gap.done') !== null");
    tab.eval("document.querySelector('.gap.done').open = true");
    tab.click(".gap.done .acknowledge button");
    tab.until(
        "it is lost again",
        "document.querySelector('h1').innerText === '4 messages are lost'",
    );
    assert!((alerted(&sidecar) - 4.0).abs() < 0.5);
    assert_eq!(tab.errors(), [""; 0]);
    sidecar.stop(1);
}

/// What somebody writes while the page hears news is not taken from under their hands.
#[test]
fn news_leave_a_form_alone_that_is_being_filled() {
    let sidecar = sidecar::start("filling");
    let mut shop = traffic::shop();
    shop.judged(&sidecar, traffic::SHOP_LOST);
    let browser = Browser::start("filling");
    let mut tab = browser.tab(&Look::default());
    tab.go(&sidecar::page(&sidecar, "?view=log&stream=orders"));
    tab.click(".gap > summary");
    tab.click(".acknowledge [name=note]");
    tab.write("half a no");
    shop.log("orders", 1, "orders-api@web-1", &[60, 62]);
    shop.judged(&sidecar, traffic::SHOP_LOST + 1);
    tab.until("news", "document.querySelectorAll('.gap').length === 2");
    tab.write("te");
    assert_eq!(tab.eval("document.activeElement.value"), "half a note");
    sidecar.stop(1);
}
