//! The stamp: one header, `1;<producer>;<epoch>;<origin>;<lane>;<seq>` (contracts §1).
//!
//! ```text
//! 1;orders-api@web-3;18c2f0a4e1b;9ae0daaf;3;18446
//! └──────────────── lane prefix ───────────┘ └ seq
//! ```
//!
//! All before the last `;` names the lane, so a reader looks that prefix up as bytes and parses one
//! number. The prefix is validated once, when its lane is created; every field has one spelling, so
//! equal lanes have equal bytes.

use core::fmt;

/// The header's (Kafka, AMQP) or user property's (RocketMQ, MQTT 5) name.
pub const HEADER: &str = "lacuna-stamp";
/// Longest whole value, in bytes.
pub const MAX_LEN: usize = 256;
/// Longest producer name, in bytes.
pub const MAX_PRODUCER: usize = 128;
/// Longest lane label, in bytes.
pub const MAX_LANE: usize = 64;
/// Greatest sequence number: 2^63 - 1.
pub const MAX_SEQ: u64 = i64::MAX as u64;
/// The lane label of a count over the whole stream.
pub const SPAN: &str = "*";

/// A well-formed stamp, its text fields borrowed from the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// The sending client's name, the same across its restarts.
    pub producer: &'a str,
    /// One run of that producer; by default ms since the Unix epoch at its start.
    pub epoch: u64,
    /// CRC-32 (IEEE) of the stream's name that it was stamped for.
    pub origin: u32,
    /// The partition's label, or [`SPAN`].
    pub lane: &'a str,
    /// 0 for the lane's first message, then +1.
    pub seq: u64,
}

/// Why a header value is not a stamp of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampError {
    /// The first field is a canonical decimal other than 1: a later version of this format.
    Unsupported,
    /// Anything else that is not of the form.
    Malformed,
}

impl fmt::Display for StampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsupported => "stamp version is not supported",
            Self::Malformed => "stamp is malformed",
        })
    }
}

impl core::error::Error for StampError {}

impl<'a> Stamp<'a> {
    /// Reads a header's value; only canonical forms are stamps.
    pub fn parse(value: &'a [u8]) -> Result<Self, StampError> {
        let version_end = value.iter().position(|&b| b == b';').ok_or(StampError::Malformed)?;
        if &value[..version_end] != b"1" {
            return Err(if decimal_form(&value[..version_end]) {
                StampError::Unsupported
            } else {
                StampError::Malformed
            });
        }
        if value.len() > MAX_LEN {
            return Err(StampError::Malformed);
        }
        let mut fields = value[version_end + 1..].split(|&b| b == b';');
        let mut field = || fields.next().ok_or(StampError::Malformed);
        let (producer, epoch, origin, lane, seq) =
            (field()?, field()?, field()?, field()?, field()?);
        if field().is_ok() {
            return Err(StampError::Malformed);
        }
        (|| {
            Some(Self {
                producer: text(producer, is_producer)?,
                epoch: parse_epoch(epoch)?,
                origin: parse_origin(origin)?,
                lane: text(lane, is_lane)?,
                seq: parse_seq(seq)?,
            })
        })()
        .ok_or(StampError::Malformed)
    }

    /// Whether it was stamped for this stream (its name's [`origin`]) and, where its lane is a
    /// partition's number, for this partition. If not it is foreign: copied along by a forwarder,
    /// a mirror or a dead-letter queue.
    #[must_use]
    pub fn is_from(&self, origin: u32, partition: &str) -> bool {
        self.origin == origin && self.lane_fits(partition)
    }

    /// Whether its lane may be read from this partition: a decimal lane only from its own.
    #[must_use]
    pub fn lane_fits(&self, partition: &str) -> bool {
        !self.lane.bytes().all(|b| b.is_ascii_digit()) || self.lane == partition
    }
}

/// A stamp's value cut at the last `;`: the lane's prefix and its number. `None` if the tail is not
/// a canonical number; the prefix is not looked at.
#[must_use]
#[inline]
pub fn split(value: &[u8]) -> Option<(&[u8], u64)> {
    // From the end, digit by digit; 19 digits stay below 10^19 < 2^64.
    let (mut seq, mut scale, mut digits, mut first) = (0_u64, 1_u64, 0_usize, 0_u8);
    for &byte in value.iter().rev() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let canonical = byte == b';' && digits > 0 && (first != 0 || digits == 1);
            let prefix = value.get(..value.len() - digits - 1)?;
            return (canonical && seq <= MAX_SEQ).then_some((prefix, seq));
        }
        if digits == 19 {
            return None;
        }
        seq = seq.wrapping_add(u64::from(digit).wrapping_mul(scale));
        scale = scale.wrapping_mul(10);
        first = digit;
        digits += 1;
    }
    None
}

/// CRC-32 (IEEE 802.3, reflected, as in zlib) of a stream's UTF-8 name.
#[must_use]
pub fn origin(stream: &str) -> u32 {
    // Once per stream, so the bitwise form serves; a table or a crate would buy nothing.
    !stream.bytes().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

/// Whether this is a producer's name: 1 to 128 of `A-Z a-z 0-9 . _ : @ / -`.
#[must_use]
pub fn is_producer(name: &[u8]) -> bool {
    (1..=MAX_PRODUCER).contains(&name.len()) && name.iter().all(|&b| label_byte(b) || b == b'/')
}

/// Whether this is a lane's label: 1 to 64 of `A-Z a-z 0-9 . _ : @ -`, no leading zero if all are
/// digits, or `*` alone.
#[must_use]
pub fn is_lane(label: &[u8]) -> bool {
    if label == SPAN.as_bytes() {
        return true;
    }
    (1..=MAX_LANE).contains(&label.len())
        && label.iter().all(|&b| label_byte(b))
        && (decimal_form(label) || !label.iter().all(u8::is_ascii_digit))
}

/// Reads an epoch: lower-case hex, no leading zero, `0` itself one digit.
#[must_use]
pub fn parse_epoch(text: &[u8]) -> Option<u64> {
    let canonical = (1..=16).contains(&text.len()) && (text[0] != b'0' || text.len() == 1);
    if canonical { hex(text) } else { None }
}

/// Reads a number: decimal, no leading zero, at most [`MAX_SEQ`].
#[must_use]
#[inline]
pub fn parse_seq(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 || (text[0] == b'0' && text.len() > 1) {
        return None;
    }
    let mut seq = 0_u64;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // 19 digits stay below 10^19 < 2^64.
        seq = seq * 10 + u64::from(digit);
    }
    (seq <= MAX_SEQ).then_some(seq)
}

fn parse_origin(text: &[u8]) -> Option<u32> {
    if text.len() != 8 {
        return None;
    }
    hex(text).and_then(|crc| u32::try_from(crc).ok())
}

fn hex(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0_u64, |value, &byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

fn text(bytes: &[u8], form: fn(&[u8]) -> bool) -> Option<&str> {
    if form(bytes) { core::str::from_utf8(bytes).ok() } else { None }
}

fn decimal_form(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit) && (text[0] != b'0' || text.len() == 1)
}

fn label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'@' | b'-')
}

impl fmt::Display for Stamp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { producer, epoch, origin, lane, seq } = self;
        write!(f, "1;{producer};{epoch:x};{origin:08x};{lane};{seq}")
    }
}

/// One lane's writer: the prefix is formatted once, a stamp is that and a number.
#[derive(Clone, Debug)]
pub struct Encoder {
    buffer: [u8; MAX_LEN],
    prefix: usize,
}

impl Encoder {
    /// A writer of `producer`'s stamps for `lane` of `stream`. `None` if a name is not of the form
    /// or the greatest value would not fit.
    #[must_use]
    pub fn new(producer: &str, epoch: u64, stream: &str, lane: &str) -> Option<Self> {
        if !is_producer(producer.as_bytes()) || !is_lane(lane.as_bytes()) {
            return None;
        }
        let mut encoder = Self { buffer: [0; MAX_LEN], prefix: 0 };
        let origin = origin(stream);
        fmt::Write::write_fmt(
            &mut Cursor(&mut encoder),
            format_args!("1;{producer};{epoch:x};{origin:08x};{lane};"),
        )
        .ok()?;
        (encoder.prefix + 19 <= MAX_LEN).then_some(encoder)
    }

    /// The value with this number; `seq` is at most [`MAX_SEQ`].
    #[inline]
    pub fn encode(&mut self, seq: u64) -> &[u8] {
        debug_assert!(seq <= MAX_SEQ, "a number that no reader takes");
        let mut digits = [0_u8; 20];
        let mut at = digits.len();
        let mut rest = seq;
        loop {
            at -= 1;
            let digit = (rest % 10) as u8;
            digits[at] = b'0' + digit;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let end = self.prefix + digits.len() - at;
        self.buffer[self.prefix..end].copy_from_slice(&digits[at..]);
        &self.buffer[..end]
    }
}

struct Cursor<'a>(&'a mut Encoder);

impl fmt::Write for Cursor<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.0.prefix + text.len();
        let room = self.0.buffer.get_mut(self.0.prefix..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.0.prefix = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_contract_s_own_example() {
        let stamp = Stamp::parse(b"1;orders-api@web-3;18c2f0a4e1b;9ae0daaf;3;18446").unwrap();
        assert_eq!(stamp.seq, 18446);
        assert_eq!(stamp.epoch, 0x018c_2f0a_4e1b);
        assert_eq!(stamp.to_string(), "1;orders-api@web-3;18c2f0a4e1b;9ae0daaf;3;18446");
        assert!(stamp.is_from(0x9ae0_daaf, "3"));
        assert!(!stamp.is_from(0x9ae0_daaf, "4"));
    }

    #[test]
    fn origin_is_the_crc_of_zlib() {
        assert_eq!(origin("123456789"), 0xcbf4_3926);
        assert_eq!(origin(""), 0);
    }

    #[test]
    fn an_encoder_writes_what_display_does() {
        let mut encoder = Encoder::new("p", 0, "orders", "*").unwrap();
        for seq in [0, 9, 10, 18_446, MAX_SEQ] {
            let value = encoder.encode(seq).to_vec();
            let stamp = Stamp::parse(&value).unwrap();
            assert_eq!((stamp.seq, stamp.origin), (seq, origin("orders")));
            assert_eq!(stamp.to_string().as_bytes(), value);
            assert_eq!(
                split(&value),
                Some((&value[..value.len() - seq.to_string().len() - 1], seq))
            );
        }
    }
}
