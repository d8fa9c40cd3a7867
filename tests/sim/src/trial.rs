//! One list of lines through both judges, and what to do when they disagree.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::compare::{compare, verdict};
use crate::kept::Kept;
use crate::line::Line;
use crate::oracle::Oracle;
use crate::traffic::{Knobs, Scenario, generate};

/// Where found and truth part.
#[derive(Clone, Debug)]
pub struct Failure {
    /// After how many lines; one more than there are: when the recording was said to be whole.
    pub after: usize,
    /// In what they differ, or with what the core stopped.
    pub what: String,
    /// How the lines were judged.
    pub terms: Terms,
}

/// How lines are judged and compared.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long a number may stay missing, ms.
    pub grace: u64,
    /// How far producers' clocks may be off, ms.
    pub skew: u64,
    /// After how many lines found and truth are compared each time.
    pub every: usize,
    /// How many cores share the partitions.
    pub checkers: usize,
    /// A seed: the cores are lost at points that follow from it, and go on from what was saved.
    pub lost: Option<u64>,
}

/// Runs the lines; compares now and then, at the end, and, where one core has them all, once the
/// recording is said to be whole.
///
/// # Errors
///
/// The first difference.
pub fn run(lines: &[Line], terms: Terms) -> Result<(), Failure> {
    let Terms { grace, skew, every, .. } = terms;
    let mut after = 0;
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let mut oracle = Oracle::new(grace, skew);
        let mut team = Kept::new(terms);
        for (index, line) in lines.iter().enumerate() {
            after = index + 1;
            let sight = oracle.apply(line);
            if let (Some(sight), Some(found)) = (sight, team.take(lines)?) {
                verdict(sight, found)?;
            }
            if after.is_multiple_of(every) {
                compare(&oracle, &team.found())?;
            }
        }
        compare(&oracle, &team.found())?;
        if team.complete() {
            after = lines.len() + 1;
            oracle.complete();
            compare(&oracle, &team.found())?;
        }
        Ok(())
    }));
    match judged {
        Ok(Ok(())) => Ok(()),
        Ok(Err(what)) => Err(Failure { after, what, terms }),
        Err(panic) => {
            Err(Failure { after, what: format!("the core stopped: {}", said(&*panic)), terms })
        }
    }
}

pub(crate) fn said(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

/// How a seed is judged.
#[must_use]
pub fn terms(seed: u64, scenario: &Scenario, checkers: usize) -> Terms {
    let &Knobs { grace, skew, .. } = &scenario.knobs;
    let every = [1, 7, 23][usize::try_from(seed % 3).unwrap_or(0)];
    Terms { grace, skew, every, checkers, lost: None }
}

/// Runs one seed by so many cores.
///
/// # Errors
///
/// The scenario and the first difference.
pub fn run_seed(seed: u64, checkers: usize) -> Result<Scenario, Box<(Scenario, Failure)>> {
    let scenario = generate(seed);
    let terms = terms(seed, &scenario, checkers);
    let lost = || run(&scenario.lines, Terms { lost: Some(seed), ..terms });
    match run(&scenario.lines, terms).and_then(|()| lost()) {
        Ok(()) => Ok(scenario),
        Err(failure) => Err(Box::new((scenario, failure))),
    }
}

impl Failure {
    /// In what they differ, without the names and numbers: what shrinking must keep.
    fn kind(&self, lines: &[Line]) -> (bool, String) {
        let head = self.what.lines().next().unwrap_or_default();
        let what = head.rsplit(": ").next().unwrap_or_default();
        (self.after > lines.len(), what.to_owned())
    }
}

/// Drops lines while what is left still fails in the same way.
#[must_use]
pub fn shrink(lines: &[Line], terms: Terms) -> (Vec<Line>, Option<Failure>) {
    let Err(first) = run(lines, terms) else {
        return (lines.to_vec(), None);
    };
    let kind = first.kind(lines);
    let mut left = lines.to_vec();
    left.truncate(first.after);
    let mut failure = Some(first);
    // What is due is judged when it is asked for, at the latest: try to ask after every line.
    let fails = |lines: &[Line]| {
        let same = |failure: &Failure| failure.kind(lines) == kind;
        let often = run(lines, Terms { every: 1, ..terms }).err().filter(same);
        often.or_else(|| run(lines, terms).err().filter(same))
    };
    let mut chunk = left.len().div_ceil(2);
    while chunk > 0 {
        let mut begin = 0;
        while begin < left.len() {
            let mut fewer = left.clone();
            fewer.drain(begin..(begin + chunk).min(left.len()));
            match fails(&fewer) {
                Some(found) => {
                    left = fewer;
                    failure = Some(found);
                }
                None => begin += chunk,
            }
        }
        chunk /= 2;
    }
    (left, failure)
}

/// What a failing seed prints: how to replay it, the difference, and the fewest lines that show it.
#[must_use]
pub fn account(seed: u64, checkers: usize, scenario: &Scenario, failure: &Failure) -> String {
    let terms = failure.terms;
    let (lines, last) = shrink(&scenario.lines, terms);
    let shown = last.as_ref().unwrap_or(failure);
    let trace: Vec<String> = lines.iter().map(Line::to_string).collect();
    format!(
        "seed {seed}{}: line {} of {}: {}\n\
         replay: cargo run -p lacuna-sim --release -- --seed {seed} --checkers {checkers}\n\
         fewest lines (--grace {}ms --clock-skew {}ms), differing after {}: {}\n{}\n",
        if terms.lost.is_some() { ", lost now and then" } else { "" },
        failure.after,
        scenario.lines.len(),
        failure.what,
        terms.grace,
        terms.skew,
        if shown.after > lines.len() { "--complete".to_owned() } else { shown.after.to_string() },
        shown.what,
        trace.join("\n"),
    )
}
