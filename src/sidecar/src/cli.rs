//! The command line (contracts §7).

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::duration::Millis;

/// Tells which messages a queue lost or repeated.
#[derive(Debug, Parser)]
#[command(name = "lacuna", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What a newcomer and somebody who was paged type first.
const EXAMPLES: &str = "\
Examples:
  See it all on an embedded broker, with injected faults
    lacuna demo
  Watch a topic; the page is at http://127.0.0.1:7117/
    lacuna run kafka --brokers localhost:9092 --topic orders
  What is lost now, and which messages
    lacuna report
    lacuna gaps --stream orders
  Judge yesterday, once
    lacuna audit kafka --brokers localhost:9092 --topic orders --from 2026-01-31T00:00:00Z --gaps
  Judge what a consumer wrote down
    lacuna check observations.ndjson

Exit codes:
   0  all judged, nothing lost or duplicated
   1  lost or duplicated
   2  could not do its work (broker, file, disk)
   3  nothing found, but not all could be judged
  64  wrong usage or configuration";

const REPORT_EXAMPLES: &str = "\
Examples:
  lacuna report
  lacuna report --url http://lacuna.shop.svc:7117 --stream orders
  lacuna report --format csv > partitions.csv
  lacuna report --format json | jq .totals.lost

The exit code is the one that the report's totals earn: 1 where something is lost or repeated, 3 where
not all could be judged.";

const GAPS_EXAMPLES: &str = "\
Examples:
  lacuna gaps
  lacuna gaps --stream orders --partition 3
  lacuna gaps --state all --format csv > gaps.csv
  lacuna gaps --producer orders-api@web-3 --format json | jq '.[].first'

The exit code is 1 if a gap that is shown is lost.";

const DUPLICATES_EXAMPLES: &str = "\
Examples:
  lacuna duplicates --stream orders
  lacuna duplicates --format csv > duplicates.csv

The exit code is 1 if there are any.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  lacuna completions bash > /etc/bash_completion.d/lacuna
  lacuna completions zsh > ~/.zfunc/_lacuna
  lacuna completions fish > ~/.config/fish/completions/lacuna.fish";

const RUN_EXAMPLES: &str = "\
Examples:
  lacuna run --default-config > lacuna.toml
  lacuna run --config lacuna.toml --check-config
  lacuna run --config lacuna.toml --listen 0.0.0.0:7117
  lacuna run kafka --brokers localhost:9092 --topic '^shop\\..*' --from beginning --group billing
  lacuna run rabbitmq --url amqp://guest:guest@localhost:5672/%2f --queue orders

Exit codes:
   0  all judged, nothing lost or duplicated
   1  lost or duplicated
   2  could not do its work (broker, file, disk)
   3  nothing found, but not all could be judged
  64  wrong usage or configuration";

const EXIT_CODES: &str = "\
Exit codes:
   0  all judged, nothing lost or duplicated
   1  lost or duplicated
   2  could not do its work (broker, file, disk)
   3  nothing found, but not all could be judged
  64  wrong usage or configuration";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the sidecar
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Show the whole path on an embedded broker with injected faults
    ///
    /// The exit code is 0 only if what was found is what was injected.
    Demo(DemoArgs),
    /// Judge recorded observations
    ///
    /// The end of the input is no end of reading: what nothing later lets be judged stays missing,
    /// unless the recording is said to be whole.
    #[command(after_help = EXIT_CODES)]
    Check(CheckArgs),
    /// Judge a range of a real topic once
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Show the report of a running sidecar
    #[command(after_help = REPORT_EXAMPLES)]
    Report(RemoteArgs),
    /// Show the gaps that a running sidecar found
    #[command(after_help = GAPS_EXAMPLES)]
    Gaps(RemoteGapsArgs),
    /// Show the repeats that a running sidecar found
    #[command(after_help = DUPLICATES_EXAMPLES)]
    Duplicates(RemoteArgs),
    /// Print the completions of a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// Which
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the manual page, in roff
    #[command(after_help = "Examples:\n  lacuna man | man -l -")]
    Man,
    /// Look at a kept state
    #[command(subcommand)]
    State(StateCommand),
}

/// `lacuna state`.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Say what a state holds, as JSON; it is read as a whole, so that damage is found
    Inspect(StateArgs),
    /// Write the history of findings, newest first, one JSON object a line
    Export(StateArgs),
}

/// Which state.
#[derive(Args, Debug)]
pub struct StateArgs {
    /// Its directory (state.path)
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// `lacuna run`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct RunArgs {
    /// The configuration; what it leaves out is as in the default one
    #[arg(long, value_name = "FILE", required_unless_present = "default_config")]
    pub config: Option<PathBuf>,
    /// Read the configuration, say what is wrong with it, and end
    #[arg(long)]
    pub check_config: bool,
    /// Print the default configuration, which explains every key, and end
    #[arg(long, exclusive = true)]
    pub default_config: bool,
    /// Overrides of the file.
    #[command(flatten)]
    pub overrides: Overrides,
    /// A source without a file.
    #[command(subcommand)]
    pub source: Option<RunSource>,
}

/// Flags that go before file and environment.
#[derive(Args, Clone, Debug, Default)]
pub struct Overrides {
    /// Where HTTP listens, if not as configured (127.0.0.1:7117)
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where the state is kept, if not as configured: a directory, or none
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// How long a number may be missing before it is judged, if not as configured (10s)
    #[arg(long, value_name = "DURATION")]
    pub grace: Option<Millis>,
    /// How far clocks may be apart, if not as configured (5s)
    #[arg(long, value_name = "DURATION")]
    pub clock_skew: Option<Millis>,
}

/// A source without a file, for a first try.
#[derive(Clone, Debug, Subcommand)]
pub enum RunSource {
    /// Tap topics of Kafka
    Kafka(RunKafkaArgs),
    /// Tap what a queue of RabbitMQ is bound to
    Rabbitmq(RunRabbitArgs),
}

/// `lacuna run kafka`.
#[derive(Args, Clone, Debug)]
pub struct RunKafkaArgs {
    /// Where the cluster is
    #[command(flatten)]
    pub cluster: KafkaCluster,
    /// A topic, or a pattern that begins with ^; may be given several times
    #[arg(long = "topic", value_name = "TOPIC", required = true)]
    pub topics: Vec<String>,
    /// Where reading begins: beginning, end, or an RFC 3339 time; default: the end
    #[arg(long, value_name = "WHERE")]
    pub from: Option<String>,
    /// A consumer group whose commits are watched; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// Overrides of the defaults.
    #[command(flatten)]
    pub overrides: Overrides,
}

/// `lacuna run rabbitmq`.
#[derive(Args, Clone, Debug)]
pub struct RunRabbitArgs {
    /// The broker, with credentials and virtual host: amqp://user:password@host:5672/%2f
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// The queue whose messages are watched
    #[arg(long, value_name = "QUEUE")]
    pub queue: String,
    /// Tap with a stream: an outage of the sidecar is read again from where it began
    #[arg(long, conflicts_with = "firehose")]
    pub stream: bool,
    /// Read RabbitMQ's tracer, which sees the default exchange and the deliveries too
    /// (`rabbitmqctl trace_on` turns it on, at a cost for the whole node)
    #[arg(long)]
    pub firehose: bool,
    /// The management API, which tells the queue's bindings; default: port 15672 of the broker
    #[arg(long, value_name = "URL")]
    pub management: Option<String>,
    /// Overrides of the defaults.
    #[command(flatten)]
    pub overrides: Overrides,
}

/// How a Kafka cluster is reached.
#[derive(Args, Clone, Debug)]
pub struct KafkaCluster {
    /// host:port, several with commas
    #[arg(long, value_name = "BROKERS")]
    pub brokers: String,
    /// A property of librdkafka, passed through; may be given several times
    #[arg(short = 'X', long = "property", value_name = "KEY=VALUE", value_parser = property)]
    pub properties: Vec<(String, String)>,
}

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a property is written KEY=VALUE".to_owned()),
    }
}

/// `lacuna check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Recorded observations, one JSON object a line; - or none: standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How the report is written
    #[command(flatten)]
    pub output: Output,
    /// How far clocks may be apart
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    pub clock_skew: Millis,
    /// The recording is whole: an end of every watched partition, and every grace over
    #[arg(long)]
    pub complete: bool,
}

/// How a report is made and written.
#[derive(Args, Clone, Debug)]
pub struct Output {
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// How long a number may be missing before it is judged
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub grace: Millis,
    /// Add the gaps: those lost and missing, or all
    #[arg(long, value_enum, value_name = "WHICH", num_args = 0..=1, require_equals = true,
          default_missing_value = "open")]
    pub gaps: Option<Gaps>,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Which gaps a report adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Gaps {
    /// Lost and missing
    Open,
    /// Those in every other state too, and the recovered
    All,
}

/// What a running sidecar is asked.
#[derive(Args, Clone, Debug)]
pub struct RemoteArgs {
    /// Where the sidecar listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7117")]
    pub url: String,
    /// Only this view: log, or a consumer group
    #[arg(long, value_name = "VIEW")]
    pub view: Option<String>,
    /// Only this stream
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<String>,
    /// Only this partition
    #[arg(long, value_name = "PARTITION")]
    pub partition: Option<String>,
    /// Only this producer's lanes
    #[arg(long, value_name = "PRODUCER")]
    pub producer: Option<String>,
    /// For people, for programs, or for spreadsheets
    #[arg(long, value_enum, default_value_t)]
    pub format: Sheet,
}

/// `lacuna gaps`.
#[derive(Args, Clone, Debug)]
pub struct RemoteGapsArgs {
    /// In which states, with commas, or all; default: lost and missing
    #[arg(long, value_name = "STATES")]
    pub state: Option<String>,
    /// Where and which.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Sheet {
    /// Columns, for people
    #[default]
    Table,
    /// The API's own rows
    Json,
    /// One line a row, with a heading
    Csv,
}

/// `lacuna demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// What is injected where follows from this number; default: the clock
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How many messages the producers send; default: 60000
    #[arg(long, value_name = "N")]
    pub messages: Option<u64>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// No progress, only the result
    #[arg(long)]
    pub headless: bool,
    /// Go on serving the report until a signal comes
    #[arg(long)]
    pub keep: bool,
}

/// `lacuna audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// A topic of Kafka
    ///
    /// Each partition's end is asked for once. What went missing within the last grace before it
    /// stays missing, and so does a gap of lane `*` that a partition is past by that end alone.
    #[command(after_help = EXIT_CODES)]
    Kafka(AuditKafkaArgs),
}

/// `lacuna audit kafka`.
#[derive(Args, Clone, Debug)]
pub struct AuditKafkaArgs {
    /// Where the cluster is
    #[command(flatten)]
    pub cluster: KafkaCluster,
    /// The topic
    #[arg(long, value_name = "TOPIC")]
    pub topic: String,
    /// First position: an offset or an RFC 3339 time; default: the topic's beginning
    #[arg(long, value_name = "WHERE")]
    pub from: Option<String>,
    /// Where to stop, exclusive: an offset or an RFC 3339 time; default: the end as it is now
    #[arg(long, value_name = "WHERE")]
    pub to: Option<String>,
    /// How the report is written
    #[command(flatten)]
    pub output: Output,
}
