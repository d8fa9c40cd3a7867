//! The binary: arguments, a command, an exit code.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use lacuna::cli::{AuditCommand, Cli, Command, RunArgs};
use lacuna::{Exit, app, audit, check, config, demo};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => run(cli.command).into(),
        Err(answer) => {
            // clap's own code for wrong usage is 2, which means here that work failed.
            let exit = if answer.use_stderr() { Exit::Usage } else { Exit::DONE };
            answer.print().map_or(Exit::Failed, |()| exit).into()
        }
    }
}

fn run(command: Command) -> Exit {
    let mut out = io::stdout().lock();
    match command {
        Command::Run(RunArgs { default_config: true, .. }) => out
            .write_all(config::DEFAULT.as_bytes())
            .map_or_else(|error| failed(&error, Exit::Failed), |()| Exit::DONE),
        Command::Run(args) => {
            app::run(&args, env::vars_os()).unwrap_or_else(|error| failed(&error, error.exit()))
        }
        Command::Check(args) => {
            check::run(&args, &mut out).unwrap_or_else(|error| failed(&error, Exit::Failed))
        }
        Command::Audit(AuditCommand::Kafka(args)) => {
            audit::run_kafka(&args, &mut out).unwrap_or_else(|error| failed(&error, error.exit()))
        }
        Command::Demo(args) => {
            demo::run(&args, &mut out).unwrap_or_else(|error| failed(&error, error.exit()))
        }
    }
}

fn failed(error: &dyn std::error::Error, exit: Exit) -> Exit {
    // Where standard error is closed there is nobody to tell; the exit code still does.
    drop(writeln!(io::stderr(), "lacuna: {error}"));
    exit
}
