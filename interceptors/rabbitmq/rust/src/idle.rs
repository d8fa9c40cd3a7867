//! Whether a consumer has handed over all that it was sent.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use lacuna_interceptor::lock;

use crate::observer::Observer;

/// Tells that a consumer waits for a delivery, from when it has found none until one comes: with
/// automatic acknowledgement, only then is nothing in its hands that the broker has forgotten.
#[derive(Debug)]
pub(crate) struct Idle {
    application: AtomicWaker,
    observer: Arc<Observer>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Something may be there.
    Busy,
    /// It is being asked, and nothing has come since.
    Asking,
    /// Nothing is there.
    Waiting,
}

impl Idle {
    pub(crate) fn new(observer: Arc<Observer>) -> Arc<Self> {
        observer.busy(true);
        let (application, state) = (AtomicWaker::new(), Mutex::new(State::Busy));
        Arc::new(Self { application, observer, state })
    }

    /// Asks through `poll` for what is there.
    pub(crate) fn ask<T>(
        self: &Arc<Self>,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.application.register(cx.waker());
        self.come();
        *lock(&self.state) = State::Asking;
        let found = poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))));
        let mut state = lock(&self.state);
        if found.is_pending() && *state == State::Asking {
            *state = State::Waiting;
            self.observer.busy(false);
        }
        found
    }

    fn come(&self) {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut *state, State::Busy) == State::Waiting {
            self.observer.busy(true);
        }
    }

    /// The consumer is gone, and with it what it was sent.
    pub(crate) fn end(&self) {
        self.come();
        self.observer.busy(false);
    }
}

impl Wake for Idle {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.come();
        self.application.wake();
    }
}
