//! One ring: what of it was read, what waits for its turn, and what room can be given back.

use std::collections::VecDeque;

use lacuna_ring::{Garbled, Reader, Record};

use super::kept::{self, KeptRing};
use super::seats::{Control, Seats, Told};
use crate::clock;
use crate::record::Message;

/// Quarters of a ring that hold what was read and is not kept: from here on that is to be soon; and from
/// here on room is given back all the same, since a member that finds none tells nothing.
const SOON: u64 = 1;
const FULL: u64 = 3;

/// One ring, as far as it was read.
pub(super) struct Ring {
    pub(super) member: u64,
    /// Its file's name.
    pub(super) file: String,
    pub(super) reader: Reader,
    /// A control that waits for its turn.
    pub(super) waiting: Option<Waiting>,
    /// Numbers of instants that are not kept yet, and up to where it was read by then.
    unkept: VecDeque<(u64, u64)>,
    /// Up to where it was read by the last of them.
    pub(super) written: Option<u64>,
    /// Up to where controls may be taken in this round, and messages.
    pub(super) controls: u64,
    pub(super) messages: u64,
    pub(super) dead: bool,
    pub(super) behind: bool,
    pub(super) busy: bool,
    pub(super) garbled: bool,
}

/// A control, read and not taken.
pub(super) struct Waiting {
    pub(super) control: Control,
    /// When it was told.
    pub(super) order: u64,
    /// Where it stands.
    begin: u64,
    pub(super) end: u64,
}

impl Ring {
    pub(super) fn new(member: u64, file: String, reader: Reader) -> Self {
        Self {
            member,
            file,
            reader,
            waiting: None,
            unkept: VecDeque::new(),
            written: None,
            controls: 0,
            messages: 0,
            dead: false,
            behind: false,
            busy: false,
            garbled: false,
        }
    }

    /// What was read of it is in the instant of this number.
    pub(super) fn handed_out(&mut self, number: u64) {
        let position = self.position();
        match self.unkept.back_mut() {
            Some(last) if last.0 == number => last.1 = position,
            _ => self.unkept.push_back((number, position)),
        }
    }

    /// Gives room back where what stood there is kept; whether the rest is to be kept soon.
    pub(super) fn release(&mut self, is_kept: impl Fn(u64) -> bool) -> bool {
        while let Some(&(number, position)) = self.unkept.front()
            && is_kept(number)
        {
            self.unkept.pop_front();
            self.reader.release(position);
        }
        if self.reader.quarters_held() >= FULL {
            self.unkept.clear();
            self.reader.release(self.position());
        }
        self.reader.quarters_held() >= SOON
    }

    /// Up to where it was heard: what waits for its turn is read again.
    pub(super) fn position(&self) -> u64 {
        self.waiting.as_ref().map_or_else(|| self.reader.position(), |waiting| waiting.begin)
    }

    pub(super) fn kept(&self, position: Option<u64>) -> kept::Record {
        let Self { member, reader, .. } = self;
        let (view, reads) = (reader.view().to_owned(), reader.reading());
        KeptRing { member: *member, view, reads, position }.record(&self.file)
    }

    /// Whether all has been read that there was in this round.
    pub(super) fn is_read(&self) -> bool {
        self.reader.position() == self.messages && self.waiting.is_none()
    }

    /// Reads messages, up to the next control.
    pub(super) fn read(&mut self, seats: &mut Seats, told: &mut Told, left: &mut usize) {
        let at = clock::now_ms();
        while self.waiting.is_none() && *left > 0 && !self.garbled {
            let begin = self.reader.position();
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
            self.waiting = Some(Waiting { control, order, begin, end: self.reader.position() });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lacuna_ring::{Reading, Writer};

    use super::*;

    /// What a member that finds no room does not tell is unknown for sure; what is given back and was not
    /// kept is so only after a crash.
    #[test]
    fn room_is_given_back_once_it_is_kept_or_badly_needed() {
        let dir = std::env::temp_dir().join(format!("lacuna-room-{}", std::process::id()));
        let mut writer = Writer::create(&dir, "billing", Reading::Ordered, 8_192).unwrap();
        let path = Reader::list(&dir).unwrap().remove(0);
        let open = |position| Ring::new(0, String::new(), Reader::open(&path, position).unwrap());
        let mut ring = open(None);
        // Five words each, of 1,024.
        let mut told = |ring: &mut Ring, records: u64, number| {
            for slot in 0..records {
                assert!(writer.add(&Record::Moved { slot: 9, position: Some(slot) }));
            }
            ring.messages = ring.reader.head();
            ring.read(&mut Seats::default(), &mut Told::new(), &mut usize::MAX.clone());
            ring.handed_out(number);
        };
        told(&mut ring, 40, 1);
        assert!(!ring.release(|_| false), "there is room");
        told(&mut ring, 40, 2);
        assert!(ring.release(|_| false), "a quarter is used");
        assert_eq!(ring.reader.quarters_held(), 1);
        // Whoever comes after a crash reads on where the last kept instant was.
        assert!(!open(Some(200)).reader.has_missed());
        assert!(!ring.release(|number| number < 2));
        assert_eq!(open(None).position(), 200);
        told(&mut ring, 110, 3);
        assert!(ring.release(|_| false));
        told(&mut ring, 10, 3);
        assert!(!ring.release(|_| false), "three quarters were used");
        assert_eq!(open(None).position(), 1_000);
        assert!(open(Some(200)).reader.has_missed());
        fs::remove_dir_all(&dir).unwrap();
    }
}
