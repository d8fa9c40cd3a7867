use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::settings::KafkaSettings;
use super::topics::Topics;

/// A connection to the cluster. It joins no group, and nothing is committed.
pub(super) type Client = BaseConsumer<Context>;

/// Properties of librdkafka that the tap's correctness rests on, and those that it has no use for.
pub const MANAGED: &[&str] = &[
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "auto.offset.reset",
    "isolation.level",
    "enable.partition.eof",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "allow.auto.create.topics",
];

/// Why a connection cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// librdkafka refuses a property.
    #[error("source {name:?}: {error}")]
    Property {
        /// The source.
        name: String,
        /// What librdkafka says.
        error: KafkaError,
    },
    /// A property that the tap sets itself.
    #[error("source {name:?}: property {property:?} is the tap's own; remove it")]
    Managed {
        /// The source.
        name: String,
        /// The property.
        property: String,
    },
    /// The system gives no thread.
    #[error("source {name:?}: no thread: {error}")]
    Thread {
        /// The source.
        name: String,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Sets up a connection; whether the broker is there shows later.
pub(super) fn connect(settings: &KafkaSettings) -> Result<Arc<Client>, OpenError> {
    open(settings, None)
}

/// One that may ask what this group has committed. It joins the group no more than any other does.
pub(super) fn connect_as(settings: &KafkaSettings, group: &str) -> Result<Arc<Client>, OpenError> {
    open(settings, Some(group))
}

fn open(settings: &KafkaSettings, group: Option<&str>) -> Result<Arc<Client>, OpenError> {
    let name = settings.name.clone();
    let own = |property: &&String| MANAGED.contains(&property.as_str());
    if let Some(property) = settings.properties.keys().find(own) {
        return Err(OpenError::Managed { name, property: property.clone() });
    }
    let mut config = ClientConfig::new();
    config
        .set("client.id", "lacuna")
        // A tap that waits a second whenever its queue is full reads in gulps (default 1000).
        .set("fetch.queue.backoff.ms", "1")
        // What waits to be read is bounded closer (default 65536): less memory, and more of it is
        // still in the processor's cache.
        .set("queued.max.messages.kbytes", "8192")
        // After an outage it goes on soon (default 10 s).
        .set("reconnect.backoff.max.ms", "1000")
        .set("socket.keepalive.enable", "true");
    for (property, value) in &settings.properties {
        config.set(property, value);
    }
    config
        .set("bootstrap.servers", &settings.brokers)
        // What was written counts, whether its transaction was committed or not.
        .set("isolation.level", "read_uncommitted")
        // Retention that overtakes the tap is a finding, never a silent jump.
        .set("auto.offset.reset", "error")
        // Tells that control records at the log's end were passed; never taken for an `end`.
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false")
        .set_log_level(RDKafkaLogLevel::Warning);
    if let Some(group) = group {
        config.set("group.id", group);
    }
    let context = Context { source: name.clone(), failure: Mutex::default() };
    let client = config.create_with_context(context);
    client.map(Arc::new).map_err(|error| OpenError::Property { name, error })
}

/// What a look for topics found.
pub(super) struct Found {
    /// The topics that are taken, and how many partitions each has.
    pub(super) partitions: Vec<(Arc<str>, i32)>,
    /// One of the brokers.
    pub(super) broker: Option<i32>,
}

/// Looks for the topics that are taken.
pub(super) fn partitions(
    client: &Client,
    topics: &Topics,
    timeout: Duration,
) -> KafkaResult<Found> {
    let mut found = Found { partitions: Vec::new(), broker: None };
    let mut look = |topic: Option<&str>| {
        let metadata = client.fetch_metadata(topic, timeout)?;
        found.broker = metadata.brokers().first().map(|broker| broker.id()).or(found.broker);
        for topic in metadata.topics() {
            let count = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
            if topic.error().is_none() && topics.take(topic.name()) {
                found.partitions.push((Arc::from(topic.name()), count));
            }
        }
        Ok::<(), KafkaError>(())
    };
    match topics.only_names() {
        Some(names) => names.iter().try_for_each(|name| look(Some(name)))?,
        None => look(None)?,
    }
    Ok(found)
}

/// Where a partition's log is asked for.
pub(super) type Partition<'a> = (&'a str, i32);

/// Asks the partitions' leaders for an offset of each, in one request a leader: the `End`, the
/// `Beginning`, or the first one that is not older than a time, as `Offset`. They are asked anew;
/// what a fetch once told is not taken. `None`: nothing is as new as the time. A partition of which
/// its leader knows nothing is missing.
pub(super) fn offsets<'a>(
    client: &Client,
    partitions: &[Partition<'a>],
    of: Offset,
    timeout: Duration,
) -> KafkaResult<HashMap<Partition<'a>, Option<u64>>> {
    // In ListOffsets -1 and -2 are times too: the end and the beginning. `offsets_for_times` sends
    // what it is given, in one request a leader, and needs no unsafe code.
    let mut list = TopicPartitionList::new();
    for &(topic, partition) in partitions {
        list.add_partition_offset(topic, partition, of)?;
    }
    let answer = match client.offsets_for_times(list, timeout) {
        Ok(answer) => answer,
        Err(error) if is_of_one_partition(&error) => {
            // One partition's error hides the answers of all others.
            let (one, other) = partitions.split_at(partitions.len() / 2);
            if one.is_empty() {
                return Ok(HashMap::new());
            }
            let mut answers = offsets(client, one, of, timeout)?;
            answers.extend(offsets(client, other, of, timeout)?);
            return Ok(answers);
        }
        Err(error) => return Err(error),
    };
    let offset = |&(topic, partition): &Partition<'a>| {
        let found = answer.find_partition(topic, partition)?;
        found.error().ok()?;
        match found.offset() {
            Offset::Offset(offset) => Some(Some(u64::try_from(offset).ok()?)),
            Offset::End if matches!(of, Offset::Offset(_)) => Some(None),
            Offset::Beginning
            | Offset::End
            | Offset::Stored
            | Offset::Invalid
            | Offset::OffsetTail(_) => None,
        }
    };
    Ok(partitions.iter().filter_map(|place| Some((*place, offset(place)?))).collect())
}

fn is_of_one_partition(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::ReplicaNotAvailable
                | RDKafkaErrorCode::OffsetNotAvailable
        )
    )
}

/// Takes librdkafka's log lines; its errors are given by polling.
#[derive(Debug)]
pub(super) struct Context {
    source: String,
    /// What the last connection failed of.
    failure: Mutex<Option<String>>,
}

impl Context {
    /// What a connection failed of since this was asked last.
    pub(super) fn take_failure(&self) -> Option<String> {
        self.failure().take()
    }

    fn failure(&self) -> MutexGuard<'_, Option<String>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let source = &self.source;
        if facility == "FAIL" {
            // A connection: whether the source can read is said once, by its control thread.
            tracing::debug!(source, facility, "{message}");
            return;
        }
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(source, facility, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(source, facility, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(source, facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(source = self.source, %error, "{reason}");
        // That nobody is left to be asked says nothing of why.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.failure() = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Context {}
