//! What stands between a producer and its broker and loses or repeats messages: it acknowledges
//! everything, as an embedded broker with the same topic, and forwards to the real one all but
//! what it is told to swallow, twice what it is told to repeat, and ten messages of the partition
//! later what it is told to hold up.
//!
//! ```text
//! lab-relay to=HOST:PORT topic=T partitions=N [as=TOPIC]
//!           [swallow=P:FIRST-LAST,…] [repeat=P:FIRST-LAST,…] [late=P:FIRST-LAST,…]
//! ```
//!
//! With `as` the real topic has another name, as a mirror may. Ranges are inclusive offsets of the
//! embedded broker. It says `serving ADDRESS`; at the end of its input it forwards what is left and
//! ends.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, BufRead};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lacuna_brokers::arguments::Arguments;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// What is held up comes so many messages later.
const LATE: i64 = 10;
const TIMEOUT: Duration = Duration::from_secs(60);

type Real = ThreadedProducer<DefaultProducerContext>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::of_this_process();
    let topic = arguments.text("topic");
    let mirror = arguments.optional("as").unwrap_or(topic);
    let partitions = i32::try_from(arguments.number("partitions"))?;
    let swallow = ranges(&arguments, "swallow")?;
    let repeat = ranges(&arguments, "repeat")?;
    let late = ranges(&arguments, "late")?;

    let embedded = MockCluster::new(1)?;
    embedded.create_topic(topic, partitions, 1)?;
    let source: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", embedded.bootstrap_servers())
        .set("group.id", "relay")
        .set("enable.auto.commit", "false")
        .create()?;
    let real: Real = ClientConfig::new()
        .set("bootstrap.servers", arguments.text("to"))
        .set("enable.idempotence", "true")
        .create()?;
    let mut from_start = TopicPartitionList::new();
    for partition in 0..partitions {
        from_start.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    source.assign(&from_start)?;
    lacuna_brokers::process::say(&format!("serving {}", embedded.bootstrap_servers()));

    let finish = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&finish);
    thread::spawn(move || {
        io::stdin().lock().lines().for_each(drop);
        told.store(true, Ordering::Release);
    });
    // Forwarded so far, by partition: the embedded broker drops its oldest batches without a word
    // where a partition grows too large, and a relay that loses what it was not told to is none.
    let mut next = vec![0_i64; usize::try_from(partitions)?];
    let mut held: Vec<VecDeque<OwnedMessage>> = vec![VecDeque::new(); next.len()];
    loop {
        let finishing = finish.load(Ordering::Acquire);
        if let Some(message) = source.poll(Duration::from_millis(20)) {
            let message = message?.detach();
            let (partition, offset) = (message.partition(), message.offset());
            let place = usize::try_from(partition)?;
            if offset != next[place] {
                return Err("the embedded broker dropped messages: send fewer".into());
            }
            next[place] += 1;
            let at = |ranges: &[Range]| {
                ranges.iter().any(|(of, offsets)| *of == partition && offsets.contains(&offset))
            };
            if at(&repeat) {
                forward(&real, mirror, &message)?;
            }
            if at(&late) {
                held[place].push_back(message);
            } else if !at(&swallow) {
                forward(&real, mirror, &message)?;
            }
            while held[place].front().is_some_and(|first| first.offset() + LATE <= offset) {
                held[place]
                    .pop_front()
                    .map_or(Ok(()), |message| forward(&real, mirror, &message))?;
            }
        } else if finishing && at_end(&source, topic, &next)? {
            break;
        }
    }
    for message in held.iter().flatten() {
        forward(&real, mirror, message)?;
    }
    real.flush(TIMEOUT)?;
    Ok(())
}

fn forward(real: &Real, topic: &str, message: &OwnedMessage) -> Result<(), Box<dyn Error>> {
    let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(message.partition());
    record.key = message.key();
    record.payload = message.payload();
    record.headers = message.headers().cloned();
    real.send(record).map_err(|(error, _)| error)?;
    Ok(())
}

fn at_end(source: &BaseConsumer, topic: &str, next: &[i64]) -> Result<bool, Box<dyn Error>> {
    for (partition, next) in (0..).zip(next) {
        if source.fetch_watermarks(topic, partition, TIMEOUT)?.1 != *next {
            return Ok(false);
        }
    }
    Ok(true)
}

type Range = (i32, RangeInclusive<i64>);

/// `0:10-19,2:0-4`, and more of it in arguments whose names begin so: Linux takes none of more than
/// 128 KiB.
fn ranges(arguments: &Arguments, name: &str) -> Result<Vec<Range>, Box<dyn Error>> {
    arguments
        .beginning(name)
        .flat_map(|(_, text)| text.split(','))
        .filter(|range| !range.is_empty())
        .map(|range| {
            let (partition, offsets) = range.split_once(':').ok_or("a range is P:FIRST-LAST")?;
            let (first, last) = offsets.split_once('-').ok_or("a range is P:FIRST-LAST")?;
            Ok((partition.parse()?, first.parse()?..=last.parse()?))
        })
        .collect()
}
