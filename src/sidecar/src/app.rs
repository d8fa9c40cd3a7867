//! `lacuna run`: the configuration becomes an engine and its HTTP interface, until a signal comes.

use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cli::RunArgs;
use crate::config::{Config, ConfigError, SourceSettings};
use crate::engine::{Engine, EngineSettings, ResumeError, Stopped, Switch};
use crate::exit::Exit;
use crate::http::{self, Api, KafkaBrokers};
use crate::log;
use crate::members::{self, RingsError};
use crate::reload::Told;
use crate::source::{kafka, rabbitmq};
use crate::state::{Restored, StoreError};
use crate::webhook::{self, Webhook};

/// Threads that answer HTTP: a long report on one of them does not keep `/healthz` waiting.
const HTTP_THREADS: usize = 2;
/// How long requests that are under way may go on once all else has ended: one that never ends must
/// not keep the process, which orchestrators kill after some ten seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why the sidecar does not run, or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A Kafka source cannot be set up as it is configured.
    #[error(transparent)]
    Kafka(#[from] kafka::OpenError),
    /// A RabbitMQ source cannot be set up.
    #[error(transparent)]
    RabbitMq(#[from] rabbitmq::OpenError),
    /// The members' directory is of no use.
    #[error(transparent)]
    Rings(#[from] RingsError),
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {error}; http.listen names another address")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The socket cannot be made.
    #[error("cannot listen on {}: {error}; http.socket names another path", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The system refuses threads, signals or sockets.
    #[error("cannot run: {0}")]
    System(#[from] io::Error),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StoreError),
    /// The engine cannot go on from it.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// The engine broke.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl RunError {
    /// The exit that it earns.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Kafka(_) => Exit::Usage,
            Self::Listen { .. }
            | Self::Socket { .. }
            | Self::Rings(_)
            | Self::System(_)
            | Self::State(_)
            | Self::Resume(_)
            | Self::Stopped(_)
            | Self::RabbitMq(_) => Exit::Failed,
        }
    }
}

/// Runs until SIGTERM or SIGINT, drains, and says what was found. With `--check-config` it only
/// reads the configuration.
pub fn run(
    args: &RunArgs,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Exit, RunError> {
    let told = Told::read(args, environment)?;
    if args.check_config {
        return Ok(Exit::DONE);
    }
    // A second start in one process keeps the first one's log, which a test may have set.
    let held = log::start(&told.config().log).ok();
    let runtime =
        runtime::Builder::new_multi_thread().worker_threads(HTTP_THREADS).enable_all().build()?;
    if let Some(held) = held.clone() {
        runtime.spawn(held.run());
    }
    let ended = runtime.block_on(serve(told));
    if let Some(held) = held {
        held.turn();
    }
    // A receiver that does not answer a webhook keeps nobody.
    runtime.shutdown_background();
    ended
}

async fn serve(told: Told) -> Result<Exit, RunError> {
    let config = &told.config().clone();
    let address = config.http.listen;
    let listener =
        TcpListener::bind(address).await.map_err(|error| RunError::Listen { address, error })?;
    let socket = match &config.http.socket {
        Some(path) => {
            let refused = |error| RunError::Socket { path: path.clone(), error };
            let socket = http::socket(path).await.map_err(refused)?;
            tracing::info!(socket = %path.display(), "listening");
            Some(socket)
        }
        None => None,
    };
    // Before anything is read: from here on a signal drains.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;
    let mut settings = engine_settings(config);
    let restored = config.state.as_ref().map(|state| {
        tracing::info!(path = %state.dir.display(), "the state is kept");
        Restored::open(&state.dir, state.history, settings.workers)
    });
    let restored = restored.transpose()?;
    if let Some(restored) = &restored {
        settings.checker.hash_seed = restored.hash_seed;
        settings.resumed = Arc::new(restored.taps());
    }
    let acknowledged = restored.as_ref().and_then(|restored| restored.engine(http::ACKNOWLEDGED));
    let acknowledged = acknowledged.and_then(|kept| serde_json::from_slice(kept).ok());
    let acknowledged = acknowledged.unwrap_or_default();
    let taken = restored.as_ref().and_then(|restored| restored.engine(webhook::TOLD));
    let place = config.state.as_ref().map(|state| state.dir.as_path());
    // Before anything is found.
    let webhook = config.webhook.as_ref().zip(place);
    let webhook = webhook.map(|(settings, dir)| Webhook::new(settings.clone(), dir, taken));
    let webhook = webhook.transpose()?;
    let rings = restored.as_ref().map(Restored::rings).transpose()?.unwrap_or_default();
    let engine = start(config, &settings, restored)?;
    if let Some(dir) = &config.ring_dir {
        members::watch(dir, engine.clone(), settings.outside.clone(), rings)?;
    }
    let stream = &config.default_stream;
    let limits = config.http.limits;
    let api = Api::new(engine.clone(), stream.grace_ms, stream.clock_skew_ms, limits)
        .with_acknowledgements(acknowledged)
        .with_partition_label(config.http.partition_label)
        .with_kafka(kafka_brokers(config));
    if let Some(webhook) = webhook {
        tokio::spawn(webhook.run(engine.clone(), api.webhook_counts()));
    }
    let closing = api.clone();
    tokio::spawn(members::end_leases(engine.clone()));
    tracing::info!(address = %listener.local_addr()?, "listening");
    let path = config.http.socket.clone();
    tokio::spawn(told.again(hangup, engine.clone(), api.clone()));
    let (end, ending) = watch::channel(());
    let ends = |mut ending: watch::Receiver<()>| async move { drop(ending.changed().await) };
    let mut servers = JoinSet::new();
    if let Some(socket) = socket {
        servers.spawn(http::serve(socket, api.clone(), ends(ending.clone())));
    }
    servers.spawn(http::serve(listener, api, ends(ending)));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining");
    closing.close();
    if let Err(stopped) = engine.drain().await {
        tracing::warn!(%stopped, "nothing to drain");
    }
    drop(end);
    let ended = async { while servers.join_next().await.is_some() {} };
    if timeout(PATIENCE, ended).await.is_err() {
        tracing::warn!("a client is still in the middle of its request: ending without it");
    }
    if let Some(path) = &path {
        // Of no use to anyone; the next start replaces it where it cannot be removed.
        drop(fs::remove_file(path));
    }
    let totals = engine.totals().await?;
    tracing::info!(
        seen = totals.seen,
        lost = %totals.lost_sum(),
        repeated = totals.duplicates_sum(),
        missing = %totals.missing,
        "ended"
    );
    Ok(Exit::of(&totals))
}

fn kafka_brokers(config: &Config) -> Vec<KafkaBrokers> {
    let of = |source: &SourceSettings| match source {
        SourceSettings::Kafka(kafka) => Some(KafkaBrokers {
            brokers: kafka.brokers.clone(),
            stream_prefix: kafka.stream_prefix.clone(),
        }),
        SourceSettings::RabbitMq(_) => None,
    };
    config.sources.iter().filter_map(of).collect()
}

fn engine_settings(config: &Config) -> EngineSettings {
    let mut switch = Switch::default();
    switch.set(None, config.enabled);
    for (name, stream) in &config.streams {
        switch.set(Some(name.clone()), stream.enabled);
    }
    EngineSettings {
        workers: config.workers,
        checker: config.checker(RandomState::new().hash_one(())),
        streams: config.stream_settings(),
        switch,
        resumed: Arc::default(),
        outside: Arc::default(),
        hearing: Arc::default(),
    }
}

fn start(
    config: &Config,
    settings: &EngineSettings,
    restored: Option<Restored>,
) -> Result<Engine, RunError> {
    if config.sources.is_empty() {
        tracing::warn!("no source is configured: only what is posted here is checked");
    }
    let mut opened = Vec::with_capacity(config.sources.len());
    for source in &config.sources {
        tracing::info!(source = source.name(), address = source.address(), "reading");
        opened.push(match source.clone() {
            SourceSettings::Kafka(kafka) => kafka::open(kafka, settings)?,
            SourceSettings::RabbitMq(rabbitmq) => rabbitmq::open(rabbitmq, settings)?,
        });
    }
    Ok(match (restored, &config.state) {
        (Some(restored), Some(state)) => {
            Engine::resume(settings, opened, restored, state.interval)?
        }
        _ => Engine::start(settings, opened)?,
    })
}
