//! Neighbouring holes in one block, 16 bytes each.

use alloc::vec::Vec;

use crate::hole::{Fact, Hole};
use crate::verdict::State;

/// Most entries of one chunk: 2 KiB, so that an insertion moves at most that.
pub(crate) const CHUNK: usize = 128;
/// How far before a chunk's first time another entry's time may lie (24 days in ms).
const TIME_SLACK: u64 = 1 << 31;

/// An entry of a chunk, relative to it.
#[derive(Clone, Copy, Debug)]
struct Narrow {
    first: u32,
    more: u32,
    opened: u32,
    fact: Fact,
    state: State,
}

/// Neighbouring holes.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// Its lowest number, kept here so that a search need not look inside.
    pub(crate) first: u64,
    body: Body,
}

/// A hole that is too long or too far for 32 bits has a chunk of its own.
#[derive(Clone, Debug)]
enum Body {
    Narrow { base: u64, time: u64, holes: Vec<Narrow> },
    Wide(Hole),
}

impl Chunk {
    /// A chunk with room for so many.
    pub(crate) fn new(hole: Hole, room: usize) -> Self {
        let time = hole.opened.saturating_sub(TIME_SLACK);
        let body = match narrow(hole.first, time, &hole) {
            Some(entry) => {
                let mut holes = Vec::with_capacity(room);
                holes.push(entry);
                Body::Narrow { base: hole.first, time, holes }
            }
            None => Body::Wide(hole),
        };
        Self { first: hole.first, body }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.body {
            Body::Narrow { holes, .. } => holes.len(),
            Body::Wide(_) => 1,
        }
    }

    pub(crate) fn at(&self, index: usize) -> Hole {
        match &self.body {
            Body::Wide(hole) => *hole,
            Body::Narrow { base, time, holes } => {
                let entry = holes[index];
                let first = base + u64::from(entry.first);
                Hole {
                    first,
                    last: first + u64::from(entry.more),
                    opened: time + u64::from(entry.opened),
                    fact: entry.fact,
                    state: entry.state,
                }
            }
        }
    }

    /// Index of the first entry whose last number is at least `number`.
    pub(crate) fn lower_bound(&self, number: u64) -> usize {
        match &self.body {
            Body::Wide(hole) => usize::from(hole.last < number),
            Body::Narrow { base, holes, .. } => holes.partition_point(|entry| {
                base + u64::from(entry.first) + u64::from(entry.more) < number
            }),
        }
    }

    /// Puts `hole` at `index`, in place of the entry there or before it; gives it back if it does
    /// not fit this chunk.
    pub(crate) fn write(&mut self, index: usize, hole: Hole, replace: bool) -> Result<(), Hole> {
        match &mut self.body {
            Body::Wide(own) if replace => *own = hole,
            Body::Wide(_) => return Err(hole),
            Body::Narrow { base, time, holes } => {
                let entry = narrow(*base, *time, &hole).ok_or(hole)?;
                if replace {
                    holes[index] = entry;
                } else if holes.len() < CHUNK {
                    holes.insert(index, entry);
                } else {
                    return Err(hole);
                }
            }
        }
        if index == 0 {
            self.first = hole.first;
        }
        Ok(())
    }

    /// Takes the entries from `index` on into a chunk of their own; `None`: there is only one.
    pub(crate) fn split_off(&mut self, index: usize) -> Option<Self> {
        let Body::Narrow { base, time, holes } = &mut self.body else { return None };
        let right = holes.split_off(index);
        let first = *base + u64::from(right.first()?.first);
        Some(Self { first, body: Body::Narrow { base: *base, time: *time, holes: right } })
    }

    /// Bytes held on the heap.
    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.body {
            Body::Narrow { holes, .. } => holes.capacity() * size_of::<Narrow>(),
            Body::Wide(_) => 0,
        }
    }

    /// Drops an entry; whether it was the only one.
    pub(crate) fn drop_at(&mut self, index: usize) -> bool {
        match &mut self.body {
            Body::Narrow { base, holes, .. } if holes.len() > 1 => {
                holes.remove(index);
                self.first = *base + u64::from(holes[0].first);
                false
            }
            Body::Narrow { .. } | Body::Wide(_) => true,
        }
    }
}

/// As an entry of a chunk; `None`: it is too long or too far.
fn narrow(base: u64, time: u64, hole: &Hole) -> Option<Narrow> {
    Some(Narrow {
        first: u32::try_from(hole.first.checked_sub(base)?).ok()?,
        more: u32::try_from(hole.last - hole.first).ok()?,
        opened: u32::try_from(hole.opened.checked_sub(time)?).ok()?,
        fact: hole.fact,
        state: hole.state,
    })
}
