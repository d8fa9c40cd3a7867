//! `lacuna-sim --seeds N`, or `--seed S [--trace]` for one.

use std::io::{self, Write as _};
use std::process::ExitCode;

use lacuna_sim::open::is_open;
use lacuna_sim::trial::{account, run_seed};

const USAGE: &str = "usage: lacuna-sim [--seeds N] [--from S] [--seed S] [--trace] [--all]";

struct Arguments {
    from: u64,
    seeds: u64,
    trace: bool,
    all: bool,
}

fn arguments() -> Option<Arguments> {
    let mut given = Arguments { from: 0, seeds: 10_000, trace: false, all: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next()?.parse::<u64>().ok();
        match word.as_str() {
            "--seeds" => given.seeds = number()?,
            "--from" => given.from = number()?,
            "--seed" => (given.from, given.seeds) = (number()?, 1),
            "--trace" => given.trace = true,
            "--all" => given.all = true,
            _ => return None,
        }
    }
    Some(given)
}

fn main() -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let Some(Arguments { from, seeds, trace, all }) = arguments() else {
        writeln!(out, "{USAGE}")?;
        return Ok(ExitCode::from(64));
    };
    // A core that stops is a finding like any other; it is told below.
    std::panic::set_hook(Box::new(|_| {}));
    let (mut failed, mut open): (u64, u64) = (0, 0);
    for seed in from..from + seeds {
        let run = run_seed(seed);
        if trace {
            let scenario = match &run {
                Ok(scenario) => scenario,
                Err(failed) => &failed.0,
            };
            for line in &scenario.lines {
                writeln!(out, "{line}")?;
            }
        }
        if is_open(seed) && !all && seeds > 1 {
            open += 1;
            if run.is_ok() {
                failed += 1;
                writeln!(out, "seed {seed} no longer differs: take it off the list")?;
            }
            continue;
        }
        if let Err(difference) = run {
            failed += 1;
            writeln!(out, "{}", account(seed, &difference.0, &difference.1))?;
            if !all {
                break;
            }
        }
    }
    writeln!(out, "{seeds} seeds from {from}: {failed} differ, {open} known to")?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
