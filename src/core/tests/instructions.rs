//! What a checked message may cost, counted: callgrind's count is the same on every machine and
//! under any load, so it can be a test where a time cannot.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::process::Command;

/// Instructions from a stamp's bytes to its verdict, 1,000 lanes in turn, the loop around it
/// included.
const MOST: u64 = 350;

#[test]
fn a_message_in_order_costs_at_most_350_instructions() {
    // The difference of two runs leaves out what making the lanes costs.
    let (few, many) = (100_000, 200_000);
    let each = (count(many) - count(few)) / (many - few);
    assert!(each <= MOST, "{each} instructions a message");
    assert!(each > 100, "{each} instructions a message: nothing was counted");
}

fn count(messages: u64) -> u64 {
    let runner = "valgrind --tool=callgrind --callgrind-out-file=/dev/null \
                  --toggle-collect=*check_batch*";
    let output = Command::new(env!("CARGO"))
        .args(["run", "--release", "--example", "check_loop", "--", "1000", &messages.to_string()])
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
