//! Whose a record is.

use lacuna_core::state::Key;

const ENGINE: u8 = 0;
const CHECKER: u8 = 1;
const TAP: u8 = 2;

/// A record's key, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whose<'a> {
    /// The engine's, by name.
    Engine(&'a str),
    /// A worker's checker's.
    Checker(u16, &'a [u8]),
    /// A worker's tap's: the source's name, and the tap's own name for it.
    Tap(u16, &'a str, &'a str),
}

/// Of the engine as a whole.
#[must_use]
pub fn engine(name: &str) -> Vec<u8> {
    [&[ENGINE], name.as_bytes()].concat()
}

/// Of a worker's checker.
#[must_use]
pub fn checker(worker: u16, key: Key) -> Vec<u8> {
    [&[CHECKER][..], &worker.to_be_bytes(), &key.bytes()].concat()
}

/// Of a worker's tap of a source.
#[must_use]
pub fn tap(worker: u16, source: &str, name: &str) -> Vec<u8> {
    [&[TAP][..], &worker.to_be_bytes(), source.as_bytes(), &[0], name.as_bytes()].concat()
}

pub(super) fn read(key: &[u8]) -> Option<Whose<'_>> {
    let (&kind, rest) = key.split_first()?;
    if kind == ENGINE {
        return str::from_utf8(rest).ok().map(Whose::Engine);
    }
    let (worker, rest) = rest.split_first_chunk::<2>()?;
    let worker = u16::from_be_bytes(*worker);
    match kind {
        CHECKER => Some(Whose::Checker(worker, rest)),
        TAP => {
            let (source, name) = str::from_utf8(rest).ok()?.split_once('\0')?;
            Some(Whose::Tap(worker, source, name))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back() {
        assert_eq!(read(&engine("switch")), Some(Whose::Engine("switch")));
        assert_eq!(read(&tap(3, "main", "p/a/0")), Some(Whose::Tap(3, "main", "p/a/0")));
        let key = Key { kind: lacuna_core::state::Kind::Lanes, cell: 7, view: 1, index: 9 };
        let bytes = checker(2, key);
        let Some(Whose::Checker(2, rest)) = read(&bytes) else { panic!("{bytes:?}") };
        assert_eq!(Key::parse(rest), Ok(key));
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[9, 0, 0]), None);
        assert_eq!(read(&[TAP, 0, 0, b'a']), None);
    }
}
