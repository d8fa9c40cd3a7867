//! The rules: promtool takes them and their tests, and an alert says what it must.

use std::fs;
use std::process::Command;

use lacuna_brokers::prometheus::rules;
use lacuna_brokers::root;

fn promtool(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(rules().parent().expect("it lies in a directory"))
        .output()
        .expect("promtool is installed");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn they_fire_and_stay_silent() {
    for arguments in
        [["check", "rules", "lacuna.rules.yml"], ["test", "rules", "lacuna.rules.test.yml"]]
    {
        let (well, said) = promtool(&arguments);
        assert!(well, "{said}");
    }
}

/// What a rule's own lines say: the rules are one list, each item begun by its name.
#[test]
fn each_alert_has_severity_summary_description_and_a_runbook_that_is_there() {
    let text = fs::read_to_string(rules()).expect("rules are text");
    let tests = rules().with_file_name("lacuna.rules.test.yml");
    let tests = fs::read_to_string(tests).expect("tests are text");
    let alerts: Vec<&str> = text.split("      - alert: ").skip(1).collect();
    assert!(alerts.len() >= 11, "{}", alerts.len());
    for alert in alerts {
        let name = alert.lines().next().unwrap_or_default();
        let of = |key: &str| {
            let line = alert.lines().find_map(|line| line.trim().strip_prefix(key));
            line.unwrap_or_else(|| panic!("{name}: no {key}")).trim()
        };
        let severity = of("labels: {severity:").trim_end_matches('}');
        assert!(["critical", "warning"].contains(&severity), "{name}: {severity}");
        assert!(!of("summary:").is_empty(), "{name}");
        assert_eq!(of("description:"), ">-", "{name}");
        let page = of("runbook_url:");
        let runbook = fs::read_to_string(root().join(page));
        let runbook = runbook.unwrap_or_else(|error| panic!("{name}: {page}: {error}"));
        assert!(runbook.contains(&format!("`{name}`")), "{page} does not name {name}");
        for part in ["## What it means", "## Verify", "## What to do", "## False alarms"] {
            assert!(runbook.contains(part), "{page}: no {part}");
        }
        let fires = format!("alertname: {name}\n");
        assert!(tests.contains(&fires), "no test in which {name} fires");
    }
}
