//! Cores whose state is saved bit by bit, and that are lost now and then and go on from what was
//! saved, as though nothing had happened.

use std::collections::BTreeMap;

use lacuna_core::state::{Key, Kind, Loader};
use lacuna_core::verdict::Verdict;

use crate::compare::Found;
use crate::line::{Entry, Line};
use crate::rng::Rng;
use crate::team::Team;
use crate::trial::Terms;

/// A store: what was written together is there together. By core, and by key.
type Store = BTreeMap<(usize, Key), Vec<u8>>;
/// What is written on the way to an instant; `None`: deleted.
type Writes = BTreeMap<(usize, Key), Option<Vec<u8>>>;

/// An instant: the lines that came before it, and what the team itself knew.
#[derive(Clone, Debug, Default)]
struct Instant {
    lines: usize,
    now: Option<u64>,
    early: Vec<Entry>,
}

/// Cores, and what was saved of them.
#[derive(Debug)]
pub struct Kept {
    team: Team,
    terms: Terms,
    /// Decides when they are saved and lost; `None`: never.
    rng: Option<Rng>,
    store: Store,
    saved: Instant,
    /// What is being written.
    writing: Option<(Instant, Writes)>,
    taken: usize,
}

impl Kept {
    /// Cores on these terms.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            team: Team::new(terms.grace, terms.skew, terms.checkers),
            terms,
            rng: terms.lost.map(Rng::new),
            store: Store::new(),
            saved: Instant::default(),
            writing: None,
            taken: 0,
        }
    }

    /// What all of them report together.
    pub fn found(&mut self) -> Found {
        self.team.found()
    }

    /// The recording is whole; false: that cannot be told.
    pub fn complete(&mut self) -> bool {
        self.team.complete()
    }

    /// Hands over the next line, and goes on with the saving.
    ///
    /// # Errors
    /// What a core refuses, or does not read of what it wrote.
    pub fn take(&mut self, lines: &[Line]) -> Result<Option<Verdict>, String> {
        self.live(lines)?;
        let verdict = self.team.apply(&lines[self.taken])?;
        self.taken += 1;
        Ok(verdict)
    }

    /// What happens before a line.
    fn live(&mut self, lines: &[Line]) -> Result<(), String> {
        let Some(rng) = &mut self.rng else { return Ok(()) };
        let budget = usize::from(rng.below(3) == 0);
        match rng.below(16) {
            0 if self.writing.is_none() => {
                let mut writes = Writes::new();
                for (core, checker) in self.team.checkers.iter_mut().enumerate() {
                    checker.save(&mut |key, bytes| write(&mut writes, (core, key), bytes));
                }
                let Team { now, ref early, .. } = self.team;
                let instant = Instant { lines: self.taken, now, early: early.clone() };
                self.writing = Some((instant, writes));
            }
            1 => self.lose(lines)?,
            _ => {}
        }
        let Some((instant, mut writes)) = self.writing.take() else { return Ok(()) };
        let mut more = false;
        for (core, checker) in self.team.checkers.iter_mut().enumerate() {
            let mut put = |key, bytes: Option<&[u8]>| write(&mut writes, (core, key), bytes);
            more |= checker.save_more(budget, &mut put);
        }
        if more {
            self.writing = Some((instant, writes));
            return Ok(());
        }
        self.saved = instant;
        for (key, bytes) in writes {
            match bytes {
                Some(bytes) => drop(self.store.insert(key, bytes)),
                None => drop(self.store.remove(&key)),
            }
        }
        Ok(())
    }

    /// The process ends; another one goes on from what was saved, and reads again what came after.
    fn lose(&mut self, lines: &[Line]) -> Result<(), String> {
        self.writing = None;
        let Terms { grace, skew, checkers, .. } = self.terms;
        self.team = Team::new(grace, skew, checkers);
        let Instant { now, ref early, .. } = self.saved;
        (self.team.now, self.team.early) = (now, early.clone());
        let mut written = Writes::new();
        for (core, checker) in self.team.checkers.iter_mut().enumerate() {
            let mut loader = Loader::new(checker);
            for ((_, key), bytes) in self.store.iter().filter(|((of, _), _)| *of == core) {
                let read = loader.record(*key, bytes);
                read.map_err(|error| format!("{key:?} is not read back: {error}"))?;
            }
            loader.finish().map_err(|error| format!("the state is not whole: {error}"))?;
            let mut put = |key, bytes: Option<&[u8]>| write(&mut written, (core, key), bytes);
            checker.save(&mut put);
            while checker.save_more(1, &mut put) {}
        }
        // A head that was never written says nothing.
        for (key, bytes) in written {
            let fresh = key.1.kind == Kind::Head && !self.store.contains_key(&key);
            if !fresh && bytes.as_ref() != self.store.get(&key) {
                return Err(format!("{key:?} is not what was read"));
            }
        }
        for line in &lines[self.saved.lines..self.taken] {
            self.team.apply(line)?;
        }
        Ok(())
    }
}

fn write(writes: &mut Writes, key: (usize, Key), bytes: Option<&[u8]>) {
    writes.insert(key, bytes.map(<[u8]>::to_vec));
}
