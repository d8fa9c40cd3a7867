//! What a publish gives: lapin's confirm, whose answer is noted on its way to the application.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use lacuna_interceptor::Lane;
use lapin::{Confirmation, PublisherConfirm};

use crate::confirms::{Confirms, Ticket};

/// A future that resolves to the broker's answer, as lapin's [`PublisherConfirm`] does. Dropped
/// before it came, the answer is noted all the same.
pub struct StampedConfirm {
    confirm: Option<PublisherConfirm>,
    ticket: Option<(Arc<Confirms>, Ticket)>,
}

/// A message's number, for an application that publishes it again because it heard no answer.
#[derive(Clone, Debug)]
pub struct Number {
    pub(crate) lane: Arc<Lane>,
    pub(crate) seq: u64,
}

impl Number {
    /// The message's number in its lane, by which reports name it.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

impl StampedConfirm {
    /// Of a message without a stamp.
    pub(crate) fn plain(confirm: PublisherConfirm) -> Self {
        Self { confirm: Some(confirm), ticket: None }
    }

    pub(crate) fn new(confirm: PublisherConfirm, confirms: Arc<Confirms>, ticket: Ticket) -> Self {
        Self { confirm: Some(confirm), ticket: Some((confirms, ticket)) }
    }
}

impl Future for StampedConfirm {
    type Output = lapin::Result<Confirmation>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(confirm) = &mut this.confirm else {
            return Poll::Ready(Err(lapin::ErrorKind::FutureCompleted.into()));
        };
        let answer = std::task::ready!(Pin::new(confirm).poll(cx));
        this.confirm = None;
        if let Some((confirms, ticket)) = this.ticket.take() {
            confirms.heard(&ticket, &answer);
        }
        Poll::Ready(answer)
    }
}

impl Drop for StampedConfirm {
    fn drop(&mut self) {
        if let (Some(confirm), Some((confirms, ticket))) = (self.confirm.take(), self.ticket.take())
        {
            confirms.dropped(ticket, confirm);
        }
    }
}

impl fmt::Debug for StampedConfirm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StampedConfirm").field("confirm", &self.confirm).finish_non_exhaustive()
    }
}
