use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lacuna_core::report::{DuplicateRow, Filter, GapRow, StreamRow};
use lacuna_core::totals::Totals;
use lacuna_core::verdict::State;
use lacuna_core::{Checker, MetricsRow, Reached, Share, Watch};
use lacuna_ring::order;
use tokio::sync::oneshot;

use super::batches::{Batch, Known, TooOld};
use super::dispatch::Dispatch;
use super::meeting::Meeting;
use super::merge;
use super::overview::{self, Look, Overview};
use super::settings::EngineSettings;
use super::source::{Changed, Opened, Source, SourceStatus};
use super::switch::Switch;
use super::worker::{self, Beginning, Worker};
use crate::clock;
use crate::groups::GroupRow;
use crate::members::{Hearing, Lease, Told, TooMany};
use crate::record::{Ledger, Line, Place};
use crate::state::{Health, Keeper, Part, Restored, StoreError};

/// The places that a member's lines speak of, and how they are watched, as far as they say.
pub type Places = Vec<(Place<'static>, Option<Watch>)>;

/// A worker's, when it has done what it was asked.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Stopped>> + Send + 'a>>;

/// Longest wait for the last of the state to be kept.
const LAST_KEEP: Duration = Duration::from_secs(5);

/// Which states of a gap row are asked for; `None` is a recovered one.
pub type Wanted = Arc<dyn Fn(Option<State>) -> bool + Send + Sync>;

/// A worker has ended, by a defect: what it knew is gone, and half an answer would look like a
/// whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker of the engine has ended: restart the process, and report its last log lines")]
pub struct Stopped;

/// The running engine, as those see it who ask. Clones talk to the same workers, which end when
/// the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Engine {
    workers: Arc<[worker::Handle]>,
    sources: Arc<[Box<dyn Source>]>,
    dispatch: Arc<Mutex<Dispatch>>,
    hearing: Arc<Hearing>,
    /// Keeps the state; `None`: it is in memory alone.
    keeper: Option<Keeper>,
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

/// Why lines are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakeError {
    /// A worker or the keeper has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// Nobody knows whether they were taken before.
    #[error(transparent)]
    TooOld(#[from] TooOld),
    /// What is answered as taken must be kept, and nothing is kept now.
    #[error("nothing can be kept now, so nothing is taken: {0}")]
    NotKept(String),
    /// A member goes on with what nobody here has heard the beginning of.
    #[error(
        "this source is not known here: under another name, begin again with batch 1 and `watch` lines"
    )]
    Unheard,
    /// More members report than are kept.
    #[error("more members report than are kept: use rings (members.ring_dir)")]
    TooMany,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was taken.
    Now,
    /// It had been taken before.
    Before,
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
                Worker::spawn(index, dispatch.switch.clone(), taps, checker, kept)
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

    /// The report's rows, by stream and view; `lanes` includes lane rows.
    pub async fn report(&self, filter: Filter, lanes: bool) -> Result<Vec<StreamRow>, Stopped> {
        if let [only] = &*self.workers {
            return ask(only, move |worker| worker.checker.report(&filter, lanes)).await;
        }
        let parts = self.all(move |worker| worker.part(&filter, lanes));
        Ok(merge::streams(parts.await?))
    }

    /// The totals over all streams and views.
    pub async fn totals(&self) -> Result<Totals, Stopped> {
        if let [only] = &*self.workers {
            return ask(only, |worker| worker.checker.totals()).await;
        }
        let parts = self
            .all(|worker| (worker.checker.totals(), worker.checker.producers(&Filter::default())))
            .await?;
        Ok(merge::totals(parts))
    }

    /// Streams of which a ledger spoke and that no view looks at.
    pub async fn unwatched_streams(&self) -> Result<Vec<String>, Stopped> {
        Ok(merge::unwatched(self.all(|worker| worker.checker.watched_streams()).await?))
    }

    /// Of each partition that is named with a group, a stream and a bound: up to `most` ranges of
    /// positions below the bound that no member told of, and that the log has.
    pub async fn unhanded(
        &self,
        places: Vec<(String, String, String, u64)>,
        most: usize,
    ) -> Result<Vec<Vec<(u64, u64)>>, Stopped> {
        let found = self.all(move |worker| {
            let of = |(group, stream, partition, below): &(String, String, String, u64)| {
                worker.checker.unhanded(group, stream, partition, *below, most)
            };
            places.iter().map(of).collect::<Vec<_>>()
        });
        // A partition has one worker; the others know nothing of it.
        let either = |one: Vec<Vec<_>>, other: Vec<_>| {
            one.into_iter().zip(other).map(|(a, b)| if a.is_empty() { b } else { a }).collect()
        };
        Ok(found.await?.into_iter().reduce(either).unwrap_or_default())
    }

    /// Gap rows that `wanted` takes, newest first, at most `limit`, older than `before` (an `age`).
    pub async fn gaps(
        &self,
        filter: Filter,
        wanted: Wanted,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<GapRow>, Stopped> {
        // A gap's age is the time of its opening, so those of all workers are one order already.
        let rows =
            self.all(move |worker| worker.checker.gaps(&filter, &*wanted, before, limit)).await?;
        Ok(merge::newest(rows, |row| row.age, limit))
    }

    /// Repeats, newest first, at most `limit`, older than `before` (an `age`).
    pub async fn duplicates(
        &self,
        filter: Filter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<DuplicateRow>, Stopped> {
        let ages = merge::Ages::of(self.workers.len());
        let rows = self
            .all(move |worker| {
                let before = ages.before(worker.index, before);
                let mut rows = worker.checker.duplicates(&filter, before, limit);
                rows.iter_mut().for_each(|row| row.age = ages.global(worker.index, row.age));
                rows
            })
            .await?;
        Ok(merge::newest(rows, |row| row.age, limit))
    }

    /// One row of counters and gauges for each partition of each view, and of the same moment the
    /// lost rows that these filters take.
    pub async fn metrics(
        &self,
        lost_of: Vec<Filter>,
    ) -> Result<(Vec<MetricsRow>, Vec<GapRow>), Stopped> {
        let parts = self.all(move |worker| {
            let rows = worker.checker.metrics();
            (rows, overview::lost(&mut worker.checker, &lost_of))
        });
        let (rows, lost): (Vec<_>, Vec<_>) = parts.await?.into_iter().unzip();
        Ok((rows.into_iter().flatten().collect(), lost.into_iter().flatten().collect()))
    }

    /// The lost rows that these filters take.
    pub async fn lost(&self, of: Vec<Filter>) -> Result<Vec<GapRow>, Stopped> {
        let rows = self.all(move |worker| overview::lost(&mut worker.checker, &of)).await?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// All that one look needs, each partition's part of one moment.
    pub async fn overview(&self, look: Look) -> Result<Overview, Stopped> {
        let look = Arc::new(look);
        let (limit, repeats) = (look.limit, look.repeats);
        let ages = merge::Ages::of(self.workers.len());
        let parts = self.all(move |worker| overview::Part::of(worker, &look, ages)).await?;
        Ok(Overview::join(parts, limit, repeats))
    }

    /// How often each limit of the checkers was reached, all workers together.
    pub async fn reached(&self) -> Result<Vec<Reached>, Stopped> {
        self.all(|worker| worker.checker.reached()).await
    }

    /// Takes lines, in order, at the time of their arrival.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn observations(&self, lines: Vec<Line<'static>>) -> Result<(), TakeError> {
        self.take(None, None, lines).await.map(drop)
    }

    /// Takes lines, in order, at the time of their arrival, unless they are a batch that was taken
    /// before; `lease`: of a member that says when it will be heard again. When it returns they are
    /// kept, if anything is.
    ///
    /// # Errors
    /// They were not taken; but where something has ended meanwhile, they may have been.
    pub async fn take(
        &self,
        batch: Option<Batch>,
        lease: Option<(Lease, Places)>,
        lines: Vec<Line<'static>>,
    ) -> Result<Taken, TakeError> {
        if let Some(why) = self.keeping().and_then(|health| health.failing) {
            return Err(TakeError::NotKept(why));
        }
        let (taken, number, answers) = self.hand_out(batch, lease, lines)?;
        for answer in answers {
            answer.await?;
        }
        self.keep(number).await?;
        Ok(taken)
    }

    /// Gives the workers their parts, all at one instant; also that instant's number.
    fn hand_out(
        &self,
        batch: Option<Batch>,
        lease: Option<(Lease, Places)>,
        lines: Vec<Line<'static>>,
    ) -> Result<(Taken, u64, Vec<Answer<'_>>), TakeError> {
        let workers = self.workers.len();
        let mut parts: Vec<Vec<Line<'static>>> = (0..workers).map(|_| Vec::new()).collect();
        for line in lines {
            match &line {
                Line::At(place, _) => {
                    parts[Share::owner(&place.stream, &place.partition, workers)].push(line);
                }
                Line::Ledger(ledger) => {
                    let record = ledger.record();
                    parts[Share::owner(record.stream, record.lane, workers)].push(line);
                }
            }
        }
        let mut dispatch = lock(&self.dispatch);
        let number = dispatch.next;
        if let Some(batch) = batch {
            if dispatch.batches.look_up(&batch)? == Known::Taken {
                return Ok((Taken::Before, number, Vec::new()));
            }
            if let Some((lease, places)) = lease {
                if !batch.is_first() && !dispatch.batches.knows(&batch) {
                    return Err(TakeError::Unheard);
                }
                self.hearing.admit(batch.source()).map_err(|TooMany| TakeError::TooMany)?;
                self.hearing.taken(batch.source(), lease, places, order());
            }
            dispatch.note(batch);
        }
        let parts = self.workers.iter().zip(parts).filter(|(_, part)| !part.is_empty());
        let answers = parts.map(|(worker, part)| -> Answer<'_> {
            Box::pin(tell(worker, move |worker| worker.take(&part)))
        });
        Ok((Taken::Now, number, answers.collect()))
    }

    /// Takes what members of groups were handed, in order, at the time of its arrival.
    pub async fn told(&self, told: Told) -> Result<(), Stopped> {
        let workers = self.workers.len();
        let mut parts: Vec<Told> = (0..workers).map(|_| Vec::new()).collect();
        for (place, events) in told {
            parts[Share::owner(&place.stream, &place.partition, workers)].push((place, events));
        }
        let answers: Vec<_> = {
            let _together = lock(&self.dispatch);
            let parts = self.workers.iter().zip(parts).filter(|(_, part)| !part.is_empty());
            parts
                .map(|(worker, part)| tell(worker, move |worker| worker.take_told(&part)))
                .collect()
        };
        for answer in answers {
            answer.await?;
        }
        Ok(())
    }

    /// Takes ledger records, in order, at the time of their arrival.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn ledger(&self, records: Vec<Ledger>) -> Result<(), TakeError> {
        self.observations(records.into_iter().map(Line::Ledger).collect()).await
    }

    /// Keeps something under a name, if anything is kept.
    ///
    /// # Errors
    /// The keeper has ended.
    pub async fn keep_record(&self, name: &str, value: Vec<u8>) -> Result<(), Stopped> {
        let number = {
            let mut dispatch = lock(&self.dispatch);
            dispatch.write(name, Some(value));
            dispatch.next
        };
        self.keep(number).await
    }

    /// Waits until what was handed out before is kept, if anything is.
    async fn keep(&self, number: u64) -> Result<(), Stopped> {
        match &self.keeper {
            Some(keeper) => keeper.keep(number).await.map_err(|_| Stopped),
            None => Ok(()),
        }
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

    async fn all<T, F>(&self, question: F) -> Result<Vec<T>, Stopped>
    where
        T: Send + 'static,
        F: Fn(&mut Worker) -> T + Clone + Send + 'static,
    {
        // All are asked before the first answer is awaited, so they work side by side.
        let asked: Vec<_> =
            self.workers.iter().map(|worker| ask(worker, question.clone())).collect();
        let mut answers = Vec::with_capacity(asked.len());
        for answer in asked {
            answers.push(answer.await?);
        }
        Ok(answers)
    }

    async fn tell_all(
        &self,
        what: impl Fn(&mut Worker) + Clone + Send + 'static,
    ) -> Result<(), Stopped> {
        let told: Vec<_> = self.workers.iter().map(|worker| tell(worker, what.clone())).collect();
        for done in told {
            done.await?;
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

fn lock(dispatch: &Mutex<Dispatch>) -> MutexGuard<'_, Dispatch> {
    dispatch.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A question: nobody answers it once who asked has gone away, as slow clients do.
fn ask<T: Send + 'static>(
    worker: &worker::Handle,
    question: impl FnOnce(&mut Worker) -> T + Send + 'static,
) -> impl Future<Output = Result<T, Stopped>> {
    send(worker, |worker, answer| {
        if !answer.is_closed() {
            let found = question(worker);
            // What follows from it stands before any later question to another worker.
            worker.pass_on();
            drop(answer.send(found));
        }
    })
}

/// What is to be done, whether or not somebody waits for it.
fn tell(
    worker: &worker::Handle,
    what: impl FnOnce(&mut Worker) + Send + 'static,
) -> impl Future<Output = Result<(), Stopped>> {
    send(worker, |worker, done| {
        what(worker);
        worker.pass_on();
        // Who waited may have gone away meanwhile.
        done.send(()).ok();
    })
}

fn send<T: Send + 'static>(
    worker: &worker::Handle,
    task: impl FnOnce(&mut Worker, oneshot::Sender<T>) + Send + 'static,
) -> impl Future<Output = Result<T, Stopped>> {
    let (answer, answered) = oneshot::channel();
    let sent = worker.send(Box::new(move |worker| task(worker, answer)));
    async move {
        sent?;
        answered.await.map_err(|_| Stopped)
    }
}
