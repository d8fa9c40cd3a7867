use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use lacuna_core::report::{Filter, StreamRow};
use lacuna_core::{Checker, PartitionId, Passed, Watch};

use super::findings::Findings;
use super::handle::Stopped;
use super::meeting::Meeting;
use super::merge;
use super::saving::{self, Saving, Written};
use super::source::Tap;
use super::switch::Switch;
use crate::clock;
use crate::members::Told;
use crate::record::{Event, Line, Place};
use crate::state::{Part, Writes};

/// Longest wait for a message before questions are looked at again.
const WAIT: Duration = Duration::from_millis(20);
/// How long questions are answered between two reads, ms, one at least: whoever asks too much waits,
/// and reading goes on.
const ANSWERING_MS: u64 = 10;
/// How often what is due is judged and logged, ms.
const SWEEP_EVERY_MS: u64 = 100;
/// Lanes or gaps looked at in one sweep, between two reads.
const SWEEP_BUDGET: usize = 10_000;

/// The view that taps report.
const LOG: &str = "log";

type Task = Box<dyn FnOnce(&mut Worker) + Send>;

/// The way to a worker.
#[derive(Clone, Debug)]
pub(super) struct Handle(Sender<Task>);

impl Handle {
    pub(super) fn send(&self, task: Task) -> Result<(), Stopped> {
        self.0.send(task).map_err(|_| Stopped)
    }

    /// Has the task done if the worker is there; one that has ended says so to whoever asks it.
    fn tell(&self, task: Task) {
        if self.send(task).is_err() {
            tracing::debug!("a worker of the engine has ended");
        }
    }
}

/// What one thread owns.
pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) checker: Checker,
    /// With their sources' names.
    taps: Vec<(String, Box<dyn Tap>)>,
    /// What they wrote of where they go on; `None`: nothing is kept.
    written: Option<Written>,
    /// An instant that is to be fixed together with the other workers.
    beginning: Option<Beginning>,
    saving: Option<Saving>,
    /// Where taps go on that have ended.
    left: Writes,
    /// Partitions that others observe and report here.
    places: HashMap<Place<'static>, Reported, foldhash::fast::RandomState>,
    switch: Switch,
    findings: Findings,
    /// A partition found no room.
    full: bool,
    swept_at: u64,
    /// Up to when every tap that has one has read the ledger's channel.
    ledger_read: Option<u64>,
    /// All workers, once they have been started.
    workers: Weak<[Handle]>,
}

/// An instant that is to be fixed.
pub(super) struct Beginning {
    /// Where this worker's part goes.
    pub(super) to: Sender<Part>,
    /// Where several workers wait: until all have passed on what they had to, and until all have taken
    /// it.
    pub(super) passed: Option<(Arc<Meeting>, Arc<Meeting>)>,
}

struct Reported {
    id: PartitionId,
    on: bool,
    /// How it is watched, as it was said last; `None`: nothing has been reported of it.
    watch: Option<Watch>,
}

impl Worker {
    /// The switch as it was, and as it is now.
    pub(super) fn spawn(
        index: usize,
        [before, switch]: [Switch; 2],
        taps: Vec<(String, Box<dyn Tap>)>,
        checker: Checker,
        kept: bool,
    ) -> io::Result<Handle> {
        let mut worker = Self {
            index,
            checker,
            taps,
            written: kept.then(Written::default),
            beginning: None,
            saving: None,
            left: Writes::default(),
            places: HashMap::default(),
            switch: before,
            findings: Findings::new(kept),
            full: false,
            swept_at: clock::now_ms(),
            ledger_read: None,
            workers: Weak::<[Handle; 0]>::new(),
        };
        worker.restore_places();
        worker.switch(switch);
        let (sender, tasks) = mpsc::channel();
        thread::Builder::new()
            .name(format!("lacuna-worker-{index}"))
            .spawn(move || worker.run(&tasks))?;
        Ok(Handle(sender))
    }

    /// Goes on with what was reported before a restart: what is switched off by now is paused. Logs are
    /// their taps', which do that.
    fn restore_places(&mut self) {
        for (id, [view, stream, partition]) in self.checker.partitions() {
            if view != LOG {
                let (on, watch) = (self.switch.is_on(Some(stream)), self.checker.watch_of(id));
                let reported = Reported { id, on, watch };
                let [view, stream, partition] =
                    [view, stream, partition].map(|name| name.to_owned().into());
                self.places.insert(Place { view, stream, partition }, reported);
            }
        }
    }

    fn run(mut self, tasks: &Receiver<Task>) {
        let mut busy = true;
        loop {
            let until = clock::now_ms() + ANSWERING_MS;
            loop {
                match tasks.try_recv() {
                    Ok(task) => task(&mut self),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
                if clock::now_ms() >= until {
                    // What is left must not wait for a message.
                    busy = true;
                    break;
                }
            }
            busy = if self.taps.is_empty() {
                match tasks.recv_timeout(WAIT) {
                    Ok(task) => task(&mut self),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                false
            } else {
                self.read(if busy { Duration::ZERO } else { WAIT })
            };
            busy |= self.sweep();
            if let Some(beginning) = self.beginning.take() {
                self.begin_together(&beginning, tasks);
            }
            busy |= self.go_on_saving();
            self.pass_on();
        }
    }

    fn read(&mut self, wait: Duration) -> bool {
        let mut busy = false;
        let mut wait = wait;
        for (_, tap) in &mut self.taps {
            busy |= tap.read(&mut self.checker, wait);
            if busy {
                wait = Duration::ZERO;
            }
        }
        let ledger_read = self.taps.iter().filter_map(|(_, tap)| tap.ledger_read()).min();
        if let Some(at) = ledger_read.filter(|&at| self.ledger_read.is_none_or(|was| was < at)) {
            self.ledger_read = ledger_read;
            self.checker.ledger_read(at);
        }
        busy
    }

    /// True: there is more to do.
    fn sweep(&mut self) -> bool {
        let now = clock::now_ms();
        if now < self.swept_at + SWEEP_EVERY_MS {
            return false;
        }
        let more = self.checker.sweep(now, SWEEP_BUDGET);
        if !more {
            self.swept_at = now;
            self.checker.pass_time();
            self.findings.log(&mut self.checker);
        }
        more
    }

    /// All workers, this one too.
    pub(super) fn meet(&mut self, workers: Weak<[Handle]>) {
        self.workers = workers;
    }

    /// Tells the other workers what concerns them.
    pub(super) fn pass_on(&mut self) {
        let (passed, news) = (self.checker.take_passed(), self.checker.take_news());
        if passed.is_empty() && news.is_empty() {
            return;
        }
        let Some(workers) = self.workers.upgrade() else { return };
        let mut parts: Vec<Vec<Passed>> = workers.iter().map(|_| Vec::new()).collect();
        for passed in passed {
            parts[passed.to(workers.len())].push(passed);
        }
        for (index, part) in parts.into_iter().enumerate().filter(|(_, part)| !part.is_empty()) {
            let accept = move |worker: &mut Self| {
                part.iter().for_each(|passed| worker.checker.accept(passed));
            };
            workers[index].tell(Box::new(accept));
        }
        if !news.is_empty() {
            for (_, other) in workers.iter().enumerate().filter(|(index, _)| *index != self.index) {
                let news = news.clone();
                let hear = move |worker: &mut Self| {
                    news.iter().for_each(|news| worker.checker.hear(news));
                };
                other.tell(Box::new(hear));
            }
        }
    }

    /// Its part of the report's rows, to be joined with the others'.
    pub(super) fn part(&mut self, filter: &Filter, lanes: bool) -> merge::Part {
        let rows = self.checker.report(filter, lanes).into_iter();
        let with_names = |row: StreamRow| {
            let view = Some(row.view.clone());
            let stream = Some(row.stream.clone());
            let own = Filter { view, stream, ..filter.clone() };
            (row, self.checker.producers(&own))
        };
        rows.map(with_names).collect()
    }

    /// Takes lines that others observed, at the time of their arrival.
    pub(super) fn take(&mut self, lines: &[Line<'static>]) {
        let now = clock::now_ms();
        for line in lines {
            match line {
                Line::At(place, event) => self.take_event(place, event, now),
                Line::Ledger(ledger) => {
                    // Parsing has validated it.
                    let taken = self.checker.ledger(&ledger.record(), Some(now));
                    debug_assert!(taken.is_ok(), "a ledger that was parsed is of good form");
                }
            }
        }
    }

    /// Takes what members were handed, at the time of its arrival.
    pub(super) fn take_told(&mut self, told: &Told) {
        let now = clock::now_ms();
        for (place, events) in told {
            for event in events {
                // An end is as old as its question: what came later is not below it.
                let at = if let Event::End { at, .. } = event { *at } else { now };
                self.take_event(place, event, at);
            }
        }
    }

    fn take_event(&mut self, place: &Place<'static>, event: &Event<'static>, now: u64) {
        let reported = match self.places.get_mut(place) {
            Some(reported) => reported,
            None => {
                let Place { view, stream, partition } = place;
                let Some(id) = self.checker.partition(view, stream, partition) else {
                    // Once: it may be every message from here on, and is counted.
                    if !std::mem::replace(&mut self.full, true) {
                        tracing::warn!(
                            %view, %stream, %partition,
                            "no room: limits.partitions or limits.views is reached"
                        );
                    }
                    return;
                };
                let on = self.switch.is_on(Some(stream));
                let watch = self.checker.watch_of(id);
                self.places.entry(place.clone()).or_insert(Reported { id, on, watch })
            }
        };
        if !reported.on {
            return;
        }
        let begun = reported.watch.is_some();
        let watch = reported.watch.get_or_insert_default();
        if let Event::Watch(said) = event {
            *watch = *said;
            // Where there is no order there is no position that could show that it goes on, and
            // another member's next line must not make a break into none.
            if begun && !said.ordered && !said.handover {
                self.checker.pause(reported.id, now);
                return;
            }
        }
        event.apply(&mut self.checker, reported.id, Some(now));
    }

    /// Pauses what is off now, and watches again what is on again.
    pub(super) fn switch(&mut self, switch: Switch) {
        let at = clock::now_ms();
        for (_, tap) in &mut self.taps {
            tap.switch(&mut self.checker, &switch);
        }
        for (place, reported) in &mut self.places {
            let on = switch.is_on(Some(&place.stream));
            if on && !reported.on {
                let said = reported.watch.unwrap_or_default();
                let Watch { committed, ordered, .. } = said;
                // What passed while it was off is unknown, of competing members as well.
                let watch = Watch { at, committed, ordered, handover: !ordered, ..said };
                let watch = Watch { position: None, from_start: false, ..watch };
                self.checker.watch(reported.id, &watch);
            } else if !on && reported.on {
                self.checker.pause(reported.id, at);
            }
            reported.on = on;
        }
        self.switch = switch;
    }

    /// Fixes an instant, which is kept when all workers have sent their parts of it.
    pub(super) fn begin_saving(&mut self, beginning: Beginning) {
        if beginning.passed.is_some() {
            self.beginning = Some(beginning);
        } else {
            self.begin(&beginning.to);
        }
    }

    /// The same for several workers: what one has passed on before is before it for the other.
    fn begin_together(&mut self, beginning: &Beginning, tasks: &Receiver<Task>) {
        self.pass_on();
        let Some((passed, begun)) = &beginning.passed else { return };
        if !passed.attend() {
            return;
        }
        while let Ok(task) = tasks.try_recv() {
            task(self);
        }
        if begun.attend() {
            self.begin(&beginning.to);
        }
    }

    fn begin(&mut self, to: &Sender<Part>) {
        // One that is still under way is finished first.
        while self.go_on_saving() {}
        self.findings.log(&mut self.checker);
        let Some(written) = &mut self.written else { return };
        let findings = self.findings.take();
        let mut saving = Saving::begin(self.index, &mut self.checker, findings, to.clone());
        saving.add(std::mem::take(&mut self.left));
        for (source, tap) in &self.taps {
            saving.add(saving::taps(self.index, source, &**tap, written));
        }
        self.saving = Some(saving);
    }

    /// True: there is more to do.
    fn go_on_saving(&mut self) -> bool {
        self.saving = self.saving.take().and_then(|saving| saving.go_on(&mut self.checker));
        self.saving.is_some()
    }

    /// Stops reading.
    pub(super) fn drain(&mut self) {
        while self.go_on_saving() {}
        for (source, tap) in self.taps.drain(..) {
            if let Some(written) = &mut self.written {
                self.left.add(saving::taps(self.index, &source, &*tap, written));
            }
        }
        while self.checker.sweep(clock::now_ms(), SWEEP_BUDGET) {}
        self.findings.log(&mut self.checker);
    }
}
