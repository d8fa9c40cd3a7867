//! What makes a board importable as it is, and readable.

use std::collections::BTreeSet;
use std::fs;

use lacuna_brokers::root;
use serde_json::Value;

use lacuna_brokers::board::{Board, boards, targets};

/// What the tests found wrong; all of it is told at once.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn unless(&mut self, right: bool, place: &str, what: &str) {
        if !right {
            self.0.push(format!("{place}: {what}"));
        }
    }
}

impl Drop for Wrong {
    fn drop(&mut self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

fn filled(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

#[test]
fn boards_are_importable_as_they_are() {
    let mut wrong = Wrong::default();
    let mut uids = BTreeSet::new();
    for board in boards() {
        let Board { file, json } = &board;
        wrong.unless(uids.insert(board.uid().to_owned()), file, "another board has its uid");
        let stem = file.trim_end_matches(".json");
        wrong.unless(
            board.uid() == format!("lacuna-{stem}"),
            file,
            "uid is not lacuna- and the file's name",
        );
        wrong.unless(json.get("id").is_none(), file, "an id is one Grafana's own");
        wrong.unless(json.get("__inputs").is_none(), file, "an input asks for editing");
        for key in ["title", "description"] {
            wrong.unless(filled(&json[key]), file, key);
        }
        let first = &board.variables()[0];
        let source = first["name"] == "datasource" && first["type"] == "datasource";
        wrong.unless(source && first["query"] == "prometheus", file, "no data source to choose");
    }
    assert!(uids.len() >= 5, "{uids:?}");
}

#[test]
fn panels_say_what_they_show() {
    let mut wrong = Wrong::default();
    for board in boards() {
        let mut ids = BTreeSet::new();
        for panel in board.panels() {
            let place = format!("{}: {}", board.file, panel["title"]);
            wrong.unless(filled(&panel["title"]), &place, "no title");
            wrong.unless(filled(&panel["description"]), &place, "no description");
            wrong.unless(ids.insert(panel["id"].as_u64()), &place, "another panel has its id");
            if panel["type"] == "text" {
                continue;
            }
            wrong.unless(filled(&panel["fieldConfig"]["defaults"]["unit"]), &place, "no unit");
            wrong.unless(!targets(panel).is_empty(), &place, "no query");
            let chosen = |value: &Value| value["datasource"]["uid"] == "${datasource}";
            wrong.unless(chosen(panel), &place, "another data source than the chosen one");
            for target in panel["targets"].as_array().into_iter().flatten() {
                wrong.unless(chosen(target), &place, "a query of another data source");
            }
            for (letter, query) in targets(panel) {
                let ranged = ["rate(", "increase(", "delta("].iter().any(|f| query.contains(f));
                let adapts = query.contains("[$__rate_interval]") || query.contains("[$__range]");
                wrong.unless(
                    !ranged || adapts,
                    &place,
                    &format!("{letter} has a range of its own"),
                );
            }
        }
    }
}

#[test]
fn panels_do_not_overlap() {
    let mut wrong = Wrong::default();
    for board in boards() {
        let mut taken = BTreeSet::new();
        for panel in board.panels() {
            let at = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    let place = format!("{}: {}", board.file, panel["title"]);
                    wrong.unless(x < 24 && taken.insert((x, y)), &place, &format!("{x}, {y}"));
                }
            }
        }
    }
}

/// The words behind each `$` of a text, with or without braces.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split('$').skip(1).map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

#[test]
fn variables_and_links_lead_somewhere() {
    let mut wrong = Wrong::default();
    let boards = boards();
    for board in &boards {
        let text = board.json.to_string();
        let known: BTreeSet<_> =
            board.variables().iter().filter_map(|variable| variable["name"].as_str()).collect();
        for name in variables(&text) {
            let own = name.starts_with("__");
            wrong.unless(
                own || known.contains(name),
                &board.file,
                &format!("${name} is not known"),
            );
        }
        for rest in text.split("\"/d/").skip(1) {
            let uid = &rest[..rest.find('?').expect("a link to a board passes something on")];
            let there = boards.iter().any(|other| other.uid() == uid);
            wrong.unless(there, &board.file, &format!("a link leads to {uid}"));
        }
    }
}

/// The names of our metrics in a text.
fn metrics(text: &str) -> BTreeSet<&str> {
    let word = |c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':';
    text.split(word).filter(|word| word.starts_with("lacuna_")).collect()
}

#[test]
fn every_metric_is_on_a_board_and_none_that_is_not_there() {
    let contracts = fs::read_to_string(root().join("docs/contracts.md")).expect("it is text");
    let section = contracts.split("\n## ").find(|section| section.starts_with("5.")).expect("§5");
    let there: BTreeSet<_> =
        metrics(section).into_iter().filter(|name| *name != "lacuna_").collect();
    assert!(there.len() > 15, "{there:?}");
    let boards = boards();
    let queries: Vec<String> = boards
        .iter()
        .flat_map(Board::panels)
        .flat_map(targets)
        .map(|(_, query)| query.to_owned())
        .collect();
    let queries = queries.join("\n");
    assert_eq!(metrics(&queries), there);
}
