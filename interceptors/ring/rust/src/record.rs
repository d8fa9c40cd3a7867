//! What a consumer tells, and how it stands in words.
//!
//! The first word of a record holds its kind, flags, length in words and the low half of the
//! position that it stands at, by which a reader knows that it reads a record from its beginning.

use crate::map::words;

/// Longest stamp that is copied, in bytes. One that is longer is malformed, and so is its beginning.
const MAX_STAMP: usize = 257;
const NONE: u64 = u64::MAX;

/// Something that a consumer tells. A slot is its number for a partition of a stream, named when it
/// is assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A message was handed to the application.
    Handed {
        /// Where it was read.
        slot: u32,
        /// The broker's own offset, where it has one.
        position: Option<u64>,
        /// The message's own time, ms since the Unix epoch.
        time: Option<u64>,
        /// The broker's own flag, where it has one.
        redelivered: Option<bool>,
        /// The stamp's value; `None`: it has none.
        stamp: Option<&'a [u8]>,
    },
    /// The consumer has this partition from now on.
    Assigned {
        /// Its number from now on.
        slot: u32,
        /// The stream.
        stream: &'a str,
        /// The partition's label.
        partition: &'a str,
        /// The group's generation; `None`: the application has assigned it to itself.
        generation: Option<u64>,
        /// Where it begins to read, if that is known.
        position: Option<u64>,
        /// It had it before, and says so again to a reader that may not know.
        resumed: bool,
        /// See [`crate::order`].
        order: u64,
    },
    /// The consumer has this partition no more: all that was handed over stands before this.
    Released {
        /// Which.
        slot: u32,
        /// See [`crate::order`].
        order: u64,
    },
    /// The group has come to this generation, and the consumer is in it.
    Generation {
        /// Its number.
        generation: u64,
        /// See [`crate::order`].
        order: u64,
    },
    /// The application goes on elsewhere in this partition.
    Moved {
        /// Which.
        slot: u32,
        /// Where, if that is known.
        position: Option<u64>,
    },
    /// So much was not told since the last record: there was no room, or it was switched off.
    Lost {
        /// Records.
        records: u64,
    },
}

const HANDED: u8 = 1;
const ASSIGNED: u8 = 2;
const RELEASED: u8 = 3;
const GENERATION: u8 = 4;
const MOVED: u8 = 5;
const LOST: u8 = 6;

const RESUMED: u8 = 1;
const FLAGGED: u8 = 1;
const REDELIVERED: u8 = 2;
const STAMPED: u8 = 4;

impl<'a> Record<'a> {
    /// Writes it through `put`, word by word, for a place at `position`; its length in words.
    #[inline]
    pub(crate) fn encode(&self, position: u64, mut put: impl FnMut(u64, u64)) -> u64 {
        let (kind, flags, fixed, tail): (u8, u8, [u64; 4], [&[u8]; 2]) = match *self {
            Self::Handed { slot, position, time, redelivered, stamp } => {
                let flag = redelivered.map_or(0, |on| FLAGGED | if on { REDELIVERED } else { 0 });
                let flags = flag | if stamp.is_some() { STAMPED } else { 0 };
                let stamp = stamp.map_or(&[][..], |stamp| &stamp[..stamp.len().min(MAX_STAMP)]);
                let numbers = u64::from(slot) | (stamp.len() as u64) << 32;
                let fixed = [position.unwrap_or(NONE), time.unwrap_or(NONE), numbers, 0];
                (HANDED, flags, fixed, [stamp, &[]])
            }
            Self::Assigned { slot, stream, partition, generation, position, resumed, order } => {
                let (stream, partition) = (short(stream), short(partition));
                let lengths = (stream.len() as u64) << 32 | (partition.len() as u64) << 48;
                let generation = generation.unwrap_or(NONE);
                let fixed =
                    [u64::from(slot) | lengths, generation, position.unwrap_or(NONE), order];
                (ASSIGNED, if resumed { RESUMED } else { 0 }, fixed, [stream, partition])
            }
            Self::Released { slot, order } => {
                (RELEASED, 0, [u64::from(slot), order, 0, 0], [&[], &[]])
            }
            Self::Generation { generation, order } => {
                (GENERATION, 0, [generation, order, 0, 0], [&[], &[]])
            }
            Self::Moved { slot, position } => {
                (MOVED, 0, [u64::from(slot), position.unwrap_or(NONE), 0, 0], [&[], &[]])
            }
            Self::Lost { records } => (LOST, 0, [records, 0, 0, 0], [&[], &[]]),
        };
        let mut at = position + 1;
        for word in fixed {
            put(at, word);
            at += 1;
        }
        for word in tail.into_iter().flat_map(words) {
            put(at, word);
            at += 1;
        }
        let len = at - position;
        put(position, first(kind, flags, len, position));
        len
    }

    /// Words that it takes.
    pub(crate) fn len(&self) -> u64 {
        let bytes = match *self {
            Self::Handed { stamp, .. } => stamp.map_or(0, |stamp| stamp.len().min(MAX_STAMP)),
            Self::Assigned { stream, partition, .. } => {
                return 5
                    + (short(stream).len().div_ceil(8) + short(partition).len().div_ceil(8))
                        as u64;
            }
            Self::Released { .. }
            | Self::Generation { .. }
            | Self::Moved { .. }
            | Self::Lost { .. } => 0,
        };
        5 + bytes.div_ceil(8) as u64
    }

    /// Reads the record whose words are `fixed` and whose bytes follow; `None`: it is none.
    pub(crate) fn decode(kind: u8, flags: u8, fixed: [u64; 4], bytes: &'a [u8]) -> Option<Self> {
        let some = |word: u64| (word != NONE).then_some(word);
        let slot = |word: u64| low(word);
        Some(match kind {
            HANDED => {
                let [position, time, numbers, _] = fixed;
                let stamp = bytes.get(..usize::try_from(numbers >> 32).ok()?)?;
                Self::Handed {
                    slot: slot(numbers),
                    position: some(position),
                    time: some(time),
                    redelivered: (flags & FLAGGED != 0).then_some(flags & REDELIVERED != 0),
                    stamp: (flags & STAMPED != 0).then_some(stamp),
                }
            }
            ASSIGNED => {
                let [numbers, generation, position, order] = fixed;
                let stream_len = usize::from(u16::try_from(numbers >> 32 & 0xffff).ok()?);
                let partition_len = usize::try_from(numbers >> 48).ok()?;
                let partition_at = stream_len.div_ceil(8) * 8;
                let stream = bytes.get(..stream_len)?;
                let partition = bytes.get(partition_at..partition_at + partition_len)?;
                Self::Assigned {
                    slot: slot(numbers),
                    stream: str::from_utf8(stream).ok()?,
                    partition: str::from_utf8(partition).ok()?,
                    generation: some(generation),
                    position: some(position),
                    resumed: flags & RESUMED != 0,
                    order,
                }
            }
            RELEASED => Self::Released { slot: slot(fixed[0]), order: fixed[1] },
            GENERATION => Self::Generation { generation: fixed[0], order: fixed[1] },
            MOVED => Self::Moved { slot: slot(fixed[0]), position: some(fixed[1]) },
            LOST => Self::Lost { records: fixed[0] },
            _ => return None,
        })
    }
}

/// Fixed words of every record, the first one included.
pub(crate) const FIXED: u64 = 5;

fn first(kind: u8, flags: u8, len: u64, position: u64) -> u64 {
    u64::from(kind) | u64::from(flags) << 8 | (len & 0xffff) << 16 | position << 32
}

/// Kind, flags and length of the record that stands at `position`; `None`: none begins there.
pub(crate) fn split(word: u64, position: u64) -> Option<(u8, u8, u64)> {
    let [kind, flags, ..] = word.to_le_bytes();
    let len = word >> 16 & 0xffff;
    (word >> 32 == position & 0xffff_ffff && len >= FIXED).then_some((kind, flags, len))
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn low(word: u64) -> u32 {
    word as u32
}

/// Names of brokers are far shorter; one that is not is cut, and then is another name.
fn short(name: &str) -> &[u8] {
    &name.as_bytes()[..name.len().min(4_096)]
}
