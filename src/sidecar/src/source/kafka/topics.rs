use regex::Regex;

/// Which topics are read.
///
/// A pattern must match the whole name: unlike in librdkafka, where `orders` would take
/// `orders-audit` too. Kafka's own topics (`__…`) and `lacuna.ledger` are read by name only.
#[derive(Clone, Debug, Default)]
pub struct Topics {
    /// By name.
    pub names: Vec<String>,
    patterns: Vec<Regex>,
    exclude: Vec<Regex>,
}

impl Topics {
    /// Topics by name and by pattern; `exclude` wins over the patterns, a name over both.
    pub fn new(
        names: Vec<String>,
        patterns: &[impl AsRef<str>],
        exclude: &[impl AsRef<str>],
    ) -> Result<Self, regex::Error> {
        Ok(Self { names, patterns: whole(patterns)?, exclude: whole(exclude)? })
    }

    /// One topic.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { names: vec![name.to_owned()], ..Self::default() }
    }

    /// Whether this topic is read.
    #[must_use]
    pub fn take(&self, topic: &str) -> bool {
        if self.names.iter().any(|name| name == topic) {
            return true;
        }
        let own = topic.starts_with("__") || topic == "lacuna.ledger";
        let any = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(topic));
        !own && any(&self.patterns) && !any(&self.exclude)
    }

    /// The names, where names are all there is.
    pub(super) fn only_names(&self) -> Option<&[String]> {
        self.patterns.is_empty().then_some(&self.names)
    }
}

fn whole(patterns: &[impl AsRef<str>]) -> Result<Vec<Regex>, regex::Error> {
    patterns.iter().map(|pattern| Regex::new(&format!("^(?:{})$", pattern.as_ref()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_whole_names_and_leaves_what_is_kafka_s_own() {
        let topics = Topics::new(
            vec!["__consumer_offsets".to_owned(), "bills-test".to_owned()],
            &["orders|orders-.*", "bills.*", "__.*", "lacuna.*"],
            &[".*-test"],
        );
        let topics = topics.unwrap();
        for (topic, taken) in [
            ("orders", true),
            ("orders-eu", true),
            ("ordersx", false),
            ("x-orders", false),
            ("bills", true),
            ("orders-test", false),
            ("bills-test", true),
            ("__consumer_offsets", true),
            ("__transaction_state", false),
            ("lacuna.ledger", false),
        ] {
            assert_eq!(topics.take(topic), taken, "{topic}");
        }
    }
}
