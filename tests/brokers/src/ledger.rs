//! What producers say of their lanes, from the files in which they wrote what they were answered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::json;

use crate::files::{self, Line};
use crate::truth::{Gap, Lane, Truth};

/// What a lane's producer was answered.
#[derive(Debug, Default)]
pub struct Answers {
    /// Numbers that the broker acknowledged.
    pub acknowledged: BTreeSet<u64>,
    /// Numbers of which the producer does not know what became.
    pub unanswered: BTreeSet<u64>,
    /// Numbers among the acknowledged ones whose transaction was rolled back.
    pub aborted: BTreeSet<u64>,
}

/// The answers by lane.
///
/// # Panics
/// If a file is none of a producer's.
#[must_use]
pub fn answers(files: &[PathBuf]) -> BTreeMap<Lane, Answers> {
    let mut lanes = BTreeMap::<Lane, Answers>::new();
    for file in files {
        files::read(file, |line| match line {
            Line::Acknowledged { stamp: Some(stamp), .. } => {
                let (lane, seq) = lane(stamp);
                lanes.entry(lane).or_default().acknowledged.insert(seq);
            }
            Line::Failed { stamp: Some(stamp), .. } => {
                let (lane, seq) = lane(stamp);
                lanes.entry(lane).or_default().unanswered.insert(seq);
            }
            Line::Acknowledged { stamp: None, .. } | Line::Failed { stamp: None, .. } => {}
            Line::Handed { .. } => panic!("{}: {line:?}", file.display()),
        });
    }
    lanes
}

/// The ledger of all lanes of a stream, as it is posted.
#[must_use]
pub fn ledger(stream: &str, answers: &BTreeMap<Lane, Answers>) -> String {
    let record = |(lane, said): (&Lane, &Answers)| {
        let next = said.acknowledged.union(&said.unanswered).max().map_or(0, |last| last + 1);
        json!({
            "v": 1, "rev": 1, "producer": lane.producer, "epoch": lane.epoch, "stream": stream,
            "lane": lane.partition, "from": 0, "next": next, "pending": [],
            "unanswered": ranges(said.unanswered.iter().copied()), "refused": [],
            "aborted": ranges(said.aborted.iter().copied()), "closed": false, "at": 0,
        })
        .to_string()
            + "\n"
    };
    answers.iter().map(record).collect()
}

/// What was acknowledged and is not in the log.
#[must_use]
pub fn vanished(answers: &BTreeMap<Lane, Answers>, truth: &Truth) -> BTreeSet<Gap> {
    such(answers, |said| &said.acknowledged, |lane, seq| truth.places(lane, seq).is_empty())
}

/// What was given up without an answer and is not in the log.
#[must_use]
pub fn never_stored(answers: &BTreeMap<Lane, Answers>, truth: &Truth) -> BTreeSet<Gap> {
    such(answers, |said| &said.unanswered, |lane, seq| truth.places(lane, seq).is_empty())
}

/// Numbers that were answered in this way and are so, in ranges as long as can be.
#[must_use]
pub fn such(
    answers: &BTreeMap<Lane, Answers>,
    which: impl Fn(&Answers) -> &BTreeSet<u64>,
    so: impl Fn(&Lane, u64) -> bool,
) -> BTreeSet<Gap> {
    let of_lane = |(lane, said): (&Lane, &Answers)| {
        let numbers = which(said).iter().copied().filter(|&seq| so(lane, seq));
        let gap = |[first, last]: [u64; 2]| Gap { lane: lane.clone(), first, last };
        ranges(numbers).into_iter().map(gap).collect::<Vec<_>>()
    };
    answers.iter().flat_map(of_lane).collect()
}

/// How many numbers these are.
#[must_use]
pub fn count(gaps: &BTreeSet<Gap>) -> u64 {
    gaps.iter().map(|gap| gap.last - gap.first + 1).sum()
}

/// Ascending numbers in ranges as long as can be.
fn ranges(numbers: impl Iterator<Item = u64>) -> Vec<[u64; 2]> {
    let mut ranges: Vec<[u64; 2]> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some([_, last]) if *last + 1 == number => *last = number,
            _ => ranges.push([number, number]),
        }
    }
    ranges
}

/// `1;producer;epoch;origin;lane;seq`.
fn lane(stamp: &str) -> (Lane, u64) {
    let fields: Vec<_> = stamp.split(';').collect();
    let ["1", producer, epoch, _, label, seq] = fields[..] else {
        panic!("not a stamp: {stamp:?}")
    };
    let [partition, producer, epoch] = [label, producer, epoch].map(str::to_owned);
    let seq = seq.parse().unwrap_or_else(|_| panic!("not a number: {stamp:?}"));
    (Lane { partition, producer, epoch }, seq)
}
