//! The rings of a directory, read as one: what each member was handed before a rebalance comes
//! before what others are handed after it.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lacuna_ring::{Reader, order};
use tokio::runtime::Handle;

use super::hearing::Round;
use super::kept::{self, Kept, KeptRing};
use super::outside::Outside;
use super::ring::{Ring, Waiting};
use super::seats::{Seats, Told};
use crate::engine::Engine;

/// Pause between two rounds in which there was nothing.
const PAUSE: Duration = Duration::from_millis(20);
/// Messages of one round, so that what is told is bounded.
const ROUND: usize = 50_000;

/// Why rings cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("members.ring_dir {dir:?} cannot be used: {error}")]
pub struct RingsError {
    dir: PathBuf,
    error: io::Error,
}

/// Reads the rings of this directory from now on, from where they were `kept`, as long as the engine
/// lives. It is made if it is not there, and no second sidecar may read it.
pub fn watch(
    dir: &Path,
    engine: Engine,
    outside: Arc<Outside>,
    kept: Kept,
) -> Result<(), RingsError> {
    let failed = |error| RingsError { dir: dir.to_owned(), error };
    fs::create_dir_all(dir).map_err(failed)?;
    let lock = File::create(dir.join("sidecar.lock")).map_err(failed)?;
    lock.try_lock().map_err(|error| failed(error.into()))?;
    engine.hearing().listen();
    let Kept { rings: kept, seats, next } = kept;
    let rings = Rings {
        dir: dir.to_owned(),
        outside,
        rings: Vec::new(),
        gone: Vec::new(),
        forgotten: Vec::new(),
        number: 0,
        asked: 0,
        refused: HashSet::new(),
        kept: Some(kept),
        seats,
        next,
        _lock: lock,
    };
    let runtime = Handle::current();
    let read = move || rings.run(&engine, &runtime);
    thread::Builder::new().name("lacuna-rings".to_owned()).spawn(read).map_err(failed)?;
    Ok(())
}

struct Rings {
    dir: PathBuf,
    outside: Arc<Outside>,
    rings: Vec<Ring>,
    /// Rings whose members have left, to be removed once an instant of this number is kept.
    gone: Vec<(u64, PathBuf)>,
    /// Files that were removed since the last round.
    forgotten: Vec<String>,
    /// The instant that the last round is in, and the last one that was asked for.
    number: u64,
    asked: u64,
    /// Files that are no rings, which was said once.
    refused: HashSet<PathBuf>,
    /// What the process before has kept, until the first look at the directory.
    kept: Option<HashMap<String, KeptRing>>,
    seats: Seats,
    next: u64,
    _lock: File,
}

impl Rings {
    fn run(mut self, engine: &Engine, runtime: &Handle) {
        loop {
            let mut told = Told::new();
            let begun = order();
            let more = self.round(&mut told);
            let left = self.part(&mut told);
            let records = self.changes(&left);
            if !told.is_empty() || !records.is_empty() {
                let Ok(number) = runtime.block_on(engine.told(told, records)) else { return };
                self.handed_out(number, left);
            }
            self.release(engine);
            engine.hearing().looked(self.heard(begun));
            if !more {
                thread::sleep(PAUSE);
            }
        }
    }

    /// Reads what there is; whether there may be more.
    fn round(&mut self, told: &mut Told) -> bool {
        for ring in &mut self.rings {
            // Whoever is dead now writes no more: all is below this head.
            ring.dead = ring.reader.is_dead();
            ring.controls = ring.reader.head();
        }
        // Only now, so that of everyone who told before one of those controls was written, all that
        // came before it is below these heads.
        self.find(told);
        for ring in &mut self.rings {
            // Before the head, so that all that was handed over before it was idle stands below.
            ring.busy = ring.reader.is_busy() && !ring.dead;
            ring.messages = ring.reader.head();
            ring.behind = ring.reader.is_behind();
            if ring.behind {
                self.seats.fall_behind(ring.member);
            }
        }
        let mut left = ROUND;
        loop {
            for ring in &mut self.rings {
                ring.read(&mut self.seats, told, &mut left);
            }
            let ripe = |ring: &&mut Ring| {
                ring.waiting.as_ref().is_some_and(|waiting| waiting.end <= ring.controls)
            };
            let first = self
                .rings
                .iter_mut()
                .filter(ripe)
                .min_by_key(|ring| ring.waiting.as_ref().map(|waiting| waiting.order));
            let Some(ring) = first.filter(|_| left > 0) else { break };
            if let Some(Waiting { control, order, .. }) = ring.waiting.take() {
                self.seats.control(ring.member, control, order, &self.outside, told);
            }
        }
        for (log, end) in self.outside.new_ends() {
            self.seats.ended(&log, end, &self.outside, told);
        }
        for taken in self.outside.new_taken() {
            self.seats.taken(&taken, told);
        }
        left < ROUND
    }

    /// Begins to read rings that are new, and those of the process before where it was.
    fn find(&mut self, told: &mut Told) {
        let Ok(paths) = Reader::list(&self.dir) else { return };
        let mut kept = self.kept.take().unwrap_or_default();
        for path in paths {
            if self.rings.iter().any(|ring| ring.reader.path() == path)
                || self.gone.iter().any(|(_, gone)| *gone == path)
                || self.refused.contains(&path)
            {
                continue;
            }
            let file = name(&path);
            let before = kept.remove(&file);
            let position = before.as_ref().and_then(|before| before.position);
            if before.is_some() && position.is_none() {
                // It was kept that its member has left.
                self.gone.push((0, path));
                continue;
            }
            match Reader::open(&path, position) {
                Ok(reader) => self.open(file, reader, before, told),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a ring that cannot be read");
                    self.refused.insert(path);
                    kept.extend(before.map(|before| (file, before)));
                }
            }
        }
        // What their members told last was never read.
        for (file, before) in kept {
            if before.position.is_some() {
                self.seats.leave(before.member, false, told);
            }
            self.forgotten.push(file);
        }
    }

    fn open(&mut self, file: String, reader: Reader, before: Option<KeptRing>, told: &mut Told) {
        let member = match &before {
            Some(before) => before.member,
            None => {
                self.seats.join(self.next, reader.view(), reader.reading());
                self.next += 1;
                self.next - 1
            }
        };
        if reader.has_missed() {
            self.seats.fall_behind(member);
            self.seats.lost(member, told);
        }
        self.rings.push(Ring::new(member, file, reader));
    }

    /// What has been heard, in the round that began at this time.
    fn heard(&self, begun: u64) -> Round {
        let view = |ring: &Ring| ring.reader.view().to_owned();
        let unheard = |ring: &&Ring| !ring.is_read() || ring.behind || ring.garbled;
        Round {
            begun,
            unheard: self.rings.iter().filter(unheard).map(view).collect(),
            busy: self.rings.iter().filter(|ring| ring.busy).map(view).collect(),
        }
    }

    /// Parts with the members whose processes have ended, once their rings are read out.
    fn part(&mut self, told: &mut Told) -> Vec<Ring> {
        let (left, stay) = std::mem::take(&mut self.rings)
            .into_iter()
            .partition::<Vec<_>, _>(|ring| ring.dead && (ring.is_read() || ring.garbled));
        self.rings = stay;
        for ring in &left {
            let whole = !ring.behind && !ring.garbled;
            self.seats.leave(ring.member, whole, told);
        }
        left
    }

    /// What is to be kept with this round.
    fn changes(&mut self, left: &[Ring]) -> Vec<kept::Record> {
        let mut records = self.seats.changes();
        records.extend(self.forgotten.drain(..).map(|file| kept::forgotten(&file)));
        records.extend(left.iter().map(|ring| ring.kept(None)));
        for ring in &mut self.rings {
            let position = Some(ring.position());
            if ring.written != position {
                ring.written = position;
                records.push(ring.kept(position));
            }
        }
        records
    }

    /// The round is in the instant of this number.
    fn handed_out(&mut self, number: u64, left: Vec<Ring>) {
        self.number = number;
        self.rings.iter_mut().for_each(|ring| ring.handed_out(number));
        self.gone.extend(left.into_iter().map(|ring| (number, ring.reader.path().to_owned())));
    }

    /// Gives room back where what stood there is kept, and removes the rings of members that have left.
    fn release(&mut self, engine: &Engine) {
        let mut soon = false;
        for ring in &mut self.rings {
            soon |= ring.release(|number| engine.is_kept(number));
        }
        if soon && self.asked < self.number {
            self.asked = self.number;
            engine.hurry();
        }
        let (removed, stay) = std::mem::take(&mut self.gone)
            .into_iter()
            .partition::<Vec<_>, _>(|(number, _)| engine.is_kept(*number));
        self.gone = stay;
        for (_, path) in removed {
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "a ring that cannot be removed");
                self.refused.insert(path);
                continue;
            }
            self.forgotten.push(name(&path));
        }
    }
}

/// A file's name as it is kept.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
