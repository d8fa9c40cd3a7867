//! The configuration, parsed: what holds it is of good form.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lacuna_core::{Limits, Settings, StreamSettings};
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::layers::{ConfigError, Layers, Mistake, Place};
use super::take::Section;
use super::{kafka, rabbitmq, sources, state, webhook};
use crate::cli::{Overrides, RunArgs, RunKafkaArgs, RunSource};
use crate::duration::Millis;
use crate::http::HttpLimits;
use crate::source::kafka::KafkaSettings;
use crate::source::rabbitmq::RabbitSettings;
use crate::state::Bounds;
use crate::webhook::WebhookSettings;

/// All that the sidecar is told before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// The HTTP interface.
    pub http: Http,
    /// The log.
    pub log: Log,
    /// Whether streams are judged.
    pub enabled: bool,
    /// How those streams are judged that have no settings of their own.
    pub default_stream: StreamSettings,
    /// Those that have.
    pub streams: BTreeMap<String, Stream>,
    /// Threads that read and judge.
    pub workers: usize,
    /// What bounds the memory.
    pub limits: Limits,
    /// Where members of consumer groups put their rings; `None`: nowhere.
    pub ring_dir: Option<PathBuf>,
    /// Where the state is kept; `None`: in memory alone.
    pub state: Option<State>,
    /// Where findings are posted; `None`: nowhere.
    pub webhook: Option<WebhookSettings>,
    /// Where messages are read.
    pub sources: Vec<SourceSettings>,
}

/// How the state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its directory.
    pub dir: PathBuf,
    /// How often it is written, at least.
    pub interval: Duration,
    /// How much of the history is kept.
    pub history: Bounds,
}

/// One connection, of whatever kind.
#[derive(Clone, Debug)]
pub enum SourceSettings {
    /// To a Kafka cluster.
    Kafka(KafkaSettings),
    /// To a virtual host of RabbitMQ.
    RabbitMq(RabbitSettings),
}

impl SourceSettings {
    /// The source's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Kafka(kafka) => &kafka.name,
            Self::RabbitMq(rabbitmq) => &rabbitmq.name,
        }
    }

    /// Where it connects, without credentials.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Kafka(kafka) => kafka.brokers.clone(),
            Self::RabbitMq(rabbitmq) => rabbitmq.address(),
        }
    }
}

/// The HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where it listens.
    pub listen: SocketAddr,
    /// A Unix socket on which it listens as well.
    pub socket: Option<PathBuf>,
    /// What holds clients off.
    pub limits: HttpLimits,
    /// Whether metrics tell partitions apart.
    pub partition_label: bool,
}

/// The log.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// How lines are written.
    pub format: LogFormat,
    /// Which are.
    pub level: Targets,
    /// How many lines of a kind in ten seconds; 0: all.
    pub limit: u64,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("{text:?} is no format: text and json are")),
        }
    }
}

/// A stream with settings of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Whether it is judged.
    pub enabled: bool,
    /// How.
    pub settings: StreamSettings,
}

impl Layers {
    /// All that a command line, the file that it names and this environment say.
    pub fn read(
        args: &RunArgs,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Self::embedded();
        if let Some(path) = &args.config {
            let file = path.display().to_string();
            match fs::read_to_string(path) {
                Ok(text) => layers.file(&file, &text),
                Err(error) => {
                    let place = Place::Flag("--config");
                    let what = format!("cannot read {file}: {error}");
                    return Err(ConfigError(vec![Mistake { place, key: String::new(), what }]));
                }
            }
        }
        layers.environment(environment);
        match &args.source {
            Some(RunSource::Kafka(RunKafkaArgs { cluster, topics, from, groups, overrides })) => {
                kafka::flags(&mut layers, cluster, topics, from.as_deref(), groups);
                override_with(&mut layers, overrides);
            }
            Some(RunSource::Rabbitmq(args)) => {
                rabbitmq::flags(&mut layers, args);
                override_with(&mut layers, &args.overrides);
            }
            None => override_with(&mut layers, &args.overrides),
        }
        Ok(layers)
    }
}

impl Config {
    /// What a command line asks for, over the file that it names and this environment.
    pub fn load(
        args: &RunArgs,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        Self::parse(Layers::read(args, environment)?)
    }

    /// Reads the layers; everything that is wrong with them is told at once.
    pub fn parse(mut layers: Layers) -> Result<Self, ConfigError> {
        let config = Self::take(&mut layers);
        layers.finish()?;
        // A key that is neither there nor a mistake is one that the embedded file has lost.
        config.ok_or_else(|| {
            let what = "a key of the default configuration is missing".to_owned();
            ConfigError(vec![Mistake { place: Place::Default, key: String::new(), what }])
        })
    }

    /// How the engine is to judge.
    #[must_use]
    pub fn checker(&self, hash_seed: u64) -> Settings {
        Settings {
            default_stream: self.default_stream.clone(),
            limits: self.limits.clone(),
            hash_seed,
            ..Settings::default()
        }
    }

    /// The settings of streams that have their own.
    #[must_use]
    pub fn stream_settings(&self) -> HashMap<String, StreamSettings> {
        let own = self.streams.iter();
        own.map(|(name, stream)| (name.clone(), stream.settings.clone())).collect()
    }

    /// `None`: something is missing, for which there is a mistake.
    fn take(layers: &mut Layers) -> Option<Self> {
        let http = http(layers);
        let mut section = layers.section(&["log"]);
        let (format, level, limit) =
            (section.parsed("format"), section.text_with("level", level), section.number("limit"));
        let mut section = layers.section(&["checking"]);
        let (enabled, grace, clock_skew) = (
            section.flag("enabled"),
            section.parsed::<Millis>("grace"),
            section.parsed::<Millis>("clock_skew"),
        );
        let default_stream = grace.zip(clock_skew).map(|(grace, clock_skew)| StreamSettings {
            grace_ms: grace.0,
            clock_skew_ms: clock_skew.0,
            aliases: Vec::new(),
        });
        let workers = workers(layers);
        let state = state::take(layers);
        let webhook = webhook::take(layers, !matches!(state, Some(None)));
        let ring_dir = layers.section(&["members"]).parsed::<String>("ring_dir");
        let limits = limits(layers);
        // These go on where something above is missing: their mistakes are told as well.
        let streams = streams(layers, &default_stream.clone().unwrap_or_default());
        let sources = sources::take(layers);
        Some(Self {
            http: http?,
            log: Log { format: format?, level: level?, limit: limit? },
            enabled: enabled?,
            default_stream: default_stream?,
            streams,
            workers: workers?,
            limits: limits?,
            ring_dir: Some(ring_dir?).filter(|dir| !dir.is_empty()).map(PathBuf::from),
            state: state?,
            webhook: webhook?,
            sources,
        })
    }
}

fn http(layers: &mut Layers) -> Option<Http> {
    let mut section = layers.section(&["http"]);
    let listen = section.text_with("listen", |text| {
        text.parse()
            .map_err(|_| format!("{text:?} is not an address and port, as in 127.0.0.1:7117"))
    });
    let socket = section.parsed::<String>("socket");
    let counts = ["max_body_bytes", "max_bodies_bytes", "max_connections"]
        .map(|name| at_least_one(&mut section, name));
    let times = ["header_timeout", "body_timeout", "answer_timeout"].map(|name| {
        section.parsed::<Millis>(name).map(|Millis(millis)| Duration::from_millis(millis))
    });
    let partition_label = section.flag("partition_label");
    let [max_body_bytes, max_bodies_bytes, max_connections] = counts;
    let [header_timeout, body_timeout, answer_timeout] = times;
    let limits = HttpLimits {
        max_body_bytes: max_body_bytes?,
        max_bodies_bytes: max_bodies_bytes?,
        max_connections: max_connections?,
        header_timeout: header_timeout?,
        body_timeout: body_timeout?,
        answer_timeout: answer_timeout?,
    };
    let socket = Some(socket?).filter(|path| !path.is_empty()).map(PathBuf::from);
    Some(Http { listen: listen?, socket, limits, partition_label: partition_label? })
}

/// A limit of none would hold everybody off.
fn at_least_one(section: &mut Section<'_>, name: &str) -> Option<usize> {
    let place = section.place(name);
    let number = section.number(name)?;
    if number > 0 {
        return Some(number);
    }
    section.mistake(place, name, "0 would hold everybody off");
    None
}

/// Reads levels: `info`, or with some targets apart, `info,lacuna::findings=error`.
fn level(text: &str) -> Result<Targets, String> {
    for directive in text.split(',') {
        // What has no level would be taken for a target that logs everything.
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        level.parse::<LevelFilter>().map_err(|_| {
            format!("{level:?} is no level: off, error, warn, info, debug and trace are")
        })?;
    }
    text.parse().map_err(|error| format!("{text:?} are no levels: {error}"))
}

fn override_with(layers: &mut Layers, overrides: &Overrides) {
    let Overrides { listen, state, grace, clock_skew } = overrides;
    let state = state.as_ref().map(|path| path.display());
    layers.flag("--state", &["state", "path"], state.as_ref());
    layers.flag("--listen", &["http", "listen"], listen.as_ref());
    layers.flag("--grace", &["checking", "grace"], grace.as_ref());
    layers.flag("--clock-skew", &["checking", "clock_skew"], clock_skew.as_ref());
}

fn workers(layers: &mut Layers) -> Option<usize> {
    let mut section = layers.section(&["engine"]);
    let place = section.place("workers");
    let workers = section.number("workers")?;
    if (1..=256).contains(&workers) {
        return Some(workers);
    }
    section.mistake(place, "workers", format!("{workers} is not 1 to 256"));
    None
}

fn limits(layers: &mut Layers) -> Option<Limits> {
    let mut section = layers.section(&["limits"]);
    let counts = [
        "lanes",
        "partitions",
        "views",
        "ranges",
        "evidence",
        "duplicates",
        "changes",
        "cut_memory_bytes",
        "read_times_bytes",
        "retired",
    ]
    .map(|name| section.number(name));
    let times = ["retire_closed", "retire_idle"].map(|name| section.parsed::<Millis>(name));
    let [
        lanes,
        partitions,
        views,
        ranges,
        evidence,
        duplicates,
        changes,
        cut_memory,
        read_times,
        retired,
    ] = counts;
    let [retire_closed, retire_idle] = times;
    Some(Limits {
        lanes: lanes?,
        partitions: partitions?,
        views: views?,
        ranges: ranges?,
        evidence: evidence?,
        duplicates: duplicates?,
        changes: changes?,
        cut_memory_bytes: cut_memory?,
        read_times_bytes: read_times?,
        retired: retired?,
        retire_closed_ms: retire_closed?.0,
        retire_idle_ms: retire_idle?.0,
    })
}

fn streams(layers: &mut Layers, default: &StreamSettings) -> BTreeMap<String, Stream> {
    let mut streams = BTreeMap::new();
    for name in layers.names("stream") {
        let mut section = layers.section(&["stream", &name]);
        section.take_empty();
        let enabled = section.flag("enabled").unwrap_or(true);
        let grace = section.parsed::<Millis>("grace");
        let clock_skew = section.parsed::<Millis>("clock_skew");
        let settings = StreamSettings {
            grace_ms: grace.map_or(default.grace_ms, |grace| grace.0),
            clock_skew_ms: clock_skew.map_or(default.clock_skew_ms, |clock_skew| clock_skew.0),
            aliases: section.list("aliases").unwrap_or_default(),
        };
        streams.insert(name, Stream { enabled, settings });
    }
    streams
}
