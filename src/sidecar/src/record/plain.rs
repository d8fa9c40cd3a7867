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
    let mut rest = Rest(str::from_utf8(line).ok()?);
    let (mut view, mut stream, mut partition, mut stamp) = (None, None, None, None);
    let (mut position, mut at, mut time, mut redelivered) = (None, None, None, None);
    rest.token('{')?;
    loop {
        let name = rest.text()?;
        rest.token(':')?;
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
        if rest.token(',').is_none() {
            break;
        }
    }
    rest.token('}')?;
    if !rest.0.is_empty() {
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

/// What has not been read yet. Each step takes one token, and the blanks before it.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn token(&mut self, token: char) -> Option<()> {
        self.blanks();
        self.0 = self.0.strip_prefix(token)?;
        Some(())
    }

    fn text(&mut self) -> Option<&'a str> {
        self.token('"')?;
        let (text, rest) = self.0.split_at(memchr::memchr(b'"', self.0.as_bytes())?);
        self.0 = &rest[1..];
        Some(text)
    }

    fn number(&mut self) -> Option<u64> {
        self.blanks();
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.0.split_at(digits);
        // A fraction or an exponent is caught by the token that is expected next.
        if digits > 1 && number.starts_with('0') {
            return None;
        }
        self.0 = rest;
        number.parse().ok()
    }

    fn flag(&mut self) -> Option<bool> {
        self.blanks();
        let (flag, rest) = match self.0.strip_prefix("true") {
            Some(rest) => (true, rest),
            None => (false, self.0.strip_prefix("false")?),
        };
        self.0 = rest;
        Some(flag)
    }

    fn blanks(&mut self) {
        self.0 = self.0.trim_start_matches(' ');
    }
}
