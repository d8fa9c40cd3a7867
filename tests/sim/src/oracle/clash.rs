//! Two live clients of one name and epoch (contracts §4): they take the same numbers, so that every
//! number comes twice while the count goes on.

/// The numbers of a lane that were stored again, in the order in which they came, each with the
/// lane's highest number at that time.
#[derive(Clone, Debug, Default)]
pub(super) struct Clash {
    resent: Vec<(u64, Option<u64>)>,
}

impl Clash {
    /// So many in a row are no producer's retries.
    const IN_A_ROW: usize = 10;

    pub(super) fn resent(&mut self, n: u64, highest: Option<u64>) {
        self.resent.push((n, highest));
    }

    /// Whether some stretch of repeats rose from each to the next, as did the count meanwhile.
    pub(super) fn is_found(&self) -> bool {
        let rise = |pair: &[(u64, Option<u64>)]| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1;
        self.resent.windows(Self::IN_A_ROW).any(|stretch| stretch.windows(2).all(rise))
    }
}
