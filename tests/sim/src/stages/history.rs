//! What truly happened, drawn from a seed, and what each teller says of it.

use std::collections::{BTreeMap, BTreeSet};

use super::log::{Log, Slot};
use super::{ledger, readers};
use crate::line::{Entry, LOG, LaneKey, Line, Mark, Name, Place, SPAN, Why};
use crate::rng::Rng;

const STREAMS: [Name; 2] = ["s", "t"];
const PARTITIONS: [Name; 3] = ["0", "1", "2"];
const PRODUCERS: [Name; 3] = ["a", "b", "c"];
const GROUPS: [Name; 2] = ["billing", "audit"];
/// When everybody begins, in ms.
pub(super) const BEGINNING: u64 = 1_000;

/// What became of a number on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// Stored and acknowledged.
    Acknowledged,
    /// Stored; the answer, or whether its transaction was committed, is not known.
    Unheard,
    /// Stored, and the answer is still awaited.
    Awaited,
    /// Stored, and its transaction rolled back.
    RolledBack,
    /// Acknowledged, and never stored.
    LostByBroker,
    /// Given up without an answer, and never stored.
    LostOnTheWay,
    /// Never stored, and the answer is still awaited.
    Vanished,
    /// Never stored, and the application was told.
    Refused,
    /// Never sent, as its transaction was rolled back.
    Withdrawn,
}

impl Course {
    pub(super) fn is_stored(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Unheard | Self::Awaited | Self::RolledBack)
    }

    /// Whether its transaction was committed; `None`: or maybe not.
    pub(super) fn is_committed(self) -> Option<bool> {
        match self {
            Self::Acknowledged => Some(true),
            Self::RolledBack => Some(false),
            Self::Unheard
            | Self::Awaited
            | Self::LostByBroker
            | Self::LostOnTheWay
            | Self::Vanished
            | Self::Refused
            | Self::Withdrawn => None,
        }
    }
}

/// One lane, whole.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) key: LaneKey,
    /// What its producer says in the end; nothing where it is silent.
    pub(super) records: Vec<Entry>,
}

/// How one looks at a stream.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) name: Name,
    /// Reads committed messages only.
    pub(super) committed: bool,
    /// Promises an order.
    pub(super) ordered: bool,
    /// The broker flags what it hands over again.
    pub(super) flags: bool,
    /// By partition.
    pub(super) watches: Vec<bool>,
    /// It begins while traffic flows, where it can be told what it then knows.
    pub(super) joins: bool,
}

/// A stream's part of the history.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub(super) stream: Name,
    /// The broker has offsets.
    pub(super) positions: bool,
    pub(super) lanes: Vec<Lane>,
    pub(super) logs: Vec<Log>,
    pub(super) views: Vec<View>,
}

/// Repeats of a lane in a view, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Repeats {
    pub(super) resent: u64,
    pub(super) redelivered: u64,
    pub(super) undetermined: u64,
}

/// What was shown to whom, noted where it was shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    /// Once or more, whether it was cut away later or not.
    pub(super) ever: BTreeSet<u64>,
    /// And still stands, where the log was cut back.
    pub(super) stands: BTreeSet<u64>,
    pub(super) repeats: Repeats,
    /// A view that joined: numbers below are from before, or may have passed just before.
    pub(super) joined_below: Option<u64>,
}

/// A whole history.
#[derive(Clone, Debug)]
pub struct History {
    /// Ms until a gap is judged.
    pub grace: u64,
    /// Ms by which clocks may differ.
    pub skew: u64,
    pub(super) topics: Vec<Topic>,
    pub(super) shown: BTreeMap<(Name, LaneKey), Shown>,
    /// Numbers whose only copy had gone before the log was read.
    pub(super) gone: BTreeMap<(LaneKey, u64), Why>,
    /// The ledger's lines.
    pub(super) ledger: Vec<Line>,
    /// The lines of each partition in each view, and where it ends.
    pub(super) tellers: Vec<(Place, Option<u64>, Vec<Line>)>,
}

/// Draws the history of a seed.
#[must_use]
pub fn generate(seed: u64) -> History {
    let mut rng = Rng::new(seed ^ 0x5354_4147_4553);
    let mut history = History {
        grace: rng.pick(&[0, 5, 20, 60]),
        skew: rng.pick(&[0, 5, 30]),
        topics: Vec::new(),
        shown: BTreeMap::new(),
        gone: BTreeMap::new(),
        ledger: Vec::new(),
        tellers: Vec::new(),
    };
    let streams = if rng.chance(25) { 2 } else { 1 };
    for stream in STREAMS.into_iter().take(streams) {
        let topic = topic(&mut rng, stream);
        for lane in &topic.lanes {
            let records = lane.records.iter().cloned().map(Line::Ledger);
            let at = rng.index(history.ledger.len() + 1);
            history.ledger.splice(at..at, records);
        }
        for log in &topic.logs {
            history.gone.extend(log.gone());
        }
        readers::tell(&mut rng, &topic, &mut history);
        history.topics.push(topic);
    }
    history
}

fn topic(rng: &mut Rng, stream: Name) -> Topic {
    let partitions = rng.index(3) + 1;
    let positions = rng.chance(85);
    // By design or by accident: a partition that loses both ways could not be told apart.
    let mut whys: Vec<Option<Why>> = (0..partitions)
        .map(|_| {
            let whys = [Why::Retention, Why::Compacted, Why::Expired, Why::Aborted];
            (positions && rng.chance(25)).then(|| rng.pick(&whys))
        })
        .collect();
    let views = views(rng, partitions);
    let spans_fit = views.iter().all(|view| view.watches.iter().all(|&watches| watches));
    let mut lanes = Vec::new();
    let mut sent: Vec<Vec<(LaneKey, u64, Course)>> = vec![Vec::new(); partitions];
    // No named position explains what a lane over the whole stream lacks.
    let span = spans_fit && rng.chance(30);
    if span {
        whys.fill(None);
    }
    for producer in PRODUCERS.into_iter().take(rng.index(3) + 1) {
        let is_span = span && rng.chance(60);
        for home in 0..if is_span { 1 } else { partitions } {
            let label = if is_span { SPAN } else { PARTITIONS[home] };
            let key = LaneKey { stream, label, producer, epoch: BEGINNING };
            let by_design = whys[home].is_some();
            let silent = rng.chance(25);
            let courses = courses(rng, by_design, silent);
            for (n, &course) in (0..).zip(&courses).filter(|(_, course)| course.is_stored()) {
                let home = if is_span { rng.index(partitions) } else { home };
                sent[home].push((key, n, course));
            }
            let forgets = !by_design && rng.chance(20);
            let records =
                if silent { Vec::new() } else { ledger::records(rng, key, &courses, forgets) };
            lanes.push(Lane { key, records });
        }
    }
    let logs = sent
        .into_iter()
        .zip(whys)
        .zip(PARTITIONS)
        .map(|((sent, why), partition)| Log::draw(rng, partition, sent, why, positions))
        .collect();
    Topic { stream, positions, lanes, logs, views }
}

fn views(rng: &mut Rng, partitions: usize) -> Vec<View> {
    let mut names = vec![LOG];
    names.extend(GROUPS.into_iter().take(rng.index(3)));
    if names.len() > 1 && rng.chance(15) {
        names.remove(0);
    }
    let view = |name| {
        let partly = rng.chance(10);
        View {
            name,
            committed: name != LOG && rng.chance(30),
            ordered: name == LOG || !rng.chance(20),
            flags: name != LOG && rng.chance(50),
            joins: rng.chance(15),
            watches: (0..partitions).map(|_| !(partly && rng.chance(40))).collect(),
        }
    };
    names.into_iter().map(view).collect()
}

/// What becomes of each number of a lane.
fn courses(rng: &mut Rng, by_design: bool, silent: bool) -> Vec<Course> {
    let faulty = if rng.chance(25) { 0 } else { rng.between(10, 60) };
    let mut faults = vec![Course::Unheard, Course::Awaited, Course::RolledBack];
    if !by_design {
        faults.extend([Course::LostByBroker, Course::LostOnTheWay, Course::Vanished]);
        faults.push(Course::Withdrawn);
    }
    // Unsaid, it would have to have a position.
    if !by_design || !silent {
        faults.push(Course::Refused);
    }
    let most = if rng.chance(10) { 30 } else { 9 };
    (0..rng.between(1, most))
        .map(|_| if rng.chance(faulty) { rng.pick(&faults) } else { Course::Acknowledged })
        .collect()
}

impl History {
    /// Notes what a view was shown; `again`: this very copy was shown before. `joining`: within
    /// the first grace after a view joined, `Some(false)` later than that.
    pub(super) fn note(
        &mut self,
        view: &View,
        topic: &Topic,
        slot: &Slot,
        again: bool,
        joining: Option<bool>,
    ) {
        let Mark::Of(key, n) = slot.mark else { return };
        let shown = self.shown.entry((view.name, key)).or_default();
        // The first number seen is the base line; in the first grace any may have passed before.
        if joining.is_some_and(|joining| joining || shown.ever.is_empty()) {
            shown.joined_below = shown.joined_below.max(Some(n));
        }
        shown.ever.insert(n);
        if shown.stands.insert(n) {
            return;
        }
        let repeats = &mut shown.repeats;
        match (topic.positions, view.flags) {
            (false, false) => repeats.undetermined += 1,
            _ if again => repeats.redelivered += 1,
            _ => repeats.resent += 1,
        }
    }
}

impl Topic {
    /// Those that look at it at all.
    pub(super) fn views(&self) -> impl Iterator<Item = &View> {
        self.views.iter().filter(|view| view.watches.contains(&true))
    }

    /// Whether any view joins any of its partitions.
    pub(super) fn is_joined(&self) -> bool {
        self.views().any(|view| self.logs.iter().any(|log| self.joins(view, log)))
    }

    /// Whether a view joins a partition while traffic flows: only where nothing else decides what
    /// it then knows, as the log's time of what a group reads does.
    pub(super) fn joins(&self, view: &View, log: &Log) -> bool {
        let has_log = self.views.iter().any(|view| view.name == LOG);
        let has_spans = self.lanes.iter().any(|lane| lane.key.label == SPAN);
        let is_first = view.name == LOG || !has_log;
        view.joins && is_first && !has_spans && log.why.is_none() && log.cut.is_none()
    }
}
