//! The rings of a directory, read as one: what each member was handed before a rebalance comes
//! before what others are handed after it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lacuna_ring::{Garbled, Reader, Record, order};
use tokio::runtime::Handle;

use super::hearing::Round;
use super::outside::Outside;
use super::seats::{Control, Seats, Told};
use crate::clock;
use crate::engine::Engine;
use crate::record::Message;

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

/// Reads the rings of this directory from now on, as long as the engine lives. It is made if it is
/// not there, and no second sidecar may read it.
pub fn watch(dir: &Path, engine: Engine, outside: Arc<Outside>) -> Result<(), RingsError> {
    let failed = |error| RingsError { dir: dir.to_owned(), error };
    fs::create_dir_all(dir).map_err(failed)?;
    let lock = File::create(dir.join("sidecar.lock")).map_err(failed)?;
    lock.try_lock().map_err(|error| failed(error.into()))?;
    engine.hearing().listen();
    let rings = Rings {
        dir: dir.to_owned(),
        outside,
        rings: Vec::new(),
        refused: HashSet::new(),
        seats: Seats::default(),
        next: 0,
        left: Told::new(),
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
    /// Files that are no rings, which was said once.
    refused: HashSet<PathBuf>,
    seats: Seats,
    next: u64,
    /// What members have left behind in the last round.
    left: Told,
    _lock: File,
}

struct Ring {
    member: u64,
    reader: Reader,
    /// A control that waits for its turn: when it was told, and where it ends.
    waiting: Option<(Control, u64, u64)>,
    /// Up to where controls may be taken in this round, and messages.
    controls: u64,
    messages: u64,
    dead: bool,
    behind: bool,
    busy: bool,
    garbled: bool,
}

impl Rings {
    fn run(mut self, engine: &Engine, runtime: &Handle) {
        loop {
            let mut told = std::mem::take(&mut self.left);
            let begun = order();
            let more = self.round(&mut told);
            if !told.is_empty() && runtime.block_on(engine.told(told)).is_err() {
                return;
            }
            self.release();
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
        self.find();
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
                ring.waiting.as_ref().is_some_and(|(.., end)| *end <= ring.controls)
            };
            let first = self
                .rings
                .iter_mut()
                .filter(ripe)
                .min_by_key(|ring| ring.waiting.as_ref().map(|(_, order, _)| *order));
            let Some(ring) = first.filter(|_| left > 0) else { break };
            if let Some((control, order, _)) = ring.waiting.take() {
                self.seats.control(ring.member, control, order, &self.outside, told);
            }
        }
        for ((stream, partition), end) in self.outside.new_ends() {
            self.seats.ended((&stream, &partition), end, &self.outside, told);
        }
        for taken in self.outside.new_taken() {
            self.seats.taken(&taken, told);
        }
        left < ROUND
    }

    /// Begins to read rings that are new.
    fn find(&mut self) {
        let Ok(paths) = Reader::list(&self.dir) else { return };
        for path in paths {
            if self.rings.iter().any(|ring| ring.reader.path() == path)
                || self.refused.contains(&path)
            {
                continue;
            }
            match Reader::open(&path) {
                Ok(reader) => {
                    let member = self.next;
                    self.next += 1;
                    self.seats.join(member, reader.view(), reader.reading());
                    self.rings.push(Ring {
                        member,
                        reader,
                        waiting: None,
                        controls: 0,
                        messages: 0,
                        dead: false,
                        behind: false,
                        busy: false,
                        garbled: false,
                    });
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a ring that cannot be read");
                    self.refused.insert(path);
                }
            }
        }
    }

    /// What has been heard, in the round that began at this time.
    fn heard(&self, begun: u64) -> Round {
        let view = |ring: &Ring| ring.reader.view().to_owned();
        let unheard = |ring: &&Ring| !ring.is_read() || ring.behind || ring.garbled;
        let left = self.left.iter().map(|(place, _)| place.view.to_string());
        Round {
            begun,
            unheard: self.rings.iter().filter(unheard).map(view).chain(left).collect(),
            busy: self.rings.iter().filter(|ring| ring.busy).map(view).collect(),
        }
    }

    /// Gives room back, and removes the rings of processes that have ended once they are read out.
    fn release(&mut self) {
        let rings = std::mem::take(&mut self.rings);
        for ring in rings {
            ring.reader.release();
            if !(ring.dead && (ring.is_read() || ring.garbled)) {
                self.rings.push(ring);
                continue;
            }
            let whole = !ring.behind && !ring.garbled;
            self.seats.leave(ring.member, whole, &mut self.left);
            let path = ring.reader.path().to_owned();
            if let Err(error) = ring.reader.remove() {
                tracing::warn!(path = %path.display(), %error, "a ring that cannot be removed");
                self.refused.insert(path);
            }
        }
    }
}

impl Ring {
    /// Whether all has been read that there was in this round.
    fn is_read(&self) -> bool {
        self.reader.position() == self.messages && self.waiting.is_none()
    }

    /// Reads messages, up to the next control.
    fn read(&mut self, seats: &mut Seats, told: &mut Told, left: &mut usize) {
        let at = clock::now_ms();
        while self.waiting.is_none() && *left > 0 && !self.garbled {
            let record = match self.reader.next(self.messages) {
                Ok(Some(record)) => record,
                Ok(None) => return,
                Err(Garbled) => {
                    self.garbled = true;
                    seats.fall_behind(self.member);
                    seats.lost(self.member, told);
                    let path = self.reader.path().display();
                    tracing::warn!(%path, "a ring that somebody else has written to");
                    return;
                }
            };
            *left -= 1;
            let (control, order) = match record {
                Record::Handed { slot, position, time, redelivered, stamp } => {
                    let stamp =
                        stamp.map(|stamp| String::from_utf8_lossy(stamp).into_owned().into());
                    let message = Message { position, at, time, stamp, redelivered };
                    seats.handed(self.member, slot, message, told);
                    continue;
                }
                Record::Moved { slot, position } => {
                    seats.moved(self.member, slot, position, told);
                    continue;
                }
                Record::Lost { .. } => {
                    seats.lost(self.member, told);
                    continue;
                }
                Record::Assigned {
                    slot,
                    stream,
                    partition,
                    generation,
                    position,
                    resumed,
                    order,
                } => {
                    let (stream, partition) = (stream.to_owned(), partition.to_owned());
                    let control = Control::Assigned {
                        slot,
                        stream,
                        partition,
                        generation,
                        position,
                        resumed,
                    };
                    (control, order)
                }
                Record::Released { slot, order } => (Control::Released { slot }, order),
                Record::Generation { generation, order } => {
                    (Control::Generation(generation), order)
                }
            };
            self.waiting = Some((control, order, self.reader.position()));
        }
    }
}
