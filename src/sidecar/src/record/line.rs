//! A line, parsed. What comes often borrows from its text where it can; [`Line::into_owned`] lets go
//! of it.

use std::borrow::Cow;

use lacuna_core::ledger::{LedgerRecord, Range};
use lacuna_core::verdict::Cause;
use lacuna_core::{Checker, Observation, PartitionId, Watch};

/// One line of the record.
#[derive(Clone, Debug)]
pub enum Line<'a> {
    /// Something happened in one partition of one view.
    At(Place<'a>, Event<'a>),
    /// A producer says something of its lane.
    Ledger(Ledger),
}

impl Line<'_> {
    /// The same, without the text that it was read from.
    #[must_use]
    pub fn into_owned(self) -> Line<'static> {
        match self {
            Self::At(place, event) => Line::At(place.into_owned(), event.into_owned()),
            Self::Ledger(ledger) => Line::Ledger(ledger),
        }
    }
}

/// Where it happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place<'a> {
    /// `log`, or a consumer group's name.
    pub view: Cow<'a, str>,
    /// The stream.
    pub stream: Cow<'a, str>,
    /// The partition's label.
    pub partition: Cow<'a, str>,
}

impl Place<'_> {
    /// The same, without the text that it was read from.
    #[must_use]
    pub fn into_owned(self) -> Place<'static> {
        Place {
            view: Cow::Owned(self.view.into_owned()),
            stream: Cow::Owned(self.stream.into_owned()),
            partition: Cow::Owned(self.partition.into_owned()),
        }
    }
}

/// What happened there.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A message was observed.
    Message(Message<'a>),
    /// The view begins, or begins again, to watch.
    Watch(Watch),
    /// The view has read all that the broker held.
    End {
        /// The log's end.
        position: Option<u64>,
        /// When the broker was asked, ms since the Unix epoch.
        at: u64,
    },
    /// The log was cut back.
    Cut {
        /// What stood here or above is gone.
        position: u64,
        /// When this was found, ms since the Unix epoch.
        at: u64,
    },
    /// These positions hold nothing, and the source knows why.
    Absent {
        /// First position, inclusive.
        first: u64,
        /// Last position, inclusive.
        last: u64,
        /// Why.
        cause: Cause,
        /// When this was found, ms since the Unix epoch.
        at: u64,
    },
}

impl Event<'_> {
    /// Hands it to the checker. `arrival`, where it is given, takes the place of the record's own
    /// time: what comes live is judged by the clock of who receives it.
    pub fn apply(&self, checker: &mut Checker, id: PartitionId, arrival: Option<u64>) {
        match *self {
            Self::Message(Message { position, at, time, ref stamp, redelivered }) => {
                checker.observe(
                    id,
                    &Observation {
                        position,
                        at: arrival.unwrap_or(at),
                        time,
                        stamp: stamp.as_deref().map(str::as_bytes),
                        redelivered,
                    },
                );
            }
            Self::Watch(watch) => {
                checker.watch(id, &Watch { at: arrival.unwrap_or(watch.at), ..watch });
            }
            Self::End { position, at } => checker.end(id, position, arrival.unwrap_or(at)),
            Self::Cut { position, at } => checker.cut(id, position, arrival.unwrap_or(at)),
            Self::Absent { first, last, cause, at } => {
                checker.absent(id, first, last, cause, arrival.unwrap_or(at));
            }
        }
    }

    fn into_owned(self) -> Event<'static> {
        match self {
            Self::Message(Message { position, at, time, stamp, redelivered }) => {
                let stamp = stamp.map(|stamp| Cow::Owned(stamp.into_owned()));
                Event::Message(Message { position, at, time, stamp, redelivered })
            }
            Self::Watch(watch) => Event::Watch(watch),
            Self::End { position, at } => Event::End { position, at },
            Self::Cut { position, at } => Event::Cut { position, at },
            Self::Absent { first, last, cause, at } => Event::Absent { first, last, cause, at },
        }
    }
}

/// A message, observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The broker's own offset, where it has one.
    pub position: Option<u64>,
    /// When it was observed, ms since the Unix epoch.
    pub at: u64,
    /// The message's own time, ms since the Unix epoch; shown, never judged by.
    pub time: Option<u64>,
    /// The stamp's value; `None`: it has none.
    pub stamp: Option<Cow<'a, str>>,
    /// The broker's own flag, where it has one.
    pub redelivered: Option<bool>,
}

/// A ledger record of good form: what contracts §2 asks holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    pub(super) producer: String,
    pub(super) stream: String,
    pub(super) lane: String,
    pub(super) epoch: u64,
    pub(super) rev: u64,
    pub(super) from: u64,
    pub(super) next: u64,
    pub(super) pending: Vec<Range>,
    pub(super) unanswered: Vec<Range>,
    pub(super) refused: Vec<Range>,
    pub(super) aborted: Vec<Range>,
    pub(super) closed: bool,
    pub(super) at: Option<u64>,
}

impl Ledger {
    /// The stream that it speaks of.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The lane that it speaks of.
    #[must_use]
    pub fn lane(&self) -> &str {
        &self.lane
    }

    /// As the core takes it.
    #[must_use]
    pub fn record(&self) -> LedgerRecord<'_> {
        LedgerRecord {
            rev: self.rev,
            producer: &self.producer,
            epoch: self.epoch,
            stream: &self.stream,
            lane: &self.lane,
            from: self.from,
            next: self.next,
            pending: self.pending.clone(),
            unanswered: self.unanswered.clone(),
            refused: self.refused.clone(),
            aborted: self.aborted.clone(),
            closed: self.closed,
            at: self.at,
        }
    }
}
