//! What was injected is what is shown, with a script and without.

use lacuna_page::browser::Browser;
use lacuna_page::tab::{Look, Tab};
use lacuna_page::{sidecar, traffic};
use serde_json::Value;

/// The figures under the headline, by their names.
fn figures(tab: &mut Tab) -> Vec<String> {
    tab.texts(".figures a")
}

/// All that the shop's faults must look like, as [`traffic::shop`] says them.
fn shows_the_shop(tab: &mut Tab) {
    assert_eq!(tab.text("h1"), "20 messages are lost");
    let beneath = tab.text(".headline p");
    for part in ["10 on the way to the broker", "7 by the store", "3 between log and group"] {
        assert!(beneath.contains(part), "{beneath}");
    }
    // Nine partitions of three producers and sixty numbers each, and the group's one; of the numbers
    // twenty are lost and one was refused.
    let seen = 10 * 3 * 60 - 20 - 1;
    let figures = figures(tab);
    let expected = ["Lost 20", "Missing 0", "Repeated 1", "Cannot be judged 0", "Behind the log 0"];
    assert_eq!(figures[..5], expected);
    assert_eq!(figures[5], format!("Seen {},{:03}", seen / 1_000, seen % 1_000));

    let cells = tab.texts(".stream");
    assert_eq!(cells.len(), 3, "{cells:?}");
    let labels = tab.eval("[...document.querySelectorAll('.grid .cells a')].map((one) => one.closest('.cells').dataset.view + ' ' + one.closest('.cells').dataset.stream + ' ' + one.className + ': ' + one.getAttribute('aria-label'))");
    let mut labels: Vec<&str> =
        labels.as_array().unwrap().iter().map(|label| label.as_str().unwrap()).collect();
    labels.sort_unstable();
    let expected = [
        "billing orders l: partition 5: 3 lost",
        "log orders l: partition 3: 7 lost",
        "log orders r: partition 0: 1 repeated",
        "log payments l: partition 1: 10 lost",
    ];
    assert_eq!(labels, expected);
    // The group's view has a row for each partition of which a ledger speaks.
    let cells = tab.eval("document.querySelectorAll('.grid .cells > :is(i, a)').length");
    assert_eq!(cells, 6 + 3 + 6);

    let mut rows = tab.texts(".gap > summary");
    rows.iter_mut().for_each(|row| *row = row.rsplitn(4, ' ').last().unwrap().to_owned());
    rows.sort_unstable();
    let expected = [
        "lost consume 20–22 3 numbers orders / 5 billing billing@jobs-1",
        "lost produce 10–19 10 numbers payments / 1 orders-api@web-1",
        "lost store 40–46 7 numbers orders / 3 orders-api@web-2",
    ];
    assert_eq!(rows, expected);

    let repeats = tab.text(".repeats");
    assert!(repeats.contains("1 resent"), "{repeats}");
    assert!(repeats.contains("5 resent orders / 0 orders-api@web-1 5 6"), "{repeats}");
    let unknown = tab.text("section.unknown");
    assert!(unknown.contains("1 refused") && unknown.contains("4 without a stamp"), "{unknown}");
    let who = tab.texts(".who tbody tr");
    let of = |name: &str| who.iter().find(|row| row.starts_with(name)).unwrap().clone();
    assert!(of("orders-api@web-1").starts_with("orders-api@web-1 10 0 1 0 "), "{who:?}");
    assert!(of("orders-api@web-2").starts_with("orders-api@web-2 7 0 0 0 "), "{who:?}");
    assert!(of("billing@jobs-1").starts_with("billing@jobs-1 3 0 0 0 "), "{who:?}");
}

#[test]
fn what_was_injected_is_what_is_shown() {
    let sidecar = sidecar::start("shows");
    let browser = Browser::start("shows");
    let mut tab = browser.tab(&Look::default());
    tab.go(&sidecar::page(&sidecar, ""));
    assert_eq!(tab.text("h1"), "Nothing to judge yet");
    // From here on the page is told, and nobody loads it again.
    traffic::shop().judged(&sidecar, traffic::SHOP_LOST);
    tab.until(
        "the page has heard of it",
        "document.querySelector('h1').innerText === '20 messages are lost' \
         && document.querySelector('.figures .missing .value').innerText === '0'",
    );
    shows_the_shop(&mut tab);
    assert_eq!(tab.text("#live"), "live");
    assert_eq!(tab.eval("document.title"), "20 lost · Lacuna");
    assert_eq!(tab.errors(), [""; 0]);
    sidecar.stop(1);
}

#[test]
fn without_a_script_it_is_a_plain_report() {
    let sidecar = sidecar::start("plain");
    traffic::shop().judged(&sidecar, traffic::SHOP_LOST);
    let browser = Browser::start("plain");
    let mut tab = browser.tab(&Look { scripts: false, ..Look::default() });
    tab.go(&sidecar::page(&sidecar, ""));
    shows_the_shop(&mut tab);
    assert_eq!(tab.text("#zone"), "UTC");
    assert!(tab.text("#live").ends_with(" UTC"));
    // A row opens, and its form is taken, all the same.
    tab.click(".gap > summary");
    tab.click(".gap[open] [name=by]");
    tab.write("ann");
    tab.key("Enter");
    tab.until("the word is taken", "document.querySelectorAll('.gap.done').length === 1");
    sidecar.stop(1);
}

/// A loss's row opened: its evidence is what the API says of it.
#[test]
fn a_row_has_the_evidence_that_the_api_has() {
    let sidecar = sidecar::start("evidence");
    traffic::shop().judged(&sidecar, traffic::SHOP_LOST);
    let browser = Browser::start("evidence");
    let mut tab = browser.tab(&Look::default());
    tab.go(&sidecar::page(&sidecar, "?stream=orders&view=log"));
    let rows = sidecar.get("/v1/gaps?stream=orders&view=log&state=lost");
    let row = &rows["gaps"][0];
    assert_eq!(rows["gaps"].as_array().map(Vec::len), Some(1));
    let id = row["id"].as_str().unwrap();
    tab.click(&format!("#gap-{id} > summary"));
    let open = tab.text(&format!("#gap-{id} .open"));
    let (before, after) = (&row["before"], &row["after"]);
    for part in [
        "Acknowledged by the broker, and not in its log.".to_owned(),
        format!("Last before {} at partition 3, offset {},", before["seq"], before["position"]),
        format!("First after {} at partition 3, offset {},", after["seq"], after["position"]),
        "Ledger acknowledged, as of 1970-01-01 04:00:00".to_owned(),
        format!("Run orders-api@web-2, epoch {:x}, lane 3", traffic::EPOCH),
    ] {
        assert!(open.contains(&part), "{part}: {open}");
    }
    tab.click(&format!("#gap-{id} .copy:nth-of-type(1) summary"));
    let position = before["position"].as_u64().unwrap();
    let command = format!(
        "kcat -C -b \"$BROKERS\" -t orders -p 3 -o {position} -c 2 -e -f 'offset %o %h\\n'"
    );
    assert_eq!(tab.text(&format!("#gap-{id} .copy:nth-of-type(1) pre")), command);
    let json = tab
        .eval(&format!("document.querySelector('#gap-{id} .copy:nth-of-type(2) pre').textContent"));
    let json: Value = serde_json::from_str(json.as_str().unwrap()).unwrap();
    assert_eq!(json, *row);
    // What was opened stays open when the page hears news.
    sidecar.send("PUT", "/v1/checking?stream=payments", r#"{"enabled":false}"#);
    tab.until("news", "document.querySelector('.switches .off') !== null");
    assert_eq!(tab.eval(&format!("document.querySelector('#gap-{id}').open")), true);
    sidecar.stop(1);
}

/// A link shows what its sender saw.
#[test]
fn filters_stand_in_the_address() {
    let sidecar = sidecar::start("filters");
    traffic::shop().judged(&sidecar, traffic::SHOP_LOST);
    let browser = Browser::start("filters");
    let mut tab = browser.tab(&Look::default());
    tab.go(&sidecar::page(&sidecar, ""));
    tab.click(".choose summary");
    tab.click(".choose [name=producer]");
    tab.write("orders-api@web-1");
    tab.key("Enter");
    tab.until(
        "it is chosen",
        "location.search === '?producer=orders-api%40web-1' && document.readyState === 'complete'",
    );
    assert_eq!(tab.text("h1"), "10 messages are lost");
    assert_eq!(tab.texts(".gap > summary").len(), 1);
    assert_eq!(tab.texts(".who tbody")[0].lines().count(), 1);
    let report = sidecar.get("/v1/report?depth=lanes&producer=orders-api%40web-1");
    let lanes = report["streams"].as_array().unwrap().iter();
    let lanes = lanes.flat_map(|stream| stream["partitions"].as_array().unwrap());
    let lanes = lanes.flat_map(|partition| partition["lanes"].as_array().unwrap());
    let seen: u64 = lanes.filter_map(|lane| lane["totals"]["seen"].as_u64()).sum();
    assert_eq!(tab.texts(".figures .value")[5], seen.to_string());

    tab.click(".chosen a");
    tab.until("all is shown again", "location.search === '' && document.readyState === 'complete'");
    tab.click(".grid .cells a[aria-label^='partition 3']");
    tab.until(
        "the partition is chosen",
        "location.search.includes('partition=3') && document.readyState === 'complete'",
    );
    assert_eq!(tab.text("h1"), "7 messages are lost");
    assert_eq!(tab.texts(".chosen a"), ["view log ×", "stream orders ×", "partition 3 ×"]);
    tab.go(&sidecar::page(&sidecar, "?state=refused"));
    let rows = tab.texts(".gap > summary");
    assert_eq!(rows.len(), 1);
    assert!(rows[0].starts_with("refused 30 payments / 0 billing@jobs-1"), "{rows:?}");
    sidecar.stop(1);
}
