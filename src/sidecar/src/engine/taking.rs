//! What the workers are told from outside: lines that were posted, and what members of groups say in
//! their rings. Each worker is given its part, all at one instant.

use std::pin::Pin;

use lacuna_core::{Share, Watch};
use lacuna_ring::order;

use super::asking::tell;
use super::batches::{Batch, Known, TooOld};
use super::handle::{Engine, Stopped, lock};
use crate::members::{self, Lease, Told, TooMany};
use crate::record::{Ledger, Line, Place};

/// The places that a member's lines speak of, and how they are watched, as far as they say.
pub type Places = Vec<(Place<'static>, Option<Watch>)>;

/// A worker's, when it has done what it was asked.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Stopped>> + Send + 'a>>;

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

    /// Takes what members of groups were handed, in order, at the time of its arrival; `records` are
    /// kept with it. Gives the number of its instant.
    pub async fn told(
        &self,
        told: Told,
        records: impl IntoIterator<Item = members::Record>,
    ) -> Result<u64, Stopped> {
        let workers = self.workers.len();
        let mut parts: Vec<Told> = (0..workers).map(|_| Vec::new()).collect();
        for (place, events) in told {
            parts[Share::owner(&place.stream, &place.partition, workers)].push((place, events));
        }
        let (number, answers): (_, Vec<_>) = {
            let mut dispatch = lock(&self.dispatch);
            for (name, value) in records {
                dispatch.write(&name, value);
            }
            let parts = self.workers.iter().zip(parts).filter(|(_, part)| !part.is_empty());
            let answers =
                parts.map(|(worker, part)| tell(worker, move |worker| worker.take_told(&part)));
            (dispatch.next, answers.collect())
        };
        for answer in answers {
            answer.await?;
        }
        Ok(number)
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

    /// Whether an instant of this number is kept, if anything is.
    #[must_use]
    pub fn is_kept(&self, number: u64) -> bool {
        self.keeper.as_ref().is_none_or(|keeper| keeper.is_kept(number))
    }

    /// Has an instant kept soon.
    pub fn hurry(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.hurry();
        }
    }

    /// Waits until what was handed out before is kept, if anything is.
    pub(super) async fn keep(&self, number: u64) -> Result<(), Stopped> {
        match &self.keeper {
            Some(keeper) => keeper.keep(number).await.map_err(|_| Stopped),
            None => Ok(()),
        }
    }
}
