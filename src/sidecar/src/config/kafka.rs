//! A source of kind `kafka`.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::Regex;

use super::layers::{Layers, Place, Value};
use super::take::Section;
use crate::cli::KafkaCluster;
use crate::duration::Millis;
use crate::source::kafka::{From, KafkaSettings, MANAGED, Topics};

/// The name of the source that flags describe.
const FROM_FLAGS: &str = "kafka";

/// Reads where a Kafka source begins: `beginning`, `end`, or an RFC 3339 time.
pub fn parse_from(text: &str) -> Result<From, String> {
    match text {
        "beginning" => Ok(From::Beginning),
        "end" => Ok(From::End),
        _ => text
            .parse::<jiff::Timestamp>()
            .ok()
            .and_then(|time| u64::try_from(time.as_millisecond()).ok())
            .map(From::Time)
            .ok_or_else(|| {
                format!(
                    "{text:?} is not beginning, end, or an RFC 3339 time, as in \
                     2026-01-31T12:00:00Z"
                )
            }),
    }
}

/// Adds the source that flags describe.
pub(super) fn flags(
    layers: &mut Layers,
    cluster: &KafkaCluster,
    topics: &[String],
    from: Option<&str>,
    groups: &[String],
) {
    let (patterns, names): (Vec<_>, Vec<_>) =
        topics.iter().partition(|topic| topic.starts_with('^'));
    let mut set = |flag, name: &str, value| {
        let key = ["source", FROM_FLAGS, name].map(str::to_owned).to_vec();
        layers.set(key, value, Place::Flag(flag));
    };
    set("--brokers", "brokers", Value::Untyped(cluster.brokers.clone()));
    set("--topic", "topics", Value::List(names.into_iter().cloned().collect()));
    if !patterns.is_empty() {
        let patterns = patterns.iter().map(|pattern| pattern.trim_start_matches('^').to_owned());
        set("--topic", "patterns", Value::List(patterns.collect()));
    }
    if !groups.is_empty() {
        set("--group", "groups", Value::List(groups.to_vec()));
    }
    if let Some(from) = from {
        set("--from", "from", Value::Untyped(from.to_owned()));
    }
    for (property, value) in &cluster.properties {
        let key = ["source", FROM_FLAGS, "properties", property].map(str::to_owned).to_vec();
        layers.set(key, Value::Untyped(value.clone()), Place::Flag("--property"));
    }
}

/// The settings, and the topics by name.
pub(super) fn take(
    section: &mut Section<'_>,
    name: &str,
    first: &Place,
) -> Option<(KafkaSettings, Vec<String>)> {
    let place = section.place_or("topics", first);
    let missing_brokers = section.place_or("brokers", first);
    // Each is taken before any is missed, so that all mistakes are told.
    let brokers = section.parsed::<String>("brokers").filter(|brokers| !brokers.is_empty());
    let given = section.has("topics") || section.has("patterns");
    let names = section.list("topics").unwrap_or_default();
    let patterns = section.list_with("patterns", pattern).unwrap_or_default();
    let mut exclude = section.list_with("exclude", pattern).unwrap_or_default();
    let from = section.text_with("from", parse_from).unwrap_or_default();
    let stream_prefix = section.parsed::<String>("stream_prefix").unwrap_or_default();
    let ledger = section.parsed::<String>("ledger").unwrap_or_else(|| KafkaSettings::LEDGER.into());
    let metadata_interval = section.parsed::<Millis>("metadata_interval");
    let mut groups = section.list_with("groups", group).unwrap_or_default();
    groups.sort_unstable();
    groups.dedup();
    let group_interval = section.parsed::<Millis>("group_interval");
    let properties = properties(section);

    if brokers.is_none() {
        let what = "needs brokers, as in brokers = \"host:9092\"";
        section.mistake(missing_brokers, "brokers", what);
    }
    if names.is_empty() && patterns.is_empty() {
        if !given {
            section.mistake(place, "topics", "needs topics or patterns");
        }
        return None;
    }
    // The ledger is never a stream that a pattern takes.
    exclude.push(regex::escape(&ledger));
    let topics = Topics::new(names.clone(), &patterns, &exclude).ok()?;
    let metadata_interval = metadata_interval
        .map_or(KafkaSettings::METADATA_INTERVAL, |Millis(millis)| Duration::from_millis(millis));
    let group_interval = group_interval
        .map_or(KafkaSettings::GROUP_INTERVAL, |Millis(millis)| Duration::from_millis(millis));
    let source = KafkaSettings {
        from,
        stream_prefix,
        ledger: Some(ledger).filter(|topic| topic != "off"),
        metadata_interval,
        groups,
        group_interval,
        properties,
        ..KafkaSettings::new(name, &brokers?, topics)
    };
    Some((source, names))
}

/// Kafka's own rule is that a group has a name.
fn group(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("a group's name is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// Checks a pattern where it stands, so that a mistake names it.
fn pattern(text: &str) -> Result<String, String> {
    match Regex::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            // The lines before the last draw the pattern and point into it.
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Err(format!("{text:?} is no pattern: {why}"))
        }
    }
}

fn properties(section: &mut Section<'_>) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    for (property, value, place) in section.texts("properties") {
        if MANAGED.contains(&property.as_str()) {
            let what = "the source sets this property itself: remove it";
            section.mistake(place, &format!("properties.{property}"), what);
        }
        properties.insert(property, value);
    }
    properties
}
