//! The short way for the plain line: a message's, flat, in ASCII, without escapes. That is nearly
//! every line of a recording, and it is read several times faster than by the general way.
//!
//! It never refuses: for whatever is not plain, good or bad, it has no answer, and the general way
//! is asked. Where it answers, the general way says the same.

use std::borrow::Cow;
use std::str;

use super::line::{Event, Line, Message, Place};

/// The line, if it is plain.
pub(super) fn message(line: &[u8]) -> Option<Line<'_>> {
    let line = line.trim_ascii();
    // One pass that has no exit, so that it is done in vectors.
    if !line.iter().fold(true, |plain, &b| plain & (b' '..0x7f).contains(&b) & (b != b'\\')) {
        return None;
    }
    let mut rest = Rest { line: str::from_utf8(line).ok()?, at: 0 };
    let (mut view, mut stream, mut partition, mut stamp) = (None, None, None, None);
    let (mut position, mut at, mut time, mut redelivered) = (None, None, None, None);
    rest.token(b'{')?;
    loop {
        let name = rest.text()?;
        rest.token(b':')?;
        match name {
            "view" => once(&mut view, rest.text()?)?,
            "stream" => once(&mut stream, rest.text()?)?,
            "partition" => once(&mut partition, rest.text()?)?,
            "position" => once(&mut position, rest.number()?)?,
            "at" => once(&mut at, rest.number()?)?,
            "time" => once(&mut time, rest.number()?)?,
            "stamp" => once(&mut stamp, rest.text()?)?,
            "redelivered" => once(&mut redelivered, rest.flag()?)?,
            _ => return None,
        }
        if rest.token(b',').is_none() {
            break;
        }
    }
    rest.token(b'}')?;
    if rest.at < line.len() {
        return None;
    }
    let place = Place {
        view: Cow::Borrowed(view.unwrap_or("log")),
        stream: Cow::Borrowed(stream?),
        partition: Cow::Borrowed(partition?),
    };
    let stamp = stamp.map(Cow::Borrowed);
    Some(Line::At(place, Event::Message(Message { position, at: at?, time, stamp, redelivered })))
}

/// A member that is there twice is not plain.
fn once<T>(member: &mut Option<T>, value: T) -> Option<()> {
    member.replace(value).is_none().then_some(())
}

/// How far the line has been read. Each step takes one token, and the blanks before it.
struct Rest<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    fn token(&mut self, token: u8) -> Option<()> {
        (self.peek()? == token).then(|| self.at += 1)
    }

    fn text(&mut self) -> Option<&'a str> {
        self.token(b'"')?;
        let length = memchr::memchr(b'"', &self.line.as_bytes()[self.at..])?;
        let text = &self.line[self.at..self.at + length];
        self.at += length + 1;
        Some(text)
    }

    fn number(&mut self) -> Option<u64> {
        let first = self.peek()?;
        let (begin, mut number) = (self.at, 0_u64);
        while let Some(digit) = self.digit() {
            number = number.wrapping_mul(10).wrapping_add(digit);
            self.at += 1;
        }
        // 19 digits stay below 10^19 < 2^64. A fraction or an exponent is caught by the token that
        // is expected next.
        let digits = self.at - begin;
        ((1..=19).contains(&digits) && (first != b'0' || digits == 1)).then_some(number)
    }

    fn digit(&self) -> Option<u64> {
        let digit = self.line.as_bytes().get(self.at)?.wrapping_sub(b'0');
        (digit <= 9).then_some(digit.into())
    }

    fn flag(&mut self) -> Option<bool> {
        self.peek()?;
        let rest = &self.line[self.at..];
        let (flag, length) = if rest.starts_with("true") {
            (true, "true".len())
        } else if rest.starts_with("false") {
            (false, "false".len())
        } else {
            return None;
        };
        self.at += length;
        Some(flag)
    }

    /// The next byte that is not a blank.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.line.as_bytes().get(self.at) {
                Some(b' ') => self.at += 1,
                byte => return byte.copied(),
            }
        }
    }
}
