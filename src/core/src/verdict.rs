//! The closed types of what the checker concludes (contracts §4). There is no bool and no default
//! that means "fine": what cannot be known is [`State::Unknown`] with its reason.

/// Why something that was injected is absent by design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Rolled back with its transaction: the ledger or the broker says so.
    Aborted,
    /// Removed by log compaction.
    Compacted,
    /// Outlived its time to live.
    Expired,
    /// Deleted by retention before this reader came.
    Retention,
}

/// Where a lost message was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Never answered by the broker: lost on the way to it.
    Produce,
    /// Acknowledged by the broker, and not in its log.
    Store,
    /// In the log, and not handed to this group.
    Consume,
    /// Nothing proves where.
    Undetermined,
}

/// Why a number cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// From before the checker joined.
    Joined,
    /// From while it was not looking.
    Paused,
    /// Dropped to keep memory bounded.
    Evicted,
    /// In the log, not handed to a group that reads committed messages only, and not known to be
    /// committed.
    Transaction,
}

/// The one state of a number that a view has not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// A higher number was observed or the ledger says that it was taken; not judged yet.
    Missing,
    /// Judged: lost, here.
    Lost(Stage),
    /// The ledger says that it never became part of the stream, and the application was told.
    Refused,
    /// Absent for a reason that has a name.
    ByDesign(Cause),
    /// Cannot be judged.
    Unknown(Reason),
    /// Lost in the log: in a group's view that has no state, so that a loss counts once.
    LostInLog,
}

/// What kind of repeat it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Repeat {
    /// The same number stored again at a new position.
    Resent,
    /// The same stored message handed over again.
    Redelivered,
    /// Neither position nor flag to tell.
    Undetermined,
}

/// What one observation turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No stamp.
    Unstamped,
    /// A stamp of a version that is not supported.
    Unsupported,
    /// Not a stamp.
    Malformed,
    /// Another stream's or another partition's stamp.
    Foreign,
    /// A number above all seen before; a gap may have opened below it.
    New,
    /// A missing number that came before its gap was judged.
    Reordered,
    /// A number that had been judged lost.
    Recovered,
    /// A number that was absent for another reason (unknown, refused, by design) and is seen now.
    Seen,
    /// A number that was seen before.
    Repeated(Repeat),
    /// The checker's own second reading of one stored message, or a retired lane's late message:
    /// neither loss nor repeat.
    Reread,
    /// At the limit of lanes or names: counted, not judged.
    Unjudged,
    /// A number over the whole stream, which another checker judges: see [`crate::Share`].
    Elsewhere,
}

/// A range of numbers that moved from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// First number, inclusive.
    pub first: u64,
    /// Last number, inclusive.
    pub last: u64,
    /// Its state before; `None`: it had none, or was seen.
    pub from: Option<State>,
    /// Its state now; `None`: it is seen, or has no state any more.
    pub to: Option<State>,
    /// When, in the view's time (ms since the Unix epoch).
    pub at: u64,
}
