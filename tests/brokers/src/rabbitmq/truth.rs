//! What must be found: from what the applications wrote down, by plain sets, sharing nothing with
//! the checker.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::sidecar::{Sidecar, counts};
use crate::truth::Counts;
use crate::wait;

/// A lane: stream and producer.
pub type Lane = (String, String);
/// Numbers of a lane, from first to last.
pub type Range = (Lane, u64, u64);

/// What the publishing applications heard of their messages: the answer by number, by lane.
///
/// # Panics
/// If a file has another form.
#[must_use]
pub fn published(files: &[PathBuf]) -> BTreeMap<Lane, BTreeMap<u64, String>> {
    let mut published: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for file in files {
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name of text");
        for line in fs::read_to_string(file).expect("the file is there").lines() {
            let words: Vec<_> = line.split(' ').collect();
            let [stream, number, answer] = words[..] else { panic!("{line:?}") };
            let lane = published.entry((stream.to_owned(), name.to_owned())).or_default();
            let number = number.parse().expect("a number");
            assert_eq!(lane.insert(number, answer.to_owned()), None, "{line:?} is there twice");
        }
    }
    published
}

/// The messages of these bodies, and how often each is there.
#[must_use]
pub fn bodies<'a>(bodies: impl IntoIterator<Item = &'a str>) -> BTreeMap<Lane, BTreeMap<u64, u64>> {
    let mut found: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for body in bodies {
        let parts: Vec<_> = body.split('#').collect();
        let [stream, name, number] = parts[..] else { panic!("{body:?}") };
        let lane: &mut BTreeMap<u64, u64> =
            found.entry((stream.to_owned(), name.to_owned())).or_default();
        *lane.entry(number.parse().expect("a number")).or_default() += 1;
    }
    found
}

/// What the consuming applications were handed.
#[must_use]
pub fn handed(files: &[PathBuf]) -> BTreeMap<Lane, BTreeMap<u64, u64>> {
    let read = |file: &PathBuf| fs::read_to_string(file).expect("the file is there");
    let texts: Vec<_> = files.iter().map(read).collect();
    bodies(texts.iter().flat_map(|text| text.lines()))
}

/// Numbers in ranges as long as can be.
#[must_use]
pub fn ranges(lane: &Lane, numbers: impl IntoIterator<Item = u64>) -> BTreeSet<Range> {
    let mut ranges = BTreeSet::new();
    let mut open: Option<(u64, u64)> = None;
    for number in numbers {
        open = match open {
            Some((first, last)) if last + 1 == number => Some((first, number)),
            ended => {
                ranges.extend(ended.map(|(first, last)| (lane.clone(), first, last)));
                Some((number, number))
            }
        };
    }
    ranges.extend(open.map(|(first, last)| (lane.clone(), first, last)));
    ranges
}

/// The rows of a view's findings in every state, as `state` or `state.stage`.
#[must_use]
pub fn findings(sidecar: &Sidecar, view: &str) -> BTreeMap<String, BTreeSet<Range>> {
    let mut findings: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for state in ["lost", "missing", "unknown", "refused", "aborted", "expired"] {
        for row in sidecar.rows("/v1/gaps", &format!("view={view}&state={state}")) {
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            let name = match &*text("stage") {
                "" => state.to_owned(),
                stage => format!("{state}.{stage}"),
            };
            let number = |name: &str| row[name].as_u64().expect("a number");
            let range = ((text("stream"), text("producer")), number("first"), number("last"));
            findings.entry(name).or_default().insert(range);
        }
    }
    findings
}

/// One range of a lane.
#[must_use]
pub fn range(stream: &str, producer: &str, first: u64, last: u64) -> Range {
    ((stream.to_owned(), producer.to_owned()), first, last)
}

/// Waits until a view has seen so many numbers.
pub fn seen(sidecar: &Sidecar, view: &str, numbers: u64) {
    wait::until(&format!("view {view} has seen {numbers}"), || {
        let counts = counts(&sidecar.get(&format!("/v1/report?depth=totals&view={view}")));
        if counts.get("seen") == Some(&numbers) { Ok(()) } else { Err(format!("{counts:?}")) }
    });
}

/// Waits until nothing of a view is missing, and so many numbers have a state in it; gives the
/// view's counts.
#[must_use]
pub fn judged(sidecar: &Sidecar, view: &str, numbers: u64) -> Counts {
    wait::until(&format!("view {view} is judged"), || {
        let report = sidecar.get(&format!("/v1/report?depth=totals&view={view}"));
        let counts = counts(&report);
        let of = |name: &str| counts.get(name).copied().unwrap_or(0);
        let begins = |prefix: &str| -> u64 {
            let some = counts.iter().filter(|(name, _)| name.starts_with(prefix));
            some.map(|(_, count)| count).sum()
        };
        let known = of("seen") + of("refused") + begins("lost.") + begins("unknown.");
        if of("missing") == 0 && known + begins("by_design.") == numbers {
            Ok(counts)
        } else {
            Err(format!("{counts:?}, of {numbers}"))
        }
    })
}

/// Streams of which a ledger spoke and that no view looks at.
#[must_use]
pub fn unwatched(sidecar: &Sidecar) -> Vec<String> {
    let report: Value = sidecar.get("/v1/report?depth=totals");
    let names = report["unwatched_streams"].as_array().into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}
