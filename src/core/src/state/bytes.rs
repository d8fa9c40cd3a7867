//! Numbers as bytes: seven bits a byte, the lowest first; signed ones folded, so that small
//! differences are short in either direction.

use alloc::vec::Vec;

use super::Damaged;

/// Writes behind what stands there.
pub(super) trait Put {
    fn number(&mut self, value: u64);
    fn wide(&mut self, value: u128);
    fn bytes(&mut self, value: &[u8]);

    fn flag(&mut self, value: bool) {
        self.number(u64::from(value));
    }
    fn count(&mut self, value: usize) {
        self.number(value as u64);
    }
    fn option(&mut self, value: Option<u64>) {
        self.flag(value.is_some());
        if let Some(value) = value {
            self.number(value);
        }
    }
    /// The difference to what came before, whichever way it goes.
    fn step(&mut self, before: &mut u64, value: u64) {
        let by = value.wrapping_sub(*before);
        self.number((by << 1) ^ (by >> 63).wrapping_neg());
        *before = value;
    }
}

impl Put for Vec<u8> {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the low seven bits are meant")]
    fn number(&mut self, mut value: u64) {
        while value > 0x7f {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    #[expect(clippy::cast_possible_truncation, reason = "the halves are meant")]
    fn wide(&mut self, value: u128) {
        self.number(value as u64);
        self.number((value >> 64) as u64);
    }

    fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.extend_from_slice(value);
    }
}

/// Reads bytes that may be anything.
#[derive(Clone, Debug)]
pub(crate) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Damaged> {
        let (&first, rest) = self.0.split_first().ok_or(Damaged::Short)?;
        self.0 = rest;
        Ok(first)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, Damaged> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && byte > 1 {
                return Err(Damaged::Number);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damaged::Number)
    }

    pub(super) fn wide(&mut self) -> Result<u128, Damaged> {
        let low = u128::from(self.number()?);
        Ok(low | u128::from(self.number()?) << 64)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Damaged> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Damaged::Number),
        }
    }

    pub(super) fn option(&mut self) -> Result<Option<u64>, Damaged> {
        if self.flag()? { self.number().map(Some) } else { Ok(None) }
    }

    /// A number that fits the type.
    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Damaged> {
        T::try_from(self.number()?).map_err(|_| Damaged::Number)
    }

    /// How many things follow; each takes a byte at least, so that room for them is bounded.
    pub(super) fn count(&mut self) -> Result<usize, Damaged> {
        let count = self.small()?;
        if count > self.0.len() { Err(Damaged::Short) } else { Ok(count) }
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let count = self.count()?;
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Damaged> {
        core::str::from_utf8(self.bytes()?).map_err(|_| Damaged::Text)
    }

    #[inline]
    pub(super) fn step(&mut self, before: &mut u64) -> Result<u64, Damaged> {
        let folded = self.number()?;
        *before = before.wrapping_add((folded >> 1) ^ (folded & 1).wrapping_neg());
        Ok(*before)
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), Damaged> {
        if self.0.is_empty() { Ok(()) } else { Err(Damaged::Long) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_no_other_bytes_are_read() {
        let values =
            [0, 1, 127, 128, 300, u64::from(u32::MAX), 1 << 62, (1 << 63) - 1, 1 << 63, u64::MAX];
        for value in values {
            let mut out = Vec::new();
            out.number(value);
            let mut take = Take(&out);
            assert_eq!((take.number(), take.end()), (Ok(value), Ok(())));
            let mut short = Take(&out[..out.len() - 1]);
            assert_eq!(short.number(), Err(Damaged::Short));
            for other in values {
                let (mut out, mut from, mut back) = (Vec::new(), other, other);
                out.step(&mut from, value);
                assert_eq!((Take(&out).step(&mut back), back), (Ok(value), value));
            }
        }
        assert_eq!(Take(&[0xff; 9]).number(), Err(Damaged::Short));
        assert_eq!(Take(&[0xff; 10]).number(), Err(Damaged::Number));
        assert_eq!(Take(&[5, 1]).bytes(), Err(Damaged::Short));
    }
}
