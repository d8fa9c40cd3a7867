//! Cores that are broken on purpose, one rule of contracts §4 each: a simulator that does not
//! catch every one of them proves nothing. Without the feature `mutants` none of this is built
//! in.

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Judging: a gap is lost as soon as it opens.
    NoGrace,
    /// Judging: what was found missing too late is not counted as recovered.
    RecoveredUncounted,
    /// Judging: what the ledger calls pending is judged like all else.
    PendingJudged,
    /// Judging: the grace of an answered number runs from when it went missing.
    AnswerUnawaited,
    /// Judging: a group is judged by its own time.
    SlowGroupLate,
    /// Judging: an unordered view is judged by any record.
    UnorderedJudged,
    /// Lag: what the log had stored after a group's end is lost for it.
    LagLost,
    /// A lane's start: all lanes begin at 0.
    JoinedFromZero,
    /// A lane's start: an epoch is never read as a time.
    EpochUnread,
    /// A lane's start: an epoch that lies in the future is read as a time.
    FutureEpochRead,
    /// A lane's start: the first grace after a join or a pause is judged.
    FirstGraceJudged,
    /// Repeats: the broker's flag is not looked at.
    FlagUnread,
    /// Repeats: the log's second reading counts as one.
    RereadCounted,
    /// Cuts: what was taken away stays seen.
    CutUnread,
    /// Cuts: numbers that also stand below the cut are missing.
    CopiesForgotten,
    /// Cuts: another record at a position read before is not noticed.
    CutUnnoticed,
    /// Lane `*`: one partition that is past a number is enough.
    SpanOnePast,
    /// Lane `*`: a paused partition leaves its gaps open.
    SpanUnpaused,
    /// The end of a lane: numbers that the ledger says were taken are not missing.
    EndUnread,
    /// The end of a lane: it is judged without an end.
    TailUnread,
    /// Precedence: unknown wins over refused.
    UnknownWins,
    /// Precedence: what the log lacks by design a group has lost.
    DesignForgotten,
    /// Stages: lost by the broker and lost on the way to it are mixed up.
    StagesSwapped,
    /// Stages: without a word of the ledger it is the broker's loss.
    SilenceIsStore,
    /// Stages: a loss in the log is the group's loss too.
    LostTwice,
    /// Stages: what may have been rolled back is lost.
    TransactionLost,
    /// Identity: two clients of one name and epoch are not noticed.
    ClashUnnoticed,
    /// Watch: a pause breaks nothing.
    PauseUnread,
    /// Watch: grace does not begin anew after a stall.
    StallCounted,
    /// Watch: going on right behind is a pause.
    EveryWatchPauses,
    /// Absent: one named position explains any gap.
    AbsentUncounted,
    /// Absent: positions that were never read explain it too.
    AbsentUncovered,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 32] = [
        Self::NoGrace,
        Self::RecoveredUncounted,
        Self::PendingJudged,
        Self::AnswerUnawaited,
        Self::SlowGroupLate,
        Self::UnorderedJudged,
        Self::LagLost,
        Self::JoinedFromZero,
        Self::EpochUnread,
        Self::FutureEpochRead,
        Self::FirstGraceJudged,
        Self::FlagUnread,
        Self::RereadCounted,
        Self::CutUnread,
        Self::CopiesForgotten,
        Self::CutUnnoticed,
        Self::SpanOnePast,
        Self::SpanUnpaused,
        Self::EndUnread,
        Self::TailUnread,
        Self::UnknownWins,
        Self::DesignForgotten,
        Self::StagesSwapped,
        Self::SilenceIsStore,
        Self::LostTwice,
        Self::TransactionLost,
        Self::ClashUnnoticed,
        Self::PauseUnread,
        Self::StallCounted,
        Self::EveryWatchPauses,
        Self::AbsentUncounted,
        Self::AbsentUncovered,
    ];
}

#[cfg(feature = "mutants")]
std::thread_local! {
    static CURRENT: core::cell::Cell<Option<Mutant>> = const { core::cell::Cell::new(None) };
}

/// Breaks a rule for checkers of this thread; `None` breaks none.
#[cfg(feature = "mutants")]
pub fn set(mutant: Option<Mutant>) {
    CURRENT.set(mutant);
}

/// Whether this rule is broken.
#[cfg(feature = "mutants")]
pub(crate) fn broken(mutant: Mutant) -> bool {
    CURRENT.get() == Some(mutant)
}

/// Whether this rule is broken: never.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn broken(_: Mutant) -> bool {
    false
}
