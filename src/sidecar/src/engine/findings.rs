use lacuna_core::verdict::{Reason, State};
use lacuna_core::{ChangeRow, Checker};

/// Logs findings, one line each, with its range.
#[derive(Debug, Default)]
pub(super) struct Findings {
    dropped: u64,
}

impl Findings {
    /// Logs what the checker found since the last time.
    pub(super) fn log(&mut self, checker: &mut Checker) {
        checker.drain_changes().iter().for_each(log_row);
        let dropped = checker.changes_dropped();
        if dropped > self.dropped {
            let findings = dropped - self.dropped;
            tracing::warn!(
                target: "lacuna::findings",
                findings,
                "more findings at once than limits.changes: the report has them, this log does not"
            );
            self.dropped = dropped;
        }
    }
}

fn log_row(row: &ChangeRow) {
    let ChangeRow { view, stream, partition, lane, producer, epoch, change } = row;
    let (first, last) = (change.first, change.last);
    macro_rules! finding {
        ($level:ident, $what:literal, $detail:expr) => {
            tracing::$level!(
                target: "lacuna::findings",
                %view, %stream, %partition, %lane, %producer, epoch = format_args!("{epoch:x}"),
                first, last, detail = $detail, $what
            )
        };
    }
    match (change.from, change.to) {
        (_, Some(State::Lost(stage))) => finding!(error, "lost", format_args!("{stage:?}")),
        (Some(State::Lost(_)), None) => finding!(info, "recovered", "seen after it was lost"),
        (Some(State::Lost(_)), Some(to)) => {
            finding!(info, "no longer lost", format_args!("{to:?}"));
        }
        (_, Some(State::Unknown(Reason::Joined))) => {}
        (_, Some(State::Unknown(reason))) => {
            finding!(warn, "cannot be judged", format_args!("{reason:?}"));
        }
        (_, Some(State::Refused)) => finding!(info, "refused", "the application was told"),
        (_, Some(State::ByDesign(cause))) => {
            finding!(info, "absent by design", format_args!("{cause:?}"));
        }
        (_, Some(State::Missing | State::LostInLog) | None) => {}
    }
}
