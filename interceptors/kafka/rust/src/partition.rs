//! Where a message goes, decided before librdkafka decides: the number counts per partition, so
//! the stamp must know it.
//!
//! The application's own choice stays; a key goes where the configured `partitioner` puts it; what
//! librdkafka would place freely gets a choice made in its way: sticky for
//! `sticky.partitioning.linger.ms`, else at random, and again at random where no leader is known.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::config::NativeClientConfig;

use crate::native::{self, Hash};

/// Who chooses the partition of a message that names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The key's hash; an absent key counts as an empty one.
    Hashed(Hash),
    /// The application's own partitioner.
    Custom,
    /// One partition for a while.
    Sticky(Duration),
    /// Any, message by message.
    Random,
}

/// The rules of one producer, from its configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    keyed: Choice,
    without_key: Choice,
    with_empty_key: Choice,
}

impl Placement {
    /// As librdkafka reads the same configuration.
    pub(crate) fn new(config: &ClientConfig, native: &NativeClientConfig, custom: bool) -> Self {
        let free = match sticky_linger(config, native) {
            Duration::ZERO => Choice::Random,
            linger => Choice::Sticky(linger),
        };
        let partitioner = property(native, "partitioner");
        if custom {
            // Stickiness goes before an own partitioner (rd_kafka_msg_partitioner).
            let without_key = if free == Choice::Random { Choice::Custom } else { free };
            return Self { keyed: Choice::Custom, without_key, with_empty_key: Choice::Custom };
        }
        let hashed = |hash| {
            let keyed = Choice::Hashed(hash);
            Self { keyed, without_key: keyed, with_empty_key: keyed }
        };
        match partitioner.as_deref() {
            Some("consistent") => hashed(Hash::Crc32),
            Some("murmur2") => hashed(Hash::Murmur2),
            Some("fnv1a") => hashed(Hash::Fnv1a),
            Some("murmur2_random") => Self { without_key: free, ..hashed(Hash::Murmur2) },
            Some("fnv1a_random") => Self { without_key: free, ..hashed(Hash::Fnv1a) },
            Some("random") => {
                Self { keyed: Choice::Random, without_key: free, with_empty_key: Choice::Random }
            }
            // consistent_random, the default: an empty key is none.
            Some(_) | None => {
                Self { without_key: free, with_empty_key: free, ..hashed(Hash::Crc32) }
            }
        }
    }

    /// Who chooses for a message with this key.
    pub(crate) fn choice(&self, key: Option<&[u8]>) -> Choice {
        match key {
            None => self.without_key,
            Some([]) => self.with_empty_key,
            Some(_) => self.keyed,
        }
    }
}

/// A topic's partitions as last heard of, and the free choice among them.
#[derive(Debug)]
pub(crate) struct Spread {
    /// For each partition, whether it has a leader; empty while nothing is known.
    led: Vec<bool>,
    current: usize,
    since: Option<Instant>,
    random: u64,
}

impl Default for Spread {
    fn default() -> Self {
        // xorshift wants a seed other than 0.
        Self {
            led: Vec::new(),
            current: 0,
            since: None,
            random: RandomState::new().hash_one(0) | 1,
        }
    }
}

impl Spread {
    pub(crate) fn learn(&mut self, led: Vec<bool>) {
        self.led = led;
    }

    pub(crate) fn is_led(&self, partition: usize) -> bool {
        self.led.get(partition).copied().unwrap_or(false)
    }

    /// One partition until `linger` is over or its leader is gone (rd_kafka_msg_sticky_partition).
    pub(crate) fn sticky(&mut self, linger: Duration, now: Instant) -> Option<usize> {
        let stays = self.is_led(self.current)
            && self.since.is_some_and(|since| now.saturating_duration_since(since) <= linger);
        if !stays {
            self.current = self.random()?;
            self.since = Some(now);
        }
        Some(self.current)
    }

    /// Any partition; one more try where the first has no leader (rd_kafka_msg_partitioner_random).
    pub(crate) fn random(&mut self) -> Option<usize> {
        let first = self.any()?;
        if self.is_led(first) { Some(first) } else { self.any() }
    }

    fn any(&mut self) -> Option<usize> {
        let count = u64::try_from(self.led.len()).ok().filter(|&count| count > 0)?;
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        // The high bits are the better ones.
        usize::try_from((self.random >> 32) % count).ok()
    }
}

/// The partition that a hash gives a key, where the count is known.
pub(crate) fn hashed(hash: Hash, key: Option<&[u8]>, count: usize) -> Option<i32> {
    let count = i32::try_from(count).ok().filter(|&count| count > 0)?;
    Some(native::hashed(hash, key, count))
}

/// A property as librdkafka has it, aliases and defaults included.
pub(crate) fn property(native: &NativeClientConfig, name: &str) -> Option<String> {
    let value = native.get(name).ok()?;
    Some(value.trim_end_matches('\0').to_owned()).filter(|value| !value.is_empty())
}

/// `sticky.partitioning.linger.ms`; where that is not set, twice `linger.ms`, in whole ms, as in
/// librdkafka's own finishing of a configuration.
fn sticky_linger(config: &ClientConfig, native: &NativeClientConfig) -> Duration {
    const LINGER_MS: f64 = 5.0;
    const MOST_MS: f64 = 900_000.0;
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<f64>().ok());
    let ms = number(config.get("sticky.partitioning.linger.ms")).unwrap_or_else(|| {
        let linger = number(property(native, "linger.ms").as_deref()).unwrap_or(LINGER_MS);
        (linger * 2.0).min(MOST_MS)
    });
    let whole = Duration::try_from_secs_f64(ms / 1_000.0).map_or(0, |linger| linger.as_millis());
    Duration::from_millis(u64::try_from(whole).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(settings: &[(&str, &str)], custom: bool, key: Option<&[u8]>) -> Choice {
        let mut config = ClientConfig::new();
        for &(name, value) in settings {
            config.set(name, value);
        }
        let native = config.create_native_config().unwrap();
        Placement::new(&config, &native, custom).choice(key)
    }

    #[test]
    fn stickiness_lasts_as_long_as_librdkafka_s() {
        let sticky = |ms| Choice::Sticky(Duration::from_millis(ms));
        for (settings, expected) in [
            (&[][..], sticky(10)),
            (&[("linger.ms", "100")][..], sticky(200)),
            (&[("queue.buffering.max.ms", "0.5")][..], sticky(1)),
            (&[("linger.ms", "0.4")][..], Choice::Random),
            (&[("linger.ms", "100"), ("sticky.partitioning.linger.ms", "10")][..], sticky(10)),
            (&[("sticky.partitioning.linger.ms", "0")][..], Choice::Random),
        ] {
            assert_eq!(choice(settings, false, None), expected, "{settings:?}");
        }
    }

    #[test]
    fn an_own_partitioner_is_asked_unless_stickiness_goes_before_it() {
        let off = [("sticky.partitioning.linger.ms", "0")];
        assert_eq!(choice(&[], true, Some(b"k")), Choice::Custom);
        assert_eq!(choice(&[], true, None), Choice::Sticky(Duration::from_millis(10)));
        assert_eq!(choice(&off, true, None), Choice::Custom);
    }

    #[test]
    fn a_sticky_choice_changes_with_time_or_with_its_leader() {
        let start = lacuna_interceptor::clock::monotonic();
        let linger = Duration::from_millis(10);
        let mut spread = Spread::default();
        assert_eq!(spread.sticky(linger, start), None, "nothing known");
        spread.learn(vec![true; 64]);
        let first = spread.sticky(linger, start).unwrap();
        assert_eq!(spread.sticky(linger, start + linger), Some(first));
        let later: Vec<_> =
            (1..20).map(|turn| spread.sticky(linger, start + linger * 2 * turn).unwrap()).collect();
        assert!(later.iter().any(|&partition| partition != first), "{later:?}");

        let left = (spread.current + 1) % 64;
        let mut led = vec![false; 64];
        led[left] = true;
        spread.learn(led);
        let now = start + linger * 38;
        let tried = (0..2_000).filter(|_| spread.sticky(linger, now) == Some(left)).count();
        assert!(tried > 1_000, "settles where a leader is, and stays there: {tried}");
    }

    #[test]
    fn random_choices_reach_every_partition_alike() {
        let mut spread = Spread::default();
        spread.learn(vec![true; 8]);
        let mut counts = [0_u32; 8];
        for _ in 0..80_000 {
            counts[spread.random().unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (9_000..11_000).contains(count)), "{counts:?}");
    }
}
