//! The configuration read again on SIGHUP: what can change while it runs does, what cannot is named.

use std::collections::BTreeSet;
use std::ffi::OsString;

use tokio::signal::unix::Signal;

use crate::cli::RunArgs;
use crate::config::{Config, ConfigError, Layers, SourceSettings};
use crate::engine::{Changed, Engine, Stopped};
use crate::http::Api;
use crate::source::kafka::KafkaSettings;

/// What the process was told, and how.
#[derive(Debug)]
pub(crate) struct Told {
    args: RunArgs,
    environment: Vec<(OsString, OsString)>,
    layers: Layers,
    config: Config,
}

impl Told {
    /// Reads it for the first time.
    pub(crate) fn read(
        args: &RunArgs,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let environment: Vec<_> = environment.into_iter().collect();
        let layers = Layers::read(args, environment.clone())?;
        let config = Config::parse(layers.clone())?;
        Ok(Self { args: args.clone(), environment, layers, config })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Reads it again at every signal.
    pub(crate) async fn again(mut self, mut hangup: Signal, engine: Engine, api: Api) {
        while hangup.recv().await.is_some() {
            let new = Self::read(&self.args, self.environment.clone());
            match new {
                Err(ConfigError(mistakes)) => {
                    for mistake in mistakes {
                        tracing::warn!(%mistake, "the configuration is wrong, and stays as it was");
                    }
                }
                Ok(new) => {
                    if let Err(stopped) = self.take_up(&new, &engine, &api).await {
                        tracing::warn!(%stopped, "the configuration cannot be taken up");
                    }
                    self = new;
                }
            }
        }
    }

    async fn take_up(&self, new: &Self, engine: &Engine, api: &Api) -> Result<(), Stopped> {
        let kafka: BTreeSet<&str> = self.kafka().map(|(name, _)| name).collect();
        let (taken, left): (Vec<_>, Vec<_>) =
            self.layers.differs(&new.layers).into_iter().partition(|key| can_change(key, &kafka));
        let (old, config) = (&self.config, &new.config);
        // What a person switched meanwhile stays, unless the file has changed its mind.
        if old.enabled != config.enabled {
            engine.set_checking(None, config.enabled).await?;
        }
        let names: BTreeSet<&String> = old.streams.keys().chain(config.streams.keys()).collect();
        for name in &names {
            let on = |config: &Config| config.streams.get(*name).is_none_or(|own| own.enabled);
            if on(old) != on(config) {
                engine.set_checking(Some((*name).clone()), on(config)).await?;
            }
        }
        let default = &config.default_stream;
        let judged = names.into_iter().map(|name| {
            let own = config.streams.get(name).map_or(default, |own| &own.settings);
            let mut settings = own.clone();
            // What a mirror's stamps count for is decided when its stream is first seen.
            let before = old.streams.get(name).map(|own| own.settings.aliases.clone());
            settings.aliases = before.unwrap_or_default();
            (name.clone(), settings)
        });
        let topics = new.kafka().filter(|(name, _)| {
            taken
                .iter()
                .any(|key| matches!(&key[..], [first, own, _] if first == "source" && own == name))
        });
        let changed = Changed {
            default_stream: default.clone(),
            streams: judged.collect(),
            topics: topics.map(|(name, own)| (name.to_owned(), own.topics.clone())).collect(),
        };
        engine.take_up(changed).await?;
        api.judges_by(default.grace_ms, default.clock_skew_ms);
        for key in &left {
            tracing::warn!(key = key.join("."), "changed, and needs a restart to hold");
        }
        let taken: Vec<_> = taken.iter().map(|key| key.join(".")).collect();
        tracing::info!(taken = taken.join(" "), left = left.len(), "configuration read again");
        Ok(())
    }

    fn kafka(&self) -> impl Iterator<Item = (&str, &KafkaSettings)> {
        self.config.sources.iter().filter_map(|source| match source {
            SourceSettings::Kafka(kafka) => Some((kafka.name.as_str(), kafka)),
            SourceSettings::RabbitMq(_) => None,
        })
    }
}

/// Whether a key's new value can hold without a restart.
fn can_change(key: &[String], kafka: &BTreeSet<&str>) -> bool {
    let key: Vec<&str> = key.iter().map(String::as_str).collect();
    match key[..] {
        ["checking", "enabled" | "grace" | "clock_skew"]
        | ["stream", _]
        | ["stream", _, "enabled" | "grace" | "clock_skew"] => true,
        ["source", name, "topics" | "patterns" | "exclude"] => kafka.contains(name),
        _ => false,
    }
}
