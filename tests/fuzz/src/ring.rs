//! Ring files: who may write to the directory may write anything. A ring that holds a record of
//! every kind is patched word by word, then read to its end.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use lacuna_ring::{Reader, Reading, Record, Writer};

/// The first words of the ring itself, and how many of them are patched: all that the records fill.
const HEADER: u16 = 512;
const USED: u16 = 128;

/// A ring's file, and what it holds when nobody has patched it.
struct Whole {
    path: PathBuf,
    bytes: Vec<u8>,
}

static RING: LazyLock<Whole> = LazyLock::new(|| {
    let dir = std::env::temp_dir().join(format!("lacuna-fuzz-{}", std::process::id()));
    let mut writer = Writer::create(&dir, "billing", Reading::Committed, 8_192).expect("a ring");
    let written = writer.add_all(&[
        Record::Generation { generation: 7, order: 1 },
        Record::Assigned {
            slot: 1,
            stream: "orders.eu",
            partition: "12",
            generation: Some(7),
            position: None,
            resumed: false,
            order: 3,
        },
        Record::Handed {
            slot: 1,
            position: Some(5),
            time: Some(9),
            redelivered: Some(true),
            stamp: Some(b"1;web;18c2f0a4e1b;e52ffdee;12;18446"),
        },
        Record::Moved { slot: 1, position: Some(4) },
        Record::Lost { records: 3 },
        Record::Released { slot: 1, order: 4 },
    ]);
    assert!(written, "there is room");
    let path = Reader::list(&dir).expect("a directory").remove(0);
    let bytes = fs::read(&path).expect("a file");
    Whole { path, bytes }
});

pub(crate) fn ring(data: &[u8]) {
    let Whole { path, bytes } = &*RING;
    let file = File::options().write(true).open(path).expect("a file");
    file.write_all_at(bytes, 0).expect("room for a file");
    for patch in data.chunks_exact(9) {
        // A byte says which word: one of the header's first, or one of the records'.
        let word = match u16::from(patch[0]) {
            at if at < USED => at,
            at => HEADER + at - USED,
        };
        let at = u64::from(word) * 8;
        file.write_all_at(&patch[1..], at).expect("room for a file");
    }
    let Ok(mut reader) = Reader::open(path, None) else { return };
    let head = reader.head();
    let mut records = 0;
    while let Ok(Some(record)) = reader.next(head) {
        assert!(!format!("{record:?}").is_empty());
        records += 1;
        assert!(records <= bytes.len() / 8, "more records than words");
    }
    reader.release(reader.position());
}
