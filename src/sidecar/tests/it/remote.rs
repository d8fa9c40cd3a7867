//! `lacuna report`, `gaps` and `duplicates` against a running sidecar, and what the command line says
//! of itself.

use std::process::Command;

use serde_json::Value;

use crate::run::{Sidecar, messages};

fn lacuna(arguments: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_lacuna")).args(arguments).output().unwrap();
    let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (out, error, output.status.code().unwrap())
}

#[test]
fn a_running_sidecar_is_shown_as_columns_json_and_csv() {
    let sidecar = Sidecar::start();
    sidecar.post("/v1/observations", &messages(&[0, 1, 4, 4]));
    let url = format!("http://{}/", sidecar.address);
    let (out, error, exit) = lacuna(&["report", "--url", &url]);
    assert_eq!((error.as_str(), exit), ("", 1));
    let words: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[1], ["orders", "log", "1", "3", "0", "2", "1", "0", "0", "0"]);
    assert_eq!(words[2], ["all", "-", "1", "3", "0", "2", "1", "0", "0", "0"]);
    assert!(!out.contains('\x1b'), "colour where there is no terminal");

    let (out, ..) = lacuna(&["report", "--url", &url, "--format", "csv"]);
    let expected = "view,stream,partition,position,end,seen,lost,missing,repeated,not judged,\
                    refused,recovered\nlog,orders,0,,,3,0,2,1,0,0,0\n";
    assert_eq!(out, expected);
    let (out, ..) = lacuna(&["report", "--url", &url, "--format", "json", "--stream", "nothing"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["streams"], Value::Array(Vec::new()));

    let (out, _, exit) = lacuna(&["gaps", "--url", &url]);
    let row: Vec<&str> = out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..9], ["missing", "-", "orders", "0", "log", "p", "2", "3", "2"]);
    assert_eq!(exit, 0, "what is missing is not lost");
    let (out, ..) = lacuna(&["gaps", "--url", &url, "--format", "json"]);
    let rows: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&rows[0]["first"], &rows[0]["state"]), (&2.into(), &"missing".into()));
    let (out, ..) = lacuna(&["gaps", "--url", &url, "--format", "csv", "--state", "recovered"]);
    assert_eq!(out.lines().count(), 1, "{out}");
    let heading: Vec<&str> = out.trim().split(',').collect();
    // Every field of a row has a column.
    for (name, value) in rows[0].as_object().unwrap() {
        let parts = heading.iter().filter(|field| field.split('.').next() == Some(name)).count();
        assert!(parts > 0, "{name} has no column");
        let fields = value.as_object().map_or(1, serde_json::Map::len);
        assert!(parts >= fields, "{name} has fields without a column");
    }

    let (out, _, exit) = lacuna(&["duplicates", "--url", &url, "--format", "csv"]);
    assert_eq!((out.lines().count(), exit), (2, 1), "{out}");
    let (_, error, exit) = lacuna(&["gaps", "--url", &url, "--state", "gone"]);
    assert_eq!(exit, 64);
    assert!(error.contains("answers 400: \"gone\" is no state"), "{error}");
    sidecar.end("TERM");
}

#[test]
fn a_sidecar_that_is_not_there_is_2_and_the_remedy_is_named() {
    let (out, error, exit) = lacuna(&["report", "--url", "http://127.0.0.1:9"]);
    assert_eq!((out.as_str(), exit), ("", 2));
    assert!(error.ends_with("; --url names where a sidecar listens\n"), "{error}");
}

#[test]
fn completions_and_manual_name_every_command() {
    let (man, _, exit) = lacuna(&["man"]);
    assert_eq!(exit, 0);
    for shell in ["bash", "zsh", "fish"] {
        let (script, _, exit) = lacuna(&["completions", shell]);
        assert_eq!(exit, 0);
        for command in ["run", "demo", "check", "audit", "report", "gaps", "duplicates"] {
            assert!(script.contains(command), "{shell}: {command}");
            assert!(man.contains(&format!("lacuna\\-{command}")), "{command}");
        }
    }
}

/// Help teaches by example, and its examples are ones that are taken.
#[test]
fn the_examples_of_the_help_are_taken() {
    let mut examples = 0;
    for command in [
        &["--help"][..],
        &["run", "--help"],
        &["report", "--help"],
        &["gaps", "--help"],
        &["duplicates", "--help"],
        &["completions", "--help"],
    ] {
        let (help, _, exit) = lacuna(command);
        assert_eq!(exit, 0);
        let (_, shown) = help.split_once("Examples:").unwrap();
        for line in shown.lines().filter_map(|line| line.trim().strip_prefix("lacuna ")) {
            let words = line.split(" > ").next().unwrap().split(" | ").next().unwrap();
            let words: Vec<&str> = words.split(' ').map(|word| word.trim_matches('\'')).collect();
            // What parses and then asks for help has been taken as far as it can be without a broker.
            let (_, error, exit) = lacuna(&[&words[..], &["--help"]].concat());
            assert_eq!((exit, error.as_str()), (0, ""), "{line}");
            let (_, error, exit) = lacuna(&[&words[..], &["--no-such-flag"]].concat());
            assert_eq!(exit, 64);
            let only = error.matches("error:").count() == 1 && error.contains("--no-such-flag");
            assert!(only, "{line}: {error}");
            examples += 1;
        }
    }
    assert!(examples > 15, "{examples}");
}
