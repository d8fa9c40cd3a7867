//! What a checked message may cost, counted: callgrind's count is the same on every machine and
//! under any load, so it can be a test where a time cannot.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::process::Command;

/// Instructions from a stamp's bytes to its verdict, 1,000 lanes in turn, the loop around it
/// included.
const MOST: u64 = 350;

/// The same in one lane, before each of whose messages one was compacted: a gap is opened, explained and
/// remembered for each, and the oldest one that is remembered is forgotten.
const MOST_COMPACTED: u64 = 20_000;

#[test]
fn a_message_in_order_costs_at_most_350_instructions() {
    let each = each((100_000, 200_000), "1000", "0");
    assert!(each <= MOST, "{each} instructions a message");
    assert!(each > 100, "{each} instructions a message: nothing was counted");
}

/// As many gaps are remembered as ever are: what a message costs must not grow with them.
#[test]
fn a_message_behind_a_compacted_one_costs_at_most_20_000() {
    let each = each((15_000, 20_000), "1", "1");
    assert!(each <= MOST_COMPACTED, "{each} instructions a message");
    assert!(each > 100, "{each} instructions a message: nothing was counted");
}

/// The difference of two runs leaves out what making the lanes costs.
fn each((few, many): (u64, u64), lanes: &str, hole: &str) -> u64 {
    (count(many, lanes, hole) - count(few, lanes, hole)) / (many - few)
}

fn count(messages: u64, lanes: &str, hole: &str) -> u64 {
    let runner = "valgrind --tool=callgrind --callgrind-out-file=/dev/null \
                  --toggle-collect=*check_batch*";
    let output = Command::new(env!("CARGO"))
        .args(["run", "--release", "--example", "check_loop", "--"])
        .args([lanes, &messages.to_string(), "1", hole])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", runner)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", runner)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "valgrind must be installed (Debian: valgrind)\n{text}");
    let line =
        text.lines().find(|line| line.contains("Collected")).unwrap_or_else(|| panic!("{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}
