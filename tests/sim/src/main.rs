//! `lacuna-sim --seeds N`, or `--seed S [--trace]` for one; `--family stages` for histories told in
//! every order.

use std::io::{self, Write};
use std::process::ExitCode;

use lacuna_sim::open::is_open;
use lacuna_sim::stages;
use lacuna_sim::trial::{account, run_seed};

const USAGE: &str = "usage: lacuna-sim [--family traffic|stages] [--seeds N] [--from S] [--seed S] [--trace] [--all] [--checkers N]";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Traffic,
    Stages,
}

struct Arguments {
    family: Family,
    from: u64,
    seeds: u64,
    trace: bool,
    all: bool,
    checkers: usize,
}

fn arguments() -> Option<Arguments> {
    let mut given = Arguments {
        family: Family::Traffic,
        from: 0,
        seeds: 10_000,
        trace: false,
        all: false,
        checkers: 1,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next()?.parse::<u64>().ok();
        match word.as_str() {
            "--seeds" => given.seeds = number()?,
            "--from" => given.from = number()?,
            "--seed" => (given.from, given.seeds) = (number()?, 1),
            "--checkers" => given.checkers = usize::try_from(number()?).ok()?,
            "--trace" => given.trace = true,
            "--all" => given.all = true,
            "--family" => {
                given.family = match words.next()?.as_str() {
                    "traffic" => Family::Traffic,
                    "stages" => Family::Stages,
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
    Some(given)
}

fn main() -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let Some(given) = arguments() else {
        writeln!(out, "{USAGE}")?;
        return Ok(ExitCode::from(64));
    };
    // A core that stops is a finding like any other; it is told below.
    std::panic::set_hook(Box::new(|_| {}));
    match given.family {
        Family::Traffic => traffic(&mut out, &given),
        Family::Stages => every_order(&mut out, &given),
    }
}

fn every_order(out: &mut impl Write, given: &Arguments) -> io::Result<ExitCode> {
    let &Arguments { from, seeds, all, .. } = given;
    let mut failed: u64 = 0;
    for seed in from..from + seeds {
        let Err(difference) = stages::run_seed(seed) else { continue };
        failed += 1;
        writeln!(out, "{}", stages::account(seed, &difference.0, &difference.1))?;
        if !all {
            break;
        }
    }
    writeln!(out, "{seeds} histories from {from}: {failed} differ")?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn traffic(out: &mut impl Write, given: &Arguments) -> io::Result<ExitCode> {
    let &Arguments { from, seeds, trace, all, checkers, .. } = given;
    let (mut failed, mut open): (u64, u64) = (0, 0);
    for seed in from..from + seeds {
        let run = run_seed(seed, checkers);
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
            writeln!(out, "{}", account(seed, checkers, &difference.0, &difference.1))?;
            if !all {
                break;
            }
        }
    }
    writeln!(out, "{seeds} seeds from {from}: {failed} differ, {open} known to")?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
