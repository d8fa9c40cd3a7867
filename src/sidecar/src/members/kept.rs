//! What is kept of members' rings, together with what was told: where each is read on, and who has what.
//! So a restart goes on in the middle of a ring, and of a group.
//!
//! | record | value |
//! |---|---|
//! | `rings/ring/<file>` | its member's number, its view and how that reads, where it is read on |
//! | `rings/slot/<member>/<slot>` | the seat's number |
//! | `rings/seat/<number>` | the partition, and who has had it last |

use std::collections::HashMap;

use lacuna_ring::Reading;
use serde::{Deserialize, Serialize};

use super::seats::{Seat, Seats};
use crate::record::Place;

/// Something that is kept under a name; `None`: no more.
pub type Record = (String, Option<Vec<u8>>);

/// What the names of all of them begin with.
pub const PREFIX: &str = "rings/";
const RING: &str = "ring/";
const SLOT: &str = "slot/";
const SEAT: &str = "seat/";

/// What is kept of one ring.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct KeptRing {
    pub(super) member: u64,
    pub(super) view: String,
    #[serde(with = "Reads")]
    pub(super) reads: Reading,
    /// Where it is read on; `None`: its member has left, and nothing is to be read of it any more.
    pub(super) position: Option<u64>,
}

/// How [`Reading`] is written.
#[derive(Deserialize, Serialize)]
#[serde(remote = "Reading")]
enum Reads {
    Ordered,
    Committed,
    Competing,
}

/// What was kept when the process before ended.
#[derive(Debug, Default)]
pub struct Kept {
    /// By the names of their files.
    pub(super) rings: HashMap<String, KeptRing>,
    pub(super) seats: Seats,
    /// The number that the next member has.
    pub(super) next: u64,
}

/// What of the seats is to be written.
#[derive(Debug, Default)]
pub(super) struct Changed {
    slots: Vec<Record>,
    /// The seats as they were written last.
    seats: Vec<Seat>,
}

impl KeptRing {
    pub(super) fn record(&self, file: &str) -> Record {
        (format!("{PREFIX}{RING}{file}"), serde_json::to_vec(self).ok())
    }
}

/// The file is there no more, and nothing is to be kept of it.
pub(super) fn forgotten(file: &str) -> Record {
    (format!("{PREFIX}{RING}{file}"), None)
}

impl Changed {
    pub(super) fn slot(&mut self, member: u64, slot: u32, seat: usize) {
        self.slots.push((slot_name(member, slot), serde_json::to_vec(&seat).ok()));
    }

    pub(super) fn gone(&mut self, member: u64, slots: impl Iterator<Item = u32>) {
        self.slots.extend(slots.map(|slot| (slot_name(member, slot), None)));
    }
}

impl Seats {
    /// What has changed since the last time.
    pub(super) fn changes(&mut self) -> Vec<Record> {
        let Self { seats, changed, .. } = self;
        let mut records = std::mem::take(&mut changed.slots);
        for (index, (place, seat)) in seats.iter().enumerate() {
            match changed.seats.get_mut(index) {
                Some(written) if written == seat => continue,
                Some(written) => *written = *seat,
                None => changed.seats.push(*seat),
            }
            let Place { view, stream, partition } = place;
            let value = serde_json::to_vec(&(view, stream, partition, seat)).ok();
            records.push((format!("{PREFIX}{SEAT}{index}"), value));
        }
        records
    }
}

impl Kept {
    /// From its records, their names without [`PREFIX`]; `None`: that is nothing of the kind.
    pub fn read<'a>(records: impl Iterator<Item = (&'a str, &'a [u8])>) -> Option<Self> {
        let mut kept = Self::default();
        let (mut seats, mut slots) = (Vec::new(), Vec::new());
        for (name, value) in records {
            if let Some(file) = name.strip_prefix(RING) {
                kept.rings.insert(file.to_owned(), serde_json::from_slice(value).ok()?);
            } else if let Some(slot) = name.strip_prefix(SLOT) {
                let (member, slot) = slot.split_once('/')?;
                let seat: usize = serde_json::from_slice(value).ok()?;
                slots.push((member.parse::<u64>().ok()?, slot.parse::<u32>().ok()?, seat));
            } else {
                let index: usize = name.strip_prefix(SEAT)?.parse().ok()?;
                let seat: (String, String, String, Seat) = serde_json::from_slice(value).ok()?;
                seats.push((index, seat));
            }
        }
        seats.sort_unstable_by_key(|(index, _)| *index);
        let members = kept.rings.values().map(|ring| ring.member);
        let members = members.chain(seats.iter().map(|(_, (.., seat))| seat.member));
        kept.next = members.max().map_or(0, |last| last.saturating_add(1));
        for (at, (index, (view, stream, partition, seat))) in seats.into_iter().enumerate() {
            let place =
                Place { view: view.into(), stream: stream.into(), partition: partition.into() };
            kept.seats.add(place, seat);
            kept.seats.changed.seats.push(seat);
            (at == index).then_some(())?;
        }
        for ring in kept.rings.values() {
            if ring.position.is_some() {
                kept.seats.join(ring.member, &ring.view, ring.reads);
            }
        }
        for (member, slot, seat) in slots {
            kept.seats.seats.get(seat)?;
            kept.seats.members.get_mut(&member)?.slots.insert(slot, seat);
        }
        Some(kept)
    }
}

fn slot_name(member: u64, slot: u32) -> String {
    format!("{PREFIX}{SLOT}{member}/{slot}")
}
