//! How it looks: every width, light and dark, by keyboard, and held to WCAG by axe.

use std::env;
use std::fs;
use std::path::PathBuf;

use lacuna_page::browser::{Browser, directory};
use lacuna_page::tab::{Look, Tab, ZONE};
use lacuna_page::{sidecar, traffic};

/// What axe finds wrong, one line a rule.
fn wrongs(tab: &mut Tab) -> Vec<String> {
    let axe = env::var("AXE")
        .expect("AXE names axe-core's axe.min.js: run these tests through tests/run");
    let axe = fs::read_to_string(axe).expect("axe is there");
    tab.eval(&format!("{axe}; null"));
    let found = tab.eval(
        "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })\
         .then((all) => all.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html + ' ' + node.any.map((any) => any.message)).join(' | ')}`))",
    );
    found.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_width_fits_and_axe_finds_nothing() {
    let sidecar = sidecar::start("looks");
    let mut shop = traffic::shop();
    shop.judged(&sidecar, traffic::SHOP_LOST);
    let id = sidecar.get("/v1/gaps?stream=payments&state=lost")["gaps"][0]["id"].clone();
    let path = format!("/v1/gaps/{}/acknowledgement", id.as_str().unwrap());
    sidecar.send("PUT", &path, r#"{"by":"ann","note":"INC-7"}"#);
    sidecar.send("PUT", "/v1/checking?stream=payments", r#"{"enabled":false}"#);
    let browser = Browser::start("looks");
    for dark in [false, true] {
        let mut tab = browser.tab(&Look { dark, ..Look::default() });
        for (width, height) in [(390, 1500), (1280, 1240), (2560, 1340)] {
            tab.resize(width, height);
            tab.go(&sidecar::page(&sidecar, "?partition=3"));
            tab.go(&sidecar::page(&sidecar, ""));
            tab.until("it is live", "document.querySelector('#live').dataset.state === 'live'");
            let wide = tab.eval("document.documentElement.scrollWidth");
            assert_eq!(wide, width, "what is wider than the window is lost to a reader");
            tab.screenshot(&shot(width, dark));
            tab.eval(
                "document.querySelectorAll('main details').forEach((one) => { one.open = true; })",
            );
            assert_eq!(wrongs(&mut tab), [""; 0], "{width} dark {dark}");
        }
    }
    sidecar.stop(1);
}

fn shot(width: u32, dark: bool) -> PathBuf {
    let name = format!("page-{width}-{}.png", if dark { "dark" } else { "light" });
    env::var("PAGE_SHOTS").map_or_else(|_| directory(), PathBuf::from).join(name)
}

#[test]
fn a_keyboard_is_enough() {
    let sidecar = sidecar::start("keyboard");
    traffic::shop().judged(&sidecar, traffic::SHOP_LOST);
    let browser = Browser::start("keyboard");
    let mut tab = browser.tab(&Look::default());
    tab.go(&sidecar::page(&sidecar, ""));
    tab.key("Tab");
    assert_eq!(tab.eval("document.activeElement.innerText"), "Skip to the numbers");
    // The grid is one stop, and arrows go from finding to finding.
    let focus = "document.activeElement.getAttribute('aria-label') ?? ''";
    while !tab.eval(focus).as_str().unwrap().starts_with("partition ") {
        tab.key("Tab");
    }
    let first = tab.eval(focus);
    assert!(tab.text(".pointed").contains(first.as_str().unwrap()));
    tab.key("ArrowRight");
    let second = tab.eval(focus);
    assert!(second != first && second.as_str().unwrap().starts_with("partition "), "{second}");
    tab.key("ArrowLeft");
    assert_eq!(tab.eval(focus), first);
    tab.key("Tab");
    assert!(!tab.eval(focus).as_str().unwrap().starts_with("partition "));
    while tab.eval("document.activeElement.matches('.gap > summary')") != true {
        tab.key("Tab");
    }
    tab.key("Enter");
    tab.until("the row is open", "document.activeElement.parentElement.open");
    while tab.eval("document.activeElement.matches('.acknowledge [name=by]')") != true {
        tab.key("Tab");
    }
    tab.write("ann");
    tab.key("Enter");
    tab.until("the word is taken", "document.querySelectorAll('.gap.done').length === 1");
    while tab.eval("document.activeElement.matches('.switches > li > button')") != true {
        tab.key("Tab");
    }
    tab.key("Enter");
    tab.until("it asks", "document.querySelector('.ask:popover-open') !== null");
    tab.key("Escape");
    tab.until("it is left", "document.querySelector('.ask:popover-open') === null");
    sidecar.stop(1);
}

/// Times are the reader's, and UTC when pointed at.
#[test]
fn times_are_the_reader_s() {
    let sidecar = sidecar::start("times");
    traffic::shop().judged(&sidecar, traffic::SHOP_LOST);
    let since = sidecar.get("/v1/gaps?state=lost")["gaps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["since"].as_u64().unwrap())
        .min()
        .unwrap();
    let browser = Browser::start("times");
    let mut tab = browser.tab(&Look::default());
    tab.go(&sidecar::page(&sidecar, ""));
    let shown = tab.text(".headline time");
    let expected = tab.eval(&format!(
        "new Date({since} + 4 * 3600e3).toISOString().slice(0, 19).replace('T', ' ')"
    ));
    assert_eq!(shown, expected);
    let title = tab.eval("document.querySelector('.headline time').title");
    let expected = tab
        .eval(&format!("new Date({since}).toISOString().replace('T', ' ').replace('Z', ' UTC')"));
    assert_eq!(title, expected);
    assert_eq!(tab.text("#zone"), ZONE);
    sidecar.stop(1);
}
