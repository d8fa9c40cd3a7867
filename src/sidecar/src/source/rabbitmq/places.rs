use std::collections::HashMap;

use super::message::{Message, Seen};
use super::settings::RabbitSettings;
use super::tap::PARTITION;
use crate::engine::EngineSettings;

/// A stream in a view, as a tap is told of it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) seen: Seen,
    pub(super) stream: String,
    /// Since when all of it is read, ms since the Unix epoch.
    pub(super) since: u64,
    /// The stream is an exchange of which the tap's bindings may not take everything.
    pub(super) partial: bool,
}

/// The streams that were met, each with its tap and its number there.
#[derive(Debug)]
pub(super) struct Places {
    owners: EngineSettings,
    prefix: String,
    known: HashMap<(Seen, String), (usize, u32), foldhash::fast::RandomState>,
    counts: Vec<u32>,
}

impl Places {
    pub(super) fn new(settings: &RabbitSettings, owners: EngineSettings) -> Self {
        let counts = vec![0; owners.workers.max(1)];
        let prefix = settings.stream_prefix.clone();
        Self { owners, prefix, known: HashMap::default(), counts }
    }

    /// Where a message belongs, if that is known.
    pub(super) fn find(&self, seen: Seen, stream: &str) -> Option<(usize, u32)> {
        // The key's clone is what an owned pair of them costs; runs of one stream are the rule.
        self.known.get(&(seen, stream.to_owned())).copied()
    }

    /// A place for a stream that was not met yet; `None`: it would be one more than are judged.
    pub(super) fn add(&mut self, seen: Seen, stream: &str) -> Option<(usize, u32)> {
        if self.known.len() >= self.owners.checker.limits.partitions {
            return None;
        }
        let tap = self.owners.owner(&format!("{}{stream}", self.prefix), PARTITION);
        let number = self.counts[tap];
        self.counts[tap] += 1;
        self.known.insert((seen, stream.to_owned()), (tap, number));
        Some((tap, number))
    }

    /// Whether a message's stream is one of which the tap may see a part only.
    pub(super) fn is_partial(settings: &RabbitSettings, message: &Message) -> bool {
        message.counts_per_exchange() && !settings.sees_whole(&message.exchange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_names_finds_no_room() {
        let mut engine = EngineSettings::default();
        engine.checker.limits.partitions = 10;
        let uri = "amqp://host/%2f".parse().unwrap();
        let mut places = Places::new(&RabbitSettings::new("main", uri), engine);
        for number in 0..1_000 {
            let stream = format!("orders/{number}");
            assert_eq!(places.add(Seen::Log, &stream).is_some(), number < 10, "{stream}");
            assert_eq!(places.find(Seen::Log, &stream).is_some(), number < 10);
        }
        assert_eq!(places.known.len(), 10);
    }
}
