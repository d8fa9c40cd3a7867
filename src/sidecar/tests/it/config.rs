//! The configuration: bad ones earn exact messages, good ones are taken.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use lacuna::cli::{Cli, RunArgs};
use lacuna::config::{Config, ConfigError, DEFAULT, Layers, SourceSettings};
use lacuna::http::HttpLimits;
use lacuna::source::kafka::{From, KafkaSettings};
use lacuna::source::rabbitmq::{RabbitSettings, TapKind};
use lacuna_core::{Limits, StreamSettings};

fn data(kind: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(kind);
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().unwrap() == "toml").collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn layers(path: &Path) -> Layers {
    let mut layers = Layers::embedded();
    let name = path.file_name().unwrap().to_str().unwrap();
    layers.file(name, &fs::read_to_string(path).unwrap());
    layers
}

/// The file's text over the default configuration.
fn parse(path: &Path) -> Result<Config, ConfigError> {
    Config::parse(layers(path))
}

fn kafka(config: &Config) -> &KafkaSettings {
    let mut sources = config.sources.iter();
    sources
        .find_map(|source| match source {
            SourceSettings::Kafka(kafka) => Some(kafka),
            SourceSettings::RabbitMq(_) => None,
        })
        .expect("a source of kind kafka")
}

fn rabbitmq(config: &Config) -> &RabbitSettings {
    let mut sources = config.sources.iter();
    sources
        .find_map(|source| match source {
            SourceSettings::RabbitMq(rabbitmq) => Some(rabbitmq),
            SourceSettings::Kafka(_) => None,
        })
        .expect("a source of kind rabbitmq")
}

#[test]
fn bad_ones_earn_their_messages() {
    for path in data("bad") {
        let said = parse(&path).unwrap_err().to_string() + "\n";
        let expected = fs::read_to_string(path.with_extension("stderr")).unwrap_or_default();
        assert_eq!(said, expected, "{}", path.display());
    }
}

#[test]
fn good_ones_are_taken() {
    for path in data("good") {
        if let Err(error) = parse(&path) {
            panic!("{error}");
        }
    }
}

#[test]
fn a_list_of_sources_is_the_same_as_sections() {
    let read = |text: &str| {
        let mut layers = Layers::embedded();
        layers.file("file", text);
        Config::parse(layers).unwrap().sources
    };
    let lists = include_str!("../config/good/sources-as-lists.toml");
    let sections = r#"
        [source.eu]
        brokers = "eu:9092"
        topics = ["orders"]
        stream_prefix = "eu."
        properties = { "security.protocol" = "SSL" }
        [source.us]
        brokers = "us:9092"
        topics = ["orders"]
        stream_prefix = "us."
        [source.rabbitmq]
        kind = "rabbitmq"
        url = "amqp://rabbit:5672/%2f"
        queue = "orders"
    "#;
    assert_eq!(read(lists).len(), 3);
    assert_eq!(format!("{:?}", read(lists)), format!("{:?}", read(sections)));
}

#[test]
fn the_default_is_the_core_s() {
    let config = Config::parse(Layers::embedded()).unwrap();
    assert_eq!(config.default_stream, StreamSettings::default());
    // The core keeps no changes unless there is a log for them.
    assert_eq!(config.limits, Limits { changes: config.limits.changes, ..Limits::default() });
    assert_eq!(config.http.limits, HttpLimits::default());
    assert!(config.http.listen.ip().is_loopback());
    assert!(config.enabled && config.sources.is_empty() && config.streams.is_empty());
}

#[test]
fn the_examples_in_the_default_are_keys_that_there_are() {
    // An example is a commented line of TOML: `# key = …` or `# [section]`.
    let lines = DEFAULT.lines().map(|line| {
        let bare = line.trim_start_matches("# ");
        let example = line.starts_with('#')
            && (bare.starts_with('[')
                || bare
                    .split_once(" = ")
                    .is_some_and(|(key, _)| !key.trim_matches('"').contains(' ')));
        if example { bare } else { line }
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut layers = Layers::default();
    layers.file("default.toml", &text);
    let config = Config::parse(layers).unwrap();
    let source = kafka(&config);
    assert_eq!((source.name.as_str(), source.from), ("main", From::End));
    assert!(source.topics.take("orders") && source.topics.take("shop.eu"));
    assert!(!source.topics.take("shop.eu.test"));
    assert_eq!(source.properties["security.protocol"], "SASL_SSL");
    assert_eq!(source.metadata_interval.as_secs(), 5);
    assert_eq!(
        (source.group_interval.as_secs(), &*source.groups),
        (5, &["billing".to_owned()][..])
    );
    let source = rabbitmq(&config);
    assert_eq!(
        (source.queue.as_deref(), source.whole.as_slice()),
        (Some("orders"), &["orders".to_owned()][..])
    );
    assert_eq!(
        (source.max_messages, source.max_bytes),
        (RabbitSettings::MAX_MESSAGES, RabbitSettings::MAX_BYTES)
    );
    assert_eq!((source.expires, source.tap), (RabbitSettings::EXPIRES, TapKind::Queue));
    assert_eq!(config.streams["orders"].settings.aliases, ["orders-primary"]);
    assert_eq!(config.streams["orders"].settings.grace_ms, 30_000);
}

fn args(line: &[&str]) -> RunArgs {
    let cli = Cli::try_parse_from([&["lacuna", "run"], line].concat()).unwrap();
    let lacuna::cli::Command::Run(args) = cli.command else { panic!("not run: {line:?}") };
    args
}

fn environment(variables: &[(&str, &str)]) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    variables.iter().map(|&(name, value)| (name.into(), value.into())).collect()
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let file = data("good").into_iter().find(|path| path.ends_with("everything.toml")).unwrap();
    let file = file.to_str().unwrap();
    let load = |flags: &[&str], variables: &[(&str, &str)]| {
        let args = args(&[&["--config", file], flags].concat());
        Config::load(&args, environment(variables)).unwrap()
    };
    let config = load(&[], &[]);
    assert_eq!((config.default_stream.grace_ms, config.workers), (20_000, 2));
    assert_eq!(kafka(&config).groups, ["audit", "billing"]);
    let config = load(&[], &[("LACUNA_CHECKING__GRACE", "30s"), ("LACUNA_ENGINE__WORKERS", "3")]);
    assert_eq!((config.default_stream.grace_ms, config.workers), (30_000, 3));
    let config = load(&["--grace", "40s"], &[("LACUNA_CHECKING__GRACE", "30s")]);
    assert_eq!(config.default_stream.grace_ms, 40_000);
    // A stream that says nothing of its own follows.
    assert_eq!(config.streams["bills.eu"].settings.grace_ms, 40_000);
}

#[test]
fn secrets_come_from_the_environment() {
    let variables = [
        ("LACUNA_SOURCE__MAIN__BROKERS", "localhost:9092"),
        ("LACUNA_SOURCE__MAIN__TOPICS", "orders, bills"),
        ("LACUNA_SOURCE__MAIN__PROPERTIES__SASL_PASSWORD", "s3cret"),
        // An orchestrator's, for a service of our name.
        ("LACUNA_PORT", "tcp://10.0.0.1:7117"),
        ("LACUNA_PORT_7117_TCP_ADDR", "10.0.0.1"),
    ];
    let mut layers = Layers::embedded();
    layers.environment(environment(&variables));
    let config = Config::parse(layers).unwrap();
    let source = kafka(&config);
    assert!(source.topics.take("orders") && source.topics.take("bills"));
    assert_eq!(source.properties["sasl.password"], "s3cret");
}

#[test]
fn mistakes_name_the_variable_or_the_flag() {
    let mut layers = Layers::embedded();
    layers.environment(environment(&[
        ("LACUNA_CHECKING__GRACE", "10"),
        ("LACUNA_CHECKING__ENABLED", "yes"),
        ("LACUNA_NO__SUCH", "1"),
    ]));
    let said = Config::parse(layers).unwrap_err().to_string();
    let expected = "\
environment LACUNA_CHECKING__ENABLED: expected true or false, not \"yes\"
environment LACUNA_CHECKING__GRACE: \"10\" is not a duration: a whole number with ms, s, m, h or d, as in 10s
environment LACUNA_NO__SUCH: unknown key; `lacuna run --default-config` prints those that there are";
    assert_eq!(said, expected);

    let args = args(&["kafka", "--brokers", "b:1", "--topic", "^(", "--from", "yesterday"]);
    let said = Config::load(&args, []).unwrap_err().to_string();
    let expected = "\
flag --from: \"yesterday\" is not beginning, end, or an RFC 3339 time, as in 2026-01-31T12:00:00Z
flag --topic: \"(\" is no pattern: unclosed group";
    assert_eq!(said, expected);
}

#[test]
fn a_source_of_flags() {
    let line = [
        "kafka",
        "--brokers",
        "a:1,b:2",
        "--topic",
        "orders",
        "--topic",
        "^shop-.*",
        "--from",
        "2026-01-31T12:00:00Z",
        "--group",
        "billing",
        "-X",
        "security.protocol=SSL",
        "--listen",
        "127.0.0.1:0",
    ];
    let config = Config::load(&args(&line), []).unwrap();
    let source = kafka(&config);
    assert_eq!((source.name.as_str(), source.brokers.as_str()), ("kafka", "a:1,b:2"));
    assert_eq!(source.groups, ["billing"]);
    assert!(source.topics.take("orders") && source.topics.take("shop-1"));
    assert!(!source.topics.take("shop"));
    assert_eq!(source.from, From::Time(1_769_860_800_000));
    assert_eq!(source.properties["security.protocol"], "SSL");
    assert_eq!(config.http.listen.port(), 0);
}

#[test]
fn a_rabbitmq_source_of_flags() {
    let line =
        ["rabbitmq", "--url", "amqp://u:s3cret@host:5673/%2f", "--queue", "orders", "--stream"];
    let config = Config::load(&args(&line), []).unwrap();
    let source = rabbitmq(&config);
    assert_eq!((source.name.as_str(), source.queue.as_deref()), ("rabbitmq", Some("orders")));
    assert_eq!((source.tap, source.tap_queue.as_str()), (TapKind::Stream, "lacuna.tap.orders"));
    assert_eq!((source.uri.vhost.as_str(), source.uri.authority.port), ("/", 5673));
    assert_eq!(source.address(), "amqp://host:5673/%2F");
}

#[test]
fn the_binary_says_all_of_it_and_ends_with_64() {
    let path = data("bad").into_iter().find(|path| path.ends_with("values.toml")).unwrap();
    let lacuna = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_lacuna")).arg("run").args(args).output();
        let output = output.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, said) = lacuna(&["--check-config", "--config", path.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (Some(64), ""));
    let lines = fs::read_to_string(path.with_extension("stderr")).unwrap();
    let lines = lines.replace("values.toml", path.to_str().unwrap());
    assert_eq!(said, format!("lacuna: {lines}"));

    let good = data("good").into_iter().find(|path| path.ends_with("everything.toml")).unwrap();
    let good = good.to_str().unwrap();
    assert_eq!(
        lacuna(&["--check-config", "--config", good]),
        (Some(0), String::new(), String::new())
    );
    assert_eq!(lacuna(&["--default-config"]), (Some(0), DEFAULT.to_owned(), String::new()));
    let (code, _, said) = lacuna(&["--config", "/nowhere/lacuna.toml"]);
    let expected = "lacuna: flag --config: cannot read /nowhere/lacuna.toml: No such file or directory (os error 2)\n";
    assert_eq!((code, said.as_str()), (Some(64), expected));
    assert_eq!(lacuna(&[]).0, Some(64));
    assert_eq!(lacuna(&["kafka", "--brokers", "b:1"]).0, Some(64));
}
