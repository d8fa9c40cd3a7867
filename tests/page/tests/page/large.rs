//! Ten thousand lanes in ten thousand partitions.

use lacuna_page::browser::Browser;
use lacuna_page::sidecar;
use lacuna_page::tab::Look;
use lacuna_page::traffic::Traffic;
use serde_json::Value;

const STREAMS: u64 = 200;
const PARTITIONS: u32 = 50;

/// All are there, in a few screens, without a jump. How long the first paint takes is printed, and
/// kept in docs/cost.md: a busy machine makes no failure.
#[test]
fn ten_thousand_cells_are_shown_at_once() {
    let sidecar = sidecar::start("large");
    let mut all = Traffic::default();
    let mut lost = 0;
    for stream in 0..STREAMS {
        let name = format!("stream-{stream:03}");
        for partition in 0..PARTITIONS {
            all.watch("log", &name, partition);
            let gap = stream % 20 == 7 && partition == 13;
            let numbers: &[u64] = if gap { &[0, 1, 3] } else { &[0, 1, 2] };
            lost += u64::from(gap);
            let producer = format!("service-{}@host-{}", stream % 30, partition % 7);
            all.log(&name, partition, &producer, numbers);
        }
    }
    all.judged(&sidecar, lost);
    let browser = Browser::start("large");
    let mut tab = browser.tab(&Look::default());
    tab.call("Page.addScriptToEvaluateOnNewDocument", &serde_json::json!({"source":
        "window.shifts = []; new PerformanceObserver((list) => { for (const one of list.getEntries()) \
         for (const moved of one.sources) window.shifts.push(moved.node?.parentElement?.outerHTML.slice(0, 200)); }).observe({ type: 'layout-shift', buffered: true });"}));
    let mut paints = Vec::new();
    for _ in 0..5 {
        tab.go(&sidecar::page(&sidecar, ""));
        tab.until("it is live", "document.querySelector('#live').dataset.state === 'live'");
        let paint = tab
            .eval("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null");
        paints.push(paint.as_f64().expect("it was painted"));
        assert_eq!(tab.eval("window.shifts"), serde_json::json!([]), "the layout jumped");
    }
    paints.sort_by(f64::total_cmp);
    println!(
        "first contentful paint of 10,000 lanes: {:.0} ms (median of {paints:.0?})",
        paints[2]
    );
    let cells = "document.querySelectorAll('.grid .cells > :is(i, a)').length";
    assert_eq!(tab.eval(cells), STREAMS * u64::from(PARTITIONS));
    assert_eq!(tab.text("h1"), format!("{lost} messages are lost"));
    assert_eq!(tab.eval("document.querySelectorAll('.grid a.l').length"), lost);
    let screens = |tab: &mut lacuna_page::tab::Tab| {
        tab.eval("document.querySelector('.where').offsetHeight / innerHeight").as_f64().unwrap()
    };
    assert!(screens(&mut tab) < 2.5, "{}", screens(&mut tab));
    // A cell without findings is one to point at and to follow, too.
    tab.hover(".rest .cells .cells:nth-child(5) i:nth-child(8)");
    tab.until(
        "it says what it is",
        "/^stream-\\d+ \\(log\\), partition 7$/.test(document.querySelector('.pointed').innerText)",
    );
    tab.click(".rest .cells .cells:nth-child(5) i:nth-child(8)");
    tab.until(
        "it is chosen",
        "location.search.includes('partition=7') && document.readyState === 'complete'",
    );
    assert_eq!(tab.texts(".figures .value")[5], "3");
    tab.resize(390, 844);
    tab.go(&sidecar::page(&sidecar, ""));
    assert!(screens(&mut tab) < 3.5, "{}", screens(&mut tab));
    assert_eq!(tab.errors(), Vec::<Value>::new().iter().map(Value::to_string).collect::<Vec<_>>());
    sidecar.stop(1);
}
