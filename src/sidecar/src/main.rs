//! The binary: arguments, a command, an exit code.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use lacuna::cli::{AuditCommand, Cli, Command, RunArgs, StateCommand};
use lacuna::{Exit, app, audit, check, config, demo, remote, state};

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
    let colour =
        io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
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
        Command::State(StateCommand::Inspect(args)) => {
            state::inspect(&args.dir, &mut out).unwrap_or_else(|error| failed(&error, Exit::Failed))
        }
        Command::State(StateCommand::Export(args)) => {
            state::export(&args.dir, &mut out).unwrap_or_else(|error| failed(&error, Exit::Failed))
        }
        Command::Demo(args) => {
            demo::run(&args, &mut out).unwrap_or_else(|error| failed(&error, error.exit()))
        }
        Command::Report(args) => remote::report(&args, &mut out, colour)
            .unwrap_or_else(|error| failed(&error, error.exit())),
        Command::Gaps(args) => remote::gaps(&args, &mut out, colour)
            .unwrap_or_else(|error| failed(&error, error.exit())),
        Command::Duplicates(args) => remote::duplicates(&args, &mut out, colour)
            .unwrap_or_else(|error| failed(&error, error.exit())),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lacuna", &mut script);
            out.write_all(&script)
                .map_or_else(|error| failed(&error, Exit::Failed), |()| Exit::DONE)
        }
        Command::Man => clap_mangen::Man::new(Cli::command())
            .render(&mut out)
            .map_or_else(|error| failed(&error, Exit::Failed), |()| Exit::DONE),
    }
}

fn failed(error: &dyn std::error::Error, exit: Exit) -> Exit {
    // Where standard error is closed there is nobody to tell; the exit code still does.
    drop(writeln!(io::stderr(), "lacuna: {error}"));
    exit
}
