//! Records of a saved state: a key, the length of what it holds (two bytes, the lower first), and that.
//! A checksum guards them on the disk, so that whoever gets here has written the file himself: it is
//! refused, or can be shown and saved.

use std::collections::BTreeMap;

use lacuna_core::report::Filter;
use lacuna_core::state::{Damaged, Key, Loader};
use lacuna_core::{Checker, Settings};

type Records = BTreeMap<Key, Vec<u8>>;

pub(crate) fn state(data: &[u8]) {
    let mut saved = records(data);
    let Ok(mut checker) = load(&saved) else { return };
    let mut put = |key, bytes: Option<&[u8]>| match bytes {
        Some(bytes) => drop(saved.insert(key, bytes.to_vec())),
        None => drop(saved.remove(&key)),
    };
    shown(&mut checker);
    checker.save(&mut put);
    while checker.save_more(64, &mut put) {}
    // Records that no run wrote together may be refused then, but make nothing fail.
    if let Ok(mut again) = load(&saved) {
        shown(&mut again);
    }
}

fn shown(checker: &mut Checker) {
    let filter = Filter::default();
    assert!(!format!("{:?}", checker.report(&filter, true)).is_empty());
    assert!(!format!("{:?}", checker.gaps(&filter, &|_| true, None, 100)).is_empty());
}

fn records(mut data: &[u8]) -> Records {
    let mut records = Records::new();
    while let Some((head, rest)) = data.split_first_chunk::<{ Key::LEN + 2 }>() {
        let length = usize::from(u16::from_le_bytes([head[Key::LEN], head[Key::LEN + 1]]));
        let value = &rest[..length.min(rest.len())];
        data = &rest[value.len()..];
        if let Ok(key) = Key::parse(&head[..Key::LEN]) {
            records.insert(key, value.to_vec());
        }
    }
    records
}

fn load(records: &Records) -> Result<Checker, Damaged> {
    let mut checker = Checker::new(Settings::default());
    let mut loader = Loader::new(&mut checker);
    for (key, bytes) in records {
        loader.record(*key, bytes)?;
    }
    loader.finish()?;
    Ok(checker)
}
