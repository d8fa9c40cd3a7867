//! What the workers are asked: a question travels to each as a closure, and plain rows come back.

use std::sync::Arc;

use lacuna_core::report::{DuplicateRow, Filter, GapRow, StreamRow};
use lacuna_core::totals::Totals;
use lacuna_core::verdict::State;
use lacuna_core::{MetricsRow, Reached};
use tokio::sync::oneshot;

use super::handle::{Engine, Stopped};
use super::merge;
use super::overview::{self, Look, Overview};
use super::worker::{self, Worker};

/// Which states of a gap row are asked for; `None` is a recovered one.
pub type Wanted = Arc<dyn Fn(Option<State>) -> bool + Send + Sync>;

impl Engine {
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

    pub(super) async fn all<T, F>(&self, question: F) -> Result<Vec<T>, Stopped>
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

    pub(super) async fn tell_all(
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

/// A question: nobody answers it once who asked has gone away, as slow clients do.
pub(super) fn ask<T: Send + 'static>(
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
pub(super) fn tell(
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
