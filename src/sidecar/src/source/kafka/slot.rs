use std::sync::Arc;

use lacuna_core::verdict::Cause;
use lacuna_core::{Checker, PartitionId, Watch};

use super::batch::Key;
use super::describe::TopicId;
use super::lineage::Lineage;
use super::policy::Policy;
use crate::members::Outside;

/// Who could not read for longer than this says so, and what was missing gets its whole grace anew.
pub(super) const STALL_MS: u64 = 1000;

/// A partition that is read.
#[derive(Debug)]
pub(super) struct Slot {
    /// What the control thread calls it.
    pub(super) number: usize,
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) stream: Arc<str>,
    /// Which topic it is that has the name.
    pub(super) topic_id: Option<TopicId>,
    pub(super) key: Key,
    pub(super) id: PartitionId,
    /// The offset that is read next.
    pub(super) next: u64,
    /// When it last proved to be readable (a record came, or an answer about its end), or was asked
    /// for its end after it had.
    pub(super) readable_at: u64,
    /// `next` when its end was asked for.
    pub(super) asked_next: u64,
    /// Something in it waits for an end, so it is asked for.
    pub(super) wanting: bool,
    /// It could not be read; its next record or end begins with a `watch`.
    pub(super) away: bool,
    pub(super) on: bool,
    /// An end that the broker told, and when it was asked.
    pub(super) end: Option<(u64, u64)>,
    pub(super) lineage: Lineage,
    /// It is to be read from elsewhere: what comes until then is not looked at.
    pub(super) held: bool,
    /// Whether the broker may take single records out.
    pub(super) policy: Policy,
    pub(super) outside: Arc<Outside>,
}

impl Slot {
    /// It is readable now. Was it not for longer than a stall, while something in it waited, then
    /// what is missing may have been late for that reason.
    #[inline]
    pub(super) fn prove(&mut self, at: u64) {
        self.away |= self.wanting && at.saturating_sub(self.readable_at) > STALL_MS;
        self.readable_at = at;
    }

    pub(super) fn watch_on(&mut self, checker: &mut Checker, at: u64) {
        self.away = false;
        if self.on {
            let position = Some(self.next);
            checker.watch(self.id, &Watch { position, at, ..Watch::default() });
        }
    }

    /// The next record stands at this position; what the log lacks before it has a reason.
    #[inline]
    pub(super) fn pass_to(&self, checker: &mut Checker, position: u64, at: u64) {
        if self.on {
            self.policy.pass_over(checker, self.id, (self.next, position), at);
        }
    }

    /// The log has been read up to `end`: what lies between holds no record, as the marks of
    /// transactions at the log's end.
    pub(super) fn pass_to_end(&mut self, end: u64) {
        if self.next < end {
            let first = self.lineage.behind().unwrap_or(self.next);
            self.next = end;
            self.tell_passed(first);
        }
    }

    /// As an earlier run has read it.
    pub(super) fn goes_on(&self) {
        if let Some(first) = self.lineage.behind().filter(|&first| first < self.next) {
            self.tell_passed(first);
        }
    }

    fn tell_passed(&self, first: u64) {
        self.outside.passed(&self.stream, &self.partition.to_string(), first, self.next);
    }

    /// The log holds something else than what was read: it begins, or goes on, at `next`.
    pub(super) fn go_back_to(&mut self, next: u64) {
        self.outside.cut(&self.stream, &self.partition.to_string());
        (self.next, self.end) = (next, None);
    }

    /// The log begins at this offset: what stood below it was deleted.
    pub(super) fn begins(&self, checker: &mut Checker, offset: u64, at: u64) {
        if let Some(last) = offset.checked_sub(1) {
            checker.absent(self.id, 0, last, Cause::Retention, at);
        }
    }

    /// The log was cut back: what stood at or above `position` is gone.
    pub(super) fn cut(&mut self, checker: &mut Checker, position: u64, at: u64) {
        let Self { topic, partition, .. } = self;
        tracing::warn!(%topic, partition, position, read = self.next, "the log was cut back");
        self.go_back_to(position);
        if self.on {
            checker.cut(self.id, position, at);
        }
    }
}
