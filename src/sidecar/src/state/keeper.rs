//! The thread that has the state: it asks the workers for what changed, and writes it as one.
//!
//! An instant is one for all workers: what several of them are handed together is
//! before it for all, or after it for all. So what was posted, told by members and read by taps is
//! in the file together with what it did.

use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::store::{Store, Writes};
use crate::clock;

/// Shortest pause between two instants: those who wait for one share it.
const LEAST: Duration = Duration::from_millis(10);
/// Pause after the disk refused.
const RETRY: Duration = Duration::from_secs(1);

/// What a worker writes of an instant.
#[derive(Debug)]
pub struct Part(pub Writes);

/// How the keeping goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why nothing is kept now.
    pub failing: Option<String>,
    /// Times that the disk refused.
    pub failures: u64,
    /// Instants that are kept.
    pub instants: u64,
    /// Records that were written, and their bytes.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// When the last instant was kept, ms since the Unix epoch.
    pub kept_at: u64,
}

/// What the thread is told.
enum Kick {
    /// Somebody waits for an instant.
    Soon,
    /// Nothing more is to be kept.
    Close(oneshot::Sender<()>),
}

/// The way to the keeper.
#[derive(Clone, Debug)]
pub struct Keeper {
    kicks: Sender<Kick>,
    kept: watch::Receiver<u64>,
    health: Arc<Mutex<Health>>,
    dir: Arc<Path>,
}

/// The keeper has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended;

impl Keeper {
    /// Starts the thread. `begin` is called with the workers held at one instant; it gives that
    /// instant's number, what the engine itself writes, and how many workers send a part.
    pub fn spawn(
        store: Store,
        interval: Duration,
        begin: impl Fn(&Sender<Part>) -> Option<(u64, Writes, usize)> + Send + 'static,
    ) -> io::Result<Self> {
        let (kicks, kicked) = mpsc::channel();
        let (keep, kept) = watch::channel(0);
        let health = Arc::new(Mutex::new(Health::default()));
        let dir = store.dir().into();
        let thread = Thread {
            store,
            interval,
            kicked,
            keep,
            health: health.clone(),
            pending: Writes::default(),
        };
        let run = move || thread.run(&begin);
        thread::Builder::new().name("lacuna-state".to_owned()).spawn(run)?;
        Ok(Self { kicks, kept, health, dir })
    }

    /// Waits until an instant of this number is kept.
    pub async fn keep(&self, number: u64) -> Result<(), Ended> {
        let mut kept = self.kept.clone();
        self.hurry();
        kept.wait_for(|kept| *kept >= number).await.map(drop).map_err(|_| Ended)
    }

    /// Whether an instant of this number is kept.
    #[must_use]
    pub fn is_kept(&self, number: u64) -> bool {
        *self.kept.borrow() >= number
    }

    /// Has an instant kept soon.
    pub fn hurry(&self) {
        // One that is under way is followed by another one.
        drop(self.kicks.send(Kick::Soon));
    }

    /// Keeps what there is, and closes the file; nothing is kept from then on.
    pub async fn close(&self) {
        let (closed, is_closed) = oneshot::channel();
        drop(self.kicks.send(Kick::Close(closed)));
        drop(is_closed.await);
    }

    /// Where it keeps.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// How it goes.
    #[must_use]
    pub fn health(&self) -> Health {
        lock(&self.health).clone()
    }
}

struct Thread {
    store: Store,
    interval: Duration,
    kicked: Receiver<Kick>,
    keep: watch::Sender<u64>,
    health: Arc<Mutex<Health>>,
    /// What was not written yet.
    pending: Writes,
}

impl Thread {
    fn run(mut self, begin: &impl Fn(&Sender<Part>) -> Option<(u64, Writes, usize)>) {
        let mut wait = self.interval;
        loop {
            let kick = self.kicked.recv_timeout(wait);
            let ended = matches!(kick, Ok(Kick::Close(_)) | Err(RecvTimeoutError::Disconnected));
            let started = clock::now_ms();
            let (parts, given) = mpsc::channel();
            let Some((number, own, workers)) = begin(&parts) else { return };
            drop(parts);
            self.pending.add(own);
            for _ in 0..workers {
                // That a worker has ended is told elsewhere.
                let Ok(Part(writes)) = given.recv() else { return };
                self.pending.add(writes);
            }
            let kept = self.write();
            if kept {
                self.keep.send_replace(number);
            }
            if ended {
                drop(self.store);
                if let Ok(Kick::Close(closed)) = kick {
                    // Who waited may have gone.
                    closed.send(()).ok();
                }
                return;
            }
            let pause = if kept { LEAST } else { RETRY };
            let spent = || Duration::from_millis(clock::now_ms().saturating_sub(started));
            thread::sleep(pause.saturating_sub(spent()));
            wait = self.interval.saturating_sub(spent());
        }
    }

    /// Writes what there is; whether it is kept now.
    fn write(&mut self) -> bool {
        let Self { store, pending, health, .. } = self;
        if pending.records.is_empty() && pending.findings.is_empty() {
            return lock(health).failing.is_none();
        }
        let now = clock::now_ms();
        let written = store.commit(pending, now);
        let mut health = lock(health);
        if let Err(error) = written {
            if health.failing.is_none() {
                tracing::error!(%error, "the state cannot be kept: checking goes on in memory");
            }
            health.failing = Some(error.to_string());
            health.failures += 1;
            return false;
        }
        if health.failing.take().is_some() {
            tracing::info!("the state is kept again");
        }
        health.instants += 1;
        health.records += pending.records.len() as u64;
        let len = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| {
            key.len() + value.as_ref().map_or(0, Vec::len)
        };
        health.bytes += pending.records.iter().map(len).sum::<usize>() as u64;
        health.kept_at = now;
        *pending = Writes::default();
        true
    }
}

fn lock(health: &Mutex<Health>) -> MutexGuard<'_, Health> {
    health.lock().unwrap_or_else(PoisonError::into_inner)
}
