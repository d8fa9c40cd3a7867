//! Every query of every panel and variable, asked of a real Prometheus.

use std::collections::BTreeSet;

use lacuna_brokers::prometheus::{Ground, Labels, Prometheus, Scraping};
use serde_json::Value;

use crate::expected::{EXPECTED, Expected, Reading};
use crate::injected;
use lacuna_brokers::board::{boards, targets};

/// What `$__rate_interval` and `$__range` stand for here: all of the run.
const RANGE_S: u32 = 60;

/// What the reader of the boards has chosen.
fn filled_in(query: &str) -> String {
    let range = format!("{RANGE_S}s");
    let chosen = [
        ("$__rate_interval", range.as_str()),
        ("$__range", &range),
        ("$instance", ".*"),
        ("$view", ".*"),
        ("$stream", "orders"),
        ("$partition", "0"),
    ];
    chosen.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value))
}

#[test]
fn every_panel_shows_what_was_injected() {
    let ground = Ground::of("boards");
    let sidecar = injected::sidecar(&ground);
    let target = sidecar.address();
    let prometheus =
        Prometheus::start(&ground, Scraping { every: "200ms", target, alertmanager: None });
    injected::begin(&sidecar);
    // From here on what happens is an increase.
    prometheus.until("count(lacuna_missing_messages) == 6");
    let totals = injected::faults(&sidecar);
    for (name, count) in [
        ("lost.store", 7),
        ("lost.produce", 2),
        ("lost.consume", 2),
        ("missing", 1),
        ("duplicates.resent", 4),
        ("duplicates.redelivered", 5),
        ("duplicates.undetermined", 2),
        ("unknown.joined", 6 + 8),
        ("unknown.paused", 2),
        ("refused", 2 * 3),
        ("by_design.aborted", 2 * 2),
        ("recovered", 1),
        ("reordered", 2),
        ("log_cuts", 1),
        ("open_gaps", 4),
    ] {
        assert_eq!(totals.get(name), Some(&count), "{name}: {totals:?}");
    }
    sidecar.send("PUT", "/v1/checking?stream=bills", r#"{"enabled":false}"#);
    prometheus.until(r#"lacuna_checking_enabled{stream="bills"} == 0"#);
    prometheus.until(r#"ALERTS{alertname="LacunaCheckingOff"}"#);
    // A range is extrapolated by up to one interval between samples.
    prometheus.until("count_over_time(lacuna_build_info[1m]) > 25");

    let mut wrong = Vec::new();
    let mut left: BTreeSet<usize> = (0..EXPECTED.len()).collect();
    for board in boards() {
        for panel in board.panels() {
            for (letter, query) in targets(panel) {
                let text = |name: &str| panel[name].as_str().unwrap_or_default();
                let place = (board.uid(), text("title"), text("type"), letter);
                let wanted = EXPECTED.iter().position(|(board, title, kind, letter, ..)| {
                    (*board, *title, *kind, *letter) == place
                });
                let Some(wanted) = wanted else {
                    wrong.push(format!("{place:?}: nobody says what it must give"));
                    continue;
                };
                left.remove(&wanted);
                let given = prometheus.query(&filled_in(query));
                if let Err(what) = compare(&EXPECTED[wanted], given) {
                    wrong.push(format!("{place:?}: {query}: {what}"));
                }
            }
        }
        wrong.extend(board.variables().iter().filter_map(|it| choices(&prometheus, it).err()));
    }
    wrong.extend(left.into_iter().map(|index| format!("{:?}: no such query", EXPECTED[index])));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each row that is expected is there, and nothing else but zeros.
fn compare(expected: &Expected, mut given: Vec<(Labels, f64)>) -> Result<(), String> {
    let &(.., reading, rows) = expected;
    for row in rows {
        let (labels, value) = row.rsplit_once(' ').unwrap_or(("", row));
        let labels: Vec<_> =
            labels.split_terminator(' ').filter_map(|l| l.split_once('=')).collect();
        let so = |given: &Labels| {
            labels.iter().all(|(name, value)| given.get(*name).is_some_and(|it| it == value))
        };
        let Some(at) = given.iter().position(|(given, _)| so(given)) else {
            return Err(format!("no row {row:?} in {given:?}"));
        };
        let (_, found) = given.swap_remove(at);
        let wanted: f64 = value.parse().map_err(|_| format!("{row:?} ends with no number"))?;
        if !agrees(reading, wanted, found) {
            return Err(format!("{found} where {row:?} is expected ({reading:?})"));
        }
    }
    given.retain(|(_, value)| *value != 0.0 || rows.is_empty());
    if given.is_empty() { Ok(()) } else { Err(format!("unexpected: {given:?}")) }
}

fn agrees(reading: Reading, wanted: f64, found: f64) -> bool {
    let about = |wanted: f64| (found - wanted).abs() <= wanted / 10.0;
    match reading {
        Reading::Exact => (found - wanted).abs() < 1e-9,
        Reading::Ranged => about(wanted),
        Reading::PerSecond => about(wanted / f64::from(RANGE_S)),
        Reading::AtMost => found > 0.0 && found <= wanted,
    }
}

/// A variable that is asked for offers something.
fn choices(prometheus: &Prometheus, variable: &Value) -> Result<(), String> {
    let Some(query) = variable["query"]["query"].as_str() else { return Ok(()) };
    let asked = query.strip_prefix("label_values(").and_then(|query| query.strip_suffix(')'));
    let (series, label) = asked.and_then(|query| query.rsplit_once(", ")).ok_or(query)?;
    let offered = prometheus.query(&filled_in(&format!("count by ({label}) ({series})")));
    let named = offered.iter().filter(|(labels, _)| labels.contains_key(label)).count();
    if named > 0 { Ok(()) } else { Err(format!("{query} offers nothing")) }
}
