use lacuna_core::verdict::{Reason, State};
use lacuna_core::{ChangeRow, Checker};

use crate::report::{cause_word, gap_state, reason_word, stage_word};
use crate::state::Finding;

/// Logs findings, one line each, with its range.
#[derive(Debug, Default)]
pub(super) struct Findings {
    dropped: u64,
    /// Those that are not in the history yet; `None`: there is none.
    history: Option<Vec<Finding>>,
}

impl Findings {
    /// Logs them, and gathers them for the history, if there is one.
    pub(super) fn new(history: bool) -> Self {
        Self { dropped: 0, history: history.then(Vec::new) }
    }

    /// What was gathered since the last time.
    pub(super) fn take(&mut self) -> Vec<Finding> {
        self.history.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Logs what the checker found since the last time.
    pub(super) fn log(&mut self, checker: &mut Checker) {
        for row in checker.drain_changes() {
            log_row(&row);
            if let Some(history) = &mut self.history {
                history.extend(finding(&row));
            }
        }
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

/// As a row of the history; `None`: it is no finding.
fn finding(row: &ChangeRow) -> Option<Finding> {
    let change = &row.change;
    if let (_, Some(State::Missing | State::LostInLog | State::Unknown(Reason::Joined)))
    | (None | Some(State::Missing | State::LostInLog), None) = (change.from, change.to)
        && !matches!(change.from, Some(State::Lost(_)))
    {
        return None;
    }
    // What was lost and is seen now is recovered; what was seen needs no word.
    let was = |state: State| gap_state(Some(state)).to_owned();
    let lost = matches!(change.from, Some(State::Lost(_)));
    let state = match change.to {
        None if !lost => return None,
        to => gap_state(to).to_owned(),
    };
    let reason = match change.to {
        Some(State::Lost(stage)) => Some(stage_word(stage)),
        Some(State::Unknown(reason)) => Some(reason_word(reason)),
        Some(State::ByDesign(cause)) => Some(cause_word(cause)),
        Some(State::Missing | State::Refused | State::LostInLog) | None => None,
    };
    Some(Finding {
        id: 0,
        at: change.at,
        view: row.view.clone(),
        stream: row.stream.clone(),
        partition: row.partition.clone(),
        lane: row.lane.clone(),
        producer: row.producer.clone(),
        epoch: format!("{:x}", row.epoch),
        first: change.first,
        last: change.last,
        was: change.from.map(was),
        state,
        reason: reason.map(str::to_owned),
    })
}

fn log_row(row: &ChangeRow) {
    let ChangeRow { view, stream, partition, lane, producer, epoch, change } = row;
    let (first, last) = (change.first, change.last);
    macro_rules! finding {
        ($level:ident, $what:literal $(, $field:ident = $word:expr)?) => {
            tracing::$level!(
                target: "lacuna::findings",
                %view, %stream, %partition, %lane, %producer, epoch = format_args!("{epoch:x}"),
                first, last, $($field = %$word,)? $what
            )
        };
    }
    match (change.from, change.to) {
        (_, Some(State::Lost(stage))) => finding!(error, "lost", stage = stage_word(stage)),
        (Some(State::Lost(_)), None) => finding!(info, "recovered"),
        (Some(State::Lost(_)), Some(to)) => {
            finding!(info, "no longer lost", state = gap_state(Some(to)));
        }
        (_, Some(State::Unknown(Reason::Joined))) => {}
        (_, Some(State::Unknown(reason))) => {
            finding!(warn, "cannot be judged", reason = reason_word(reason));
        }
        (_, Some(State::Refused)) => finding!(info, "refused"),
        (_, Some(State::ByDesign(cause))) => {
            finding!(info, "absent by design", cause = cause_word(cause));
        }
        (_, Some(State::Missing | State::LostInLog) | None) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use lacuna_core::verdict::{Cause, Change, Stage};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(from: Option<State>, to: Option<State>) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        let row = ChangeRow {
            view: "log".to_owned(),
            stream: "orders".to_owned(),
            partition: "3".to_owned(),
            lane: "3".to_owned(),
            producer: "web".to_owned(),
            epoch: 0x1f,
            change: Change { first: 40, last: 46, from, to, at: 0 },
        };
        tracing::subscriber::with_default(subscriber, || log_row(&row));
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_names_the_range_and_the_contract_s_word() {
        let place =
            "view=log stream=orders partition=3 lane=3 producer=web epoch=1f first=40 last=46";
        let missing = Some(State::Missing);
        let lost = Some(State::Lost(Stage::Undetermined));
        for (from, to, line) in [
            (missing, lost, ("ERROR", "lost", " stage=undetermined")),
            (missing, Some(State::Lost(Stage::Store)), ("ERROR", "lost", " stage=store")),
            (lost, None, ("INFO", "recovered", "")),
            (lost, Some(State::Refused), ("INFO", "no longer lost", " state=refused")),
            (
                missing,
                Some(State::Unknown(Reason::Paused)),
                ("WARN", "cannot be judged", " reason=paused"),
            ),
            (missing, Some(State::Refused), ("INFO", "refused", "")),
            (
                missing,
                Some(State::ByDesign(Cause::Retention)),
                ("INFO", "absent by design", " cause=retention"),
            ),
        ] {
            let (level, what, word) = line;
            let line = format!("{level} lacuna::findings: {what} {place}{word}");
            assert_eq!(logged(from, to).trim(), line);
        }
        assert_eq!(logged(None, missing), "");
        assert_eq!(logged(None, Some(State::Unknown(Reason::Joined))), "");
    }
}
