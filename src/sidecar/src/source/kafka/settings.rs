use std::collections::BTreeMap;
use std::time::Duration;

use super::topics::Topics;

/// One connection to a Kafka cluster.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// The source's name.
    pub name: String,
    /// `bootstrap.servers`.
    pub brokers: String,
    /// Which topics.
    pub topics: Topics,
    /// Where reading begins in what is there at the first look. What appears later is read from its
    /// start.
    pub from: From,
    /// Stands before every topic's name to make the stream's, where two clusters have the same
    /// topics. Empty: the topic's name is the stream's.
    pub stream_prefix: String,
    /// The topic to which producers send their ledger; `None`: it is not read.
    pub ledger: Option<String>,
    /// How often topics and partitions are looked for, at least: a short grace asks for more.
    pub metadata_interval: Duration,
    /// Consumer groups whose commits are looked at.
    pub groups: Vec<String>,
    /// How often.
    pub group_interval: Duration,
    /// librdkafka's own properties, but for those in [`super::MANAGED`].
    pub properties: BTreeMap<String, String>,
}

impl KafkaSettings {
    /// How often topics and partitions are looked for, unless configured: soon enough that a new
    /// topic is read within seconds, seldom enough that no broker notices.
    pub const METADATA_INTERVAL: Duration = Duration::from_secs(5);

    /// The ledger's topic, unless configured.
    pub const LEDGER: &str = "lacuna.ledger";
    /// How often groups are looked at, unless configured: what retention takes is announced by
    /// nobody, and a look is three requests a group.
    pub const GROUP_INTERVAL: Duration = Duration::from_secs(5);

    /// These topics of these brokers, from now on, and all else at its default.
    #[must_use]
    pub fn new(name: &str, brokers: &str, topics: Topics) -> Self {
        Self {
            name: name.to_owned(),
            brokers: brokers.to_owned(),
            topics,
            from: From::End,
            stream_prefix: String::new(),
            ledger: Some(Self::LEDGER.to_owned()),
            metadata_interval: Self::METADATA_INTERVAL,
            groups: Vec::new(),
            group_interval: Self::GROUP_INTERVAL,
            properties: BTreeMap::new(),
        }
    }

    /// The stream that a topic is.
    #[must_use]
    pub fn stream(&self, topic: &str) -> String {
        format!("{}{topic}", self.stream_prefix)
    }
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum From {
    /// At the first record that the broker holds.
    Beginning,
    /// After the last one.
    #[default]
    End,
    /// At the first one that is not older than this, ms since the Unix epoch.
    Time(u64),
}
