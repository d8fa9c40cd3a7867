//! Several checkers that share one work: which of them judges which partition, and which one a
//! stream's lanes `*`.

use crate::stamp;

/// One of several checkers. Partitions are spread over all of them; a stream's lanes `*`, which
/// run over all of its partitions, belong to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    index: usize,
    of: usize,
}

impl Default for Share {
    /// The only checker: it judges all.
    fn default() -> Self {
        Self { index: 0, of: 1 }
    }
}

impl Share {
    /// Checker `index` of `of`, which is at least one.
    #[must_use]
    pub fn new(index: usize, of: usize) -> Self {
        let of = of.max(1);
        Self { index: index % of, of }
    }

    /// Which of `of` checkers judges a partition's lanes; of `*`, the lanes over the whole stream.
    /// Numbered partitions of a stream are dealt out in turn.
    #[must_use]
    pub fn owner(stream: &str, partition: &str, of: usize) -> usize {
        if of <= 1 {
            return 0;
        }
        let first = stamp::origin(stream) as usize % of;
        if partition == stamp::SPAN {
            return first;
        }
        let other = || stamp::origin(partition) as usize;
        (first + partition.parse::<u32>().map_or_else(|_| other(), |number| number as usize) % of)
            % of
    }

    /// Whether this checker judges the partition.
    #[must_use]
    pub fn owns(self, stream: &str, partition: &str) -> bool {
        Self::owner(stream, partition, self.of) == self.index
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn every_partition_has_one_owner_and_numbered_ones_are_dealt_out_in_turn() {
        for of in 1..5 {
            let mut each = [0; 5];
            for partition in 0..60 {
                let label = partition.to_string();
                let owners: alloc::vec::Vec<usize> =
                    (0..of).filter(|&own| Share::new(own, of).owns("orders", &label)).collect();
                assert_eq!(owners, [Share::owner("orders", &label, of)]);
                each[owners[0]] += 1;
            }
            assert!(each[..of].iter().all(|&count| count == 60 / of), "{each:?} of {of}");
            assert!((0..of).any(|own| Share::new(own, of).owns("orders", "*")));
        }
    }
}
