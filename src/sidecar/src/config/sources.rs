//! The sources: where messages are read.

use super::layers::Layers;
use super::types::SourceSettings;
use super::{kafka, rabbitmq};
use crate::source::kafka::KafkaSettings;
use crate::source::rabbitmq::RabbitSettings;

/// Takes all sources; those that are not of good form are left out, with a mistake each.
pub(super) fn take(layers: &mut Layers) -> Vec<SourceSettings> {
    let mut sources: Vec<Taken> = Vec::new();
    for name in layers.names("source") {
        let mut section = layers.section(&["source", &name]);
        let first = section.place("kind");
        section.take_empty();
        let kind = section.text_with("kind", |kind| match kind {
            "kafka" => Ok(Kind::Kafka),
            "rabbitmq" => Ok(Kind::RabbitMq),
            _ => Err(format!("{kind:?} is no kind of source: kafka and rabbitmq are")),
        });
        let (key, place, taken) = match kind.unwrap_or_default() {
            Kind::Kafka => {
                let place = section.place_or("topics", &first);
                let taken = kafka::take(&mut section, &name, &first);
                ("topics", place, taken.map(|(source, names)| Taken::Kafka { source, names }))
            }
            Kind::RabbitMq => {
                let place = section.place_or("queue", &first);
                ("queue", place, rabbitmq::take(&mut section, &name, &first).map(Taken::RabbitMq))
            }
        };
        let Some(taken) = taken else { continue };
        if let Some((other, stream)) = sources.iter().find_map(|other| other.shared(&taken)) {
            let what = format!(
                "stream {stream:?} is read by source {other:?} already: give one of them a \
                 stream_prefix"
            );
            section.mistake(place, key, what);
        }
        sources.push(taken);
    }
    sources.into_iter().map(Taken::into_settings).collect()
}

#[derive(Default)]
enum Kind {
    #[default]
    Kafka,
    RabbitMq,
}

enum Taken {
    Kafka { source: KafkaSettings, names: Vec<String> },
    RabbitMq(RabbitSettings),
}

impl Taken {
    fn into_settings(self) -> SourceSettings {
        match self {
            Self::Kafka { source, .. } => SourceSettings::Kafka(source),
            Self::RabbitMq(source) => SourceSettings::RabbitMq(source),
        }
    }

    /// A stream that both deliver, as far as names tell; two patterns may still meet in a topic,
    /// two queues in an exchange.
    fn shared(&self, other: &Self) -> Option<(&str, String)> {
        match (self, other) {
            (Self::Kafka { source, names }, Self::Kafka { source: other, names: other_names }) => {
                let stream = named_in(source, names, other);
                let stream = stream.or_else(|| named_in(other, other_names, source))?;
                Some((&source.name, stream))
            }
            (Self::RabbitMq(source), Self::RabbitMq(other)) => {
                let stream = source.shared(other)?;
                Some((&source.name, stream))
            }
            (Self::Kafka { .. }, Self::RabbitMq(_)) | (Self::RabbitMq(_), Self::Kafka { .. }) => {
                None
            }
        }
    }
}

fn named_in(source: &KafkaSettings, names: &[String], other: &KafkaSettings) -> Option<String> {
    names.iter().map(|topic| source.stream(topic)).find(|stream| {
        stream.strip_prefix(&other.stream_prefix).is_some_and(|topic| other.topics.take(topic))
    })
}
