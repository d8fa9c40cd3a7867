//! Exit codes (contracts §7).

use std::process::ExitCode;

use lacuna_core::totals::Totals;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did its work, and this is what a report's totals make of it.
    Judged(u8),
    /// It could not do its work: broker, file, disk.
    Failed,
    /// Wrong usage or configuration.
    Usage,
}

impl Exit {
    /// The exit that a report's totals earn.
    #[must_use]
    pub fn of(totals: &Totals) -> Self {
        Self::Judged(totals.exit_code())
    }

    /// It did its work, which was not to judge.
    pub const DONE: Self = Self::Judged(0);
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Judged(code) => code,
            Exit::Failed => 2,
            Exit::Usage => 64,
        })
    }
}
