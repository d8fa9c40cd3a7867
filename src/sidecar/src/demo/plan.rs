//! What happens to which message; the same for the same seed.

/// Streams of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Stream {
    /// A consumer group reads it.
    Orders,
    /// Nobody but the sidecar reads it. Here messages come late, after they were judged lost.
    Payments,
}

impl Stream {
    pub(super) const ALL: [Self; 2] = [Self::Orders, Self::Payments];

    pub(super) const fn topic(self) -> &'static str {
        match self {
            Self::Orders => "demo.orders",
            Self::Payments => "demo.payments",
        }
    }
}

/// What is done to a message when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Sent, once.
    Plain,
    /// So many numbers are taken, and nothing is sent.
    Swallowed(u64),
    /// Sent, and sent again a little later.
    Resent,
    /// Sent after the next ones of its lane.
    Overtaken,
    /// Sent long after it was judged lost.
    Late,
    /// Another message is sent besides, which is not of the lane.
    Joined(Junk),
}

/// Messages that no lane has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Junk {
    /// Stamped for another stream, as a forwarder leaves it.
    Foreign,
    /// Not stamped.
    Unstamped,
    /// Not a stamp.
    Malformed,
    /// A stamp of a later version.
    Unsupported,
}

/// SplitMix64: small, and good enough to spread faults.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// Dice of one thread.
    pub(super) const fn new(seed: u64, thread: u64) -> Self {
        Self(seed ^ thread.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// A number below `sides`.
    pub(super) const fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    /// What is done to the next message of this stream.
    pub(super) const fn fate(&mut self, stream: Stream) -> Fate {
        match self.roll(10_000) {
            0..8 => Fate::Swallowed(1 + self.roll(3)),
            8..16 => Fate::Resent,
            16..24 => Fate::Overtaken,
            24..40 if matches!(stream, Stream::Payments) => Fate::Late,
            40..44 => Fate::Joined(Junk::Foreign),
            44..48 => Fate::Joined(Junk::Unstamped),
            48..50 => Fate::Joined(Junk::Malformed),
            50..52 => Fate::Joined(Junk::Unsupported),
            _ => Fate::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_run_injects_every_kind() {
        let mut dice = Dice::new(1, 0);
        let fates: Vec<Fate> = (0..20_000).map(|_| dice.fate(Stream::Payments)).collect();
        for kind in [
            Fate::Plain,
            Fate::Swallowed(1),
            Fate::Swallowed(3),
            Fate::Resent,
            Fate::Overtaken,
            Fate::Late,
            Fate::Joined(Junk::Foreign),
            Fate::Joined(Junk::Unstamped),
            Fate::Joined(Junk::Malformed),
            Fate::Joined(Junk::Unsupported),
        ] {
            assert!(fates.contains(&kind), "{kind:?}");
        }
        let mut again = Dice::new(1, 0);
        assert!(fates.iter().all(|&fate| fate == again.fate(Stream::Payments)));
    }
}
