//! What a channel has published since its last commit or rollback.

use std::sync::Arc;

use lacuna_interceptor::{Lane, Outcome};

/// The numbers of one open transaction.
#[derive(Debug, Default)]
pub(crate) struct Transaction(Vec<(Arc<Lane>, u64)>);

impl Transaction {
    pub(crate) fn add(&mut self, lane: &Arc<Lane>, seq: u64) {
        self.0.push((Arc::clone(lane), seq));
    }

    /// All of them ended like this.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        for (lane, seq) in self.0.drain(..) {
            lane.settle(seq, outcome);
        }
    }
}
