//! Starting the workers, and those of an earlier run; switching, draining, looking at the sources.

use std::io;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lacuna_core::Checker;

use super::asking::tell;
use super::dispatch::Dispatch;
use super::meeting::Meeting;
use super::settings::EngineSettings;
use super::source::{Changed, Opened, Source, SourceStatus};
use super::switch::Switch;
use super::worker::{self, Beginning, Worker};
use crate::clock;
use crate::groups::GroupRow;
use crate::members::Hearing;
use crate::state::{Health, Keeper, Part, Restored, StoreError};

/// Longest wait for the last of the state to be kept.
const LAST_KEEP: Duration = Duration::from_secs(5);

/// A worker has ended, by a defect: what it knew is gone, and half an answer would look like a
/// whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker of the engine has ended: restart the process, and report its last log lines")]
pub struct Stopped;

/// The running engine, as those see it who ask. Clones talk to the same workers, which end when
/// the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(super) workers: Arc<[worker::Handle]>,
    sources: Arc<[Box<dyn Source>]>,
    pub(super) dispatch: Arc<Mutex<Dispatch>>,
    pub(super) hearing: Arc<Hearing>,
    /// Keeps the state; `None`: it is in memory alone.
    pub(super) keeper: Option<Keeper>,
}

/// Why an engine cannot go on from a state.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The state is of no use.
    #[error(transparent)]
    State(#[from] StoreError),
    /// The system refuses threads.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl Engine {
    /// Starts the workers; each reads its taps from now on. What they know is in memory alone.
    pub fn start(settings: &EngineSettings, opened: Vec<Opened>) -> io::Result<Self> {
        let dispatch = Dispatch::new(settings.switch.clone());
        let checkers = (0..settings.workers.max(1)).map(|index| checker(settings, index)).collect();
        Self::run(settings, opened, checkers, dispatch, false)
    }

    /// Starts the workers where those of an earlier run were when they were last kept, and keeps them
    /// from now on, at least as often as this.
    ///
    /// # Errors
    /// The state is not what was written, or the system refuses threads.
    pub fn resume(
        settings: &EngineSettings,
        opened: Vec<Opened>,
        restored: Restored,
        interval: Duration,
    ) -> Result<Self, ResumeError> {
        let workers = settings.workers.max(1);
        let mut checkers = Vec::with_capacity(workers);
        for index in 0..workers {
            let mut checker = checker(settings, index);
            restored.load(index, &mut checker)?;
            clock::not_before(checker.now().unwrap_or(0));
            checkers.push(checker);
        }
        let now = clock::now_ms();
        checkers.iter_mut().for_each(|checker| checker.resume(now));
        let mut dispatch = Dispatch::new(settings.switch.clone());
        dispatch.restore(&restored, workers, &settings.hearing);
        let mut engine = Self::run(settings, opened, checkers, dispatch, true)?;
        let (workers, dispatch) = (engine.workers.clone(), engine.dispatch.clone());
        let hearing = engine.hearing.clone();
        let begin = move |to: &Sender<Part>| {
            let mut dispatch = lock(&dispatch);
            let (number, writes) = dispatch.fix(&hearing);
            let several = workers.len() > 1;
            let meetings = several.then(|| {
                (Meeting::of(workers.len()).into(), Arc::new(Meeting::of(workers.len() + 1)))
            });
            for worker in &*workers {
                let beginning = Beginning { to: to.clone(), passed: meetings.clone() };
                worker.send(Box::new(|worker| worker.begin_saving(beginning))).ok()?;
            }
            // Nothing is handed out until all have begun.
            meetings.is_none_or(|(_, begun)| begun.attend()).then_some((
                number,
                writes,
                workers.len(),
            ))
        };
        engine.keeper = Some(Keeper::spawn(restored.into_store(), interval, begin)?);
        Ok(engine)
    }

    fn run(
        settings: &EngineSettings,
        opened: Vec<Opened>,
        checkers: Vec<Checker>,
        dispatch: Dispatch,
        kept: bool,
    ) -> io::Result<Self> {
        let workers = checkers.len();
        let mut sources = Vec::with_capacity(opened.len());
        let mut taps: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        for Opened { source, taps: own } in opened {
            debug_assert_eq!(own.len(), workers, "a source has one tap for each worker");
            let name = source.status().name;
            sources.push(source);
            for (worker, tap) in taps.iter_mut().zip(own) {
                worker.push((name.clone(), tap));
            }
        }
        let workers = taps
            .into_iter()
            .zip(checkers)
            .enumerate()
            .map(|(index, (taps, checker))| {
                let switches = [dispatch.before.clone(), dispatch.switch.clone()];
                Worker::spawn(index, switches, taps, checker, kept)
            })
            .collect::<io::Result<Arc<[worker::Handle]>>>()?;
        for worker in workers.iter().filter(|_| workers.len() > 1) {
            let all = Arc::downgrade(&workers);
            worker.send(Box::new(move |worker| worker.meet(all))).map_err(io::Error::other)?;
        }
        Ok(Self {
            workers,
            sources: sources.into(),
            dispatch: Arc::new(Mutex::new(dispatch)),
            keeper: None,
            hearing: Arc::clone(&settings.hearing),
        })
    }

    /// How the keeping of the state goes; `None`: none is kept.
    #[must_use]
    pub fn keeping(&self) -> Option<Health> {
        self.keeper.as_ref().map(Keeper::health)
    }

    /// Where the history of findings is; `None`: there is none.
    #[must_use]
    pub fn history(&self) -> Option<&Path> {
        self.keeper.as_ref().map(Keeper::dir)
    }

    /// Whether members of groups have been heard.
    #[must_use]
    pub fn hearing(&self) -> &Hearing {
        &self.hearing
    }

    /// Whether this stream is checked; without one: whether checking is on at all.
    #[must_use]
    pub fn checking(&self, stream: Option<&str>) -> bool {
        lock(&self.dispatch).switch.is_on(stream)
    }

    /// The switch as it is.
    #[must_use]
    pub fn switch(&self) -> Switch {
        lock(&self.dispatch).switch.clone()
    }

    /// Turns checking of one stream, or of all, off or on. While it is off nothing is judged; what
    /// was open then, and what passes, is unknown (paused).
    pub async fn set_checking(&self, stream: Option<String>, on: bool) -> Result<(), Stopped> {
        let (number, answers) = {
            let mut dispatch = lock(&self.dispatch);
            dispatch.set(stream, on);
            let switch = dispatch.switch.clone();
            let turn = move |worker: &mut Worker| worker.switch(switch.clone());
            let answers: Vec<_> = self.workers.iter().map(|own| tell(own, turn.clone())).collect();
            (dispatch.next, answers)
        };
        for answer in answers {
            answer.await?;
        }
        self.keep(number).await
    }

    /// Judges by this from now on: gaps that are open have the new grace from their opening, what was
    /// judged stays so.
    pub async fn take_up(&self, changed: Changed) -> Result<(), Stopped> {
        for source in self.sources.iter() {
            source.take_up(&changed);
        }
        self.all(move |worker| {
            worker.checker.configure_default(changed.default_stream.clone());
            for (stream, settings) in &changed.streams {
                worker.checker.configure(stream, settings.clone());
            }
        })
        .await?;
        Ok(())
    }

    /// How the sources are.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceStatus> {
        self.sources.iter().map(|source| source.status()).collect()
    }

    /// The consumer groups that the sources watch.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupRow> {
        self.sources.iter().flat_map(|source| source.groups()).collect()
    }

    /// Whether every source has begun to watch what it found first; stays true.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.sources.iter().all(|source| source.status().ready)
    }

    /// Stops reading, after the piece in hand, and keeps what was read. Questions are still answered.
    pub async fn drain(&self) -> Result<(), Stopped> {
        self.tell_all(Worker::drain).await?;
        if let Some(keeper) = &self.keeper {
            // A disk that hangs does not hold up the end.
            drop(tokio::time::timeout(LAST_KEEP, keeper.close()).await);
        }
        Ok(())
    }
}

fn checker(settings: &EngineSettings, index: usize) -> Checker {
    let mut checker = Checker::new(settings.share(index));
    for (stream, own) in &settings.streams {
        checker.configure(stream, own.clone());
    }
    checker
}

/// What is handed out under one lock reaches all workers in one order.
pub(super) fn lock(dispatch: &Mutex<Dispatch>) -> MutexGuard<'_, Dispatch> {
    dispatch.lock().unwrap_or_else(PoisonError::into_inner)
}
