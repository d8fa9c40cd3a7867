//! The one source of chance: SplitMix64, so that a seed replays everywhere. Where somebody else
//! throws the dice, as a fuzzer does, his throws come first.

/// A seeded generator.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
    /// What is drawn first, from the end.
    thrown: Vec<u8>,
}

impl Rng {
    /// The generator of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds must not begin alike.
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
        let mut rng = Self { state, thrown: Vec::new() };
        rng.draw();
        rng
    }

    /// One that draws these bytes first, one at a time.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { thrown: bytes.iter().rev().copied().collect(), ..Self::new(0) }
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        if let Some(byte) = self.thrown.pop() {
            return byte.into();
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw().checked_rem(bound).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// An index below `len`.
    pub fn index(&mut self, len: usize) -> usize {
        let bound = u64::try_from(len).unwrap_or(u64::MAX);
        usize::try_from(self.below(bound)).unwrap_or(0)
    }

    /// One of `items`, which are not empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }
}
