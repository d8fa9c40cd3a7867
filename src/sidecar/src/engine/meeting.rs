use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Longest wait for the others: a worker that does not come has ended, by a defect.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where so many threads wait until all of them are there.
#[derive(Debug)]
pub(super) struct Meeting {
    missing: Mutex<usize>,
    all: Condvar,
}

impl Meeting {
    pub(super) fn of(threads: usize) -> Self {
        Self { missing: Mutex::new(threads), all: Condvar::new() }
    }

    /// Waits for the others; false: they do not come.
    pub(super) fn attend(&self) -> bool {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        *missing = missing.saturating_sub(1);
        if *missing == 0 {
            self.all.notify_all();
            return true;
        }
        let waited = self.all.wait_timeout_while(missing, PATIENCE, |missing| *missing > 0);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}
