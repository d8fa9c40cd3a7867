//! librdkafka's embedded broker.
#![expect(unsafe_code, reason = "the join delay of the embedded broker has no safe binding")]

use rdkafka::bindings as c;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaResult;
use rdkafka::producer::{BaseProducer, Producer};

/// What the embedded broker keeps of a partition, in bytes; older batches are dropped.
const KEPT: u64 = 5 << 20;
/// What a message of the demo takes there, with its stamp and the batch's own bytes, generously.
const MESSAGE: u64 = 256;

/// A broker that lives as long as this does.
pub(super) struct Broker {
    owner: BaseProducer,
}

impl Broker {
    pub(super) fn start() -> KafkaResult<Self> {
        let owner: BaseProducer = ClientConfig::new().set("test.mock.num.brokers", "1").create()?;
        // SAFETY: the handle is alive, and so is the cluster that it owns; null where it has none.
        unsafe {
            let cluster = c::rd_kafka_handle_mock_cluster(owner.client().native_ptr());
            if !cluster.is_null() {
                // A group's first member would wait three seconds for others.
                c::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0);
            }
        }
        Ok(Self { owner })
    }

    pub(super) fn address(&self) -> String {
        let cluster = self.owner.client().mock_cluster();
        cluster.map(|cluster| cluster.bootstrap_servers()).unwrap_or_default()
    }

    pub(super) fn create_topic(&self, name: &str, partitions: i32) -> KafkaResult<()> {
        match self.owner.client().mock_cluster() {
            Some(cluster) => cluster.create_topic(name, partitions, 1),
            None => Ok(()),
        }
    }
}

/// As many partitions as keep this many messages whole, and at least `least`.
pub(super) fn partitions_for(messages: u64, least: i32) -> i32 {
    let needed = (messages * MESSAGE).div_ceil(KEPT);
    i32::try_from(needed).unwrap_or(i32::MAX).max(least)
}
