//! A ring whose writer is killed at any point, or whose file somebody else has written to.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use lacuna_ring::{Garbled, Reader, Reading, Record, Writer};

/// Bytes before the ring, and where the head stands in them.
const HEADER: u64 = 4_096;
const HEAD: u64 = 8 * 8;

/// A directory of its own, removed in the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("lacuna-ring-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&dir));
        Self(dir)
    }

    fn only(&self) -> PathBuf {
        let rings = Reader::list(&self.0).unwrap();
        assert_eq!(rings.len(), 1, "{rings:?}");
        rings[0].clone()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn assigned(slot: u32) -> Record<'static> {
    Record::Assigned {
        slot,
        stream: "orders.eu",
        partition: "12",
        generation: Some(7),
        position: None,
        resumed: false,
        order: 3,
    }
}

fn handed(position: u64, stamp: Option<&[u8]>) -> Record<'_> {
    let redelivered = [None, Some(false), Some(true)][usize::try_from(position % 3).unwrap()];
    Record::Handed { slot: 1, position: Some(position), time: Some(9), redelivered, stamp }
}

/// What can be read, as text, and how it ends.
fn read(reader: &mut Reader) -> (Vec<String>, Result<(), Garbled>) {
    let head = reader.head();
    let mut read = Vec::new();
    loop {
        match reader.next(head) {
            Ok(Some(record)) => read.push(format!("{record:?}")),
            Ok(None) => return (read, Ok(())),
            Err(garbled) => return (read, Err(garbled)),
        }
    }
}

#[test]
fn what_is_told_is_read_by_whoever_comes_after_the_process() {
    let dir = Dir::new("told");
    let mut writer = Writer::create(&dir.0, "billing", Reading::Committed, 1 << 16).unwrap();
    let long = [b'x'; 400];
    let records = [
        Record::Generation { generation: 7, order: 2 },
        assigned(1),
        handed(0, Some(b"1;p;1;00000000;12;0")),
        handed(1, None),
        handed(2, Some(b"")),
        Record::Moved { slot: 1, position: None },
        Record::Lost { records: 5 },
        Record::Released { slot: 1, order: 4 },
    ];
    assert!(writer.add_all(&records));
    let mut reader = Reader::open(&dir.only(), None).unwrap();
    assert_eq!(
        (reader.view(), reader.reading(), writer.readers()),
        ("billing", Reading::Committed, 1)
    );
    assert!(!reader.is_dead());
    let (found, end) = read(&mut reader);
    assert_eq!((found, end), (records.map(|record| format!("{record:?}")).to_vec(), Ok(())));

    // A malformed stamp may be of any length; its beginning is malformed as well.
    assert!(writer.add(&handed(3, Some(&long))));
    drop(writer);
    assert!(reader.is_dead());
    let (found, _) = read(&mut reader);
    assert_eq!(found, [format!("{:?}", handed(3, Some(&long[..257])))]);
}

#[test]
fn what_has_no_room_is_refused_and_the_rest_goes_round_and_round() {
    let dir = Dir::new("round");
    let mut writer = Writer::create(&dir.0, "g", Reading::Ordered, 1 << 13).unwrap();
    let mut reader = Reader::open(&dir.only(), None).unwrap();
    let (mut told, mut heard) = (0, 0);
    let mut refused = 0;
    for round in 0..200 {
        for _ in 0..round {
            let stamp = told.to_string();
            if writer.add(&handed(told, Some(stamp.as_bytes()))) {
                told += 1;
            } else {
                refused += 1;
            }
        }
        let (found, end) = read(&mut reader);
        assert_eq!(end, Ok(()));
        for record in found {
            let stamp = heard.to_string();
            assert_eq!(record, format!("{:?}", handed(heard, Some(stamp.as_bytes()))));
            heard += 1;
        }
        reader.release(reader.position());
    }
    assert_eq!(heard, told);
    assert!(refused > 0 && told > 10_000, "{refused} refused, {told} told");
}

#[test]
fn the_next_reader_goes_on_where_the_last_one_has_released() {
    let dir = Dir::new("next");
    let mut writer = Writer::create(&dir.0, "g", Reading::Ordered, 1 << 13).unwrap();
    assert!(writer.add_all(&[handed(0, None), handed(1, None)]));
    let mut first = Reader::open(&dir.only(), None).unwrap();
    let head = first.head();
    assert_eq!(first.next(head), Ok(Some(handed(0, None))));
    first.release(first.position());
    // It had read this one too, and was killed before it was done with it.
    assert_eq!(first.next(head), Ok(Some(handed(1, None))));
    drop(first);
    let mut second = Reader::open(&dir.only(), None).unwrap();
    assert_eq!(writer.readers(), 2);
    assert_eq!(read(&mut second), (vec![format!("{:?}", handed(1, None))], Ok(())));
}

/// A copy of a ring's file, as a process that was killed leaves it.
fn copy(dir: &Dir, ring: &Path, name: &str) -> PathBuf {
    let path = dir.0.join(name).with_extension("ring");
    fs::copy(ring, &path).unwrap();
    path
}

fn overwrite(path: &Path, at: u64, word: u64) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&word.to_le_bytes(), at).unwrap();
}

/// A ring with some records, where each ends in words, and each as text.
fn some_records(dir: &Dir) -> (PathBuf, Vec<u64>, Vec<String>) {
    let mut writer = Writer::create(&dir.0, "g", Reading::Ordered, 1 << 13).unwrap();
    let ring = dir.only();
    let probe = Reader::open(&ring, None).unwrap();
    let (mut ends, mut texts) = (Vec::new(), Vec::new());
    for number in 0..40 {
        let stamp = vec![b's'; usize::try_from(number).unwrap()];
        let record = if number % 7 == 0 { assigned(1) } else { handed(number, Some(&stamp)) };
        assert!(writer.add(&record));
        ends.push(probe.head());
        texts.push(format!("{record:?}"));
    }
    (ring, ends, texts)
}

#[test]
fn killed_at_any_point_all_whole_records_are_there_and_no_other() {
    let dir = Dir::new("killed");
    let (ring, ends, texts) = some_records(&dir);
    // The words of a record come before the head that passes it: killed in between, or in the
    // middle of a record, the head stands where the last one ended, and anything may lie behind.
    for (whole, &head) in ends.iter().enumerate() {
        for torn in 0..12 {
            let path = copy(&dir, &ring, "torn");
            overwrite(&path, HEAD, head);
            for word in 0..torn {
                overwrite(&path, HEADER + (head + word) * 8, 0x0123_4567_89ab_cdef);
            }
            let (found, end) = read(&mut Reader::open(&path, None).unwrap());
            assert_eq!((&found[..], end), (&texts[..=whole], Ok(())));
        }
    }
}

#[test]
fn what_somebody_else_has_written_to_is_never_taken_for_a_record() {
    let dir = Dir::new("garbled");
    let (ring, ends, texts) = some_records(&dir);
    let all = *ends.last().unwrap();
    // A head that stands in the middle of a record, or beyond the ring.
    for head in 0..all {
        let path = copy(&dir, &ring, "cut");
        overwrite(&path, HEAD, head);
        let (found, end) = read(&mut Reader::open(&path, None).unwrap());
        let whole = ends.iter().filter(|end| **end <= head).count();
        assert_eq!(&found[..], &texts[..whole]);
        assert_eq!(end.is_ok(), head == 0 || ends.contains(&head), "head {head}");
    }
    let path = copy(&dir, &ring, "beyond");
    overwrite(&path, HEAD, u64::MAX);
    assert_eq!(read(&mut Reader::open(&path, None).unwrap()), (vec![], Err(Garbled)));
    // Any word of the ring, overwritten: nothing below it suffers.
    for word in 0..all {
        for value in [0, u64::MAX, 0x0000_0000_0005_0001, word << 32 | 0x00ff_0001] {
            let path = copy(&dir, &ring, "word");
            overwrite(&path, HEADER + word * 8, value);
            let (found, _) = read(&mut Reader::open(&path, None).unwrap());
            let below = ends.iter().filter(|end| **end <= word).count();
            assert_eq!(found[..below], texts[..below]);
        }
    }
    // A file that is no ring.
    let path = dir.0.join("none.ring");
    for bytes in [0, 8, 4_096, 5_000] {
        fs::write(&path, vec![0; bytes]).unwrap();
        assert!(Reader::open(&path, None).is_err(), "{bytes} bytes");
    }
}

#[test]
fn a_file_that_is_cut_off_ends_its_ring_and_nobody_else() {
    let dir = Dir::new("cut-off");
    let (ring, ends, texts) = some_records(&dir);
    let all = *ends.last().unwrap();
    for words in [0, 1, HEAD / 8, HEADER / 8, HEADER / 8 + 1, HEADER / 8 + all / 2] {
        let path = copy(&dir, &ring, "cut-off");
        let mut reader = Reader::open(&path, None).unwrap();
        let head = reader.head();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(words * 8).unwrap();
        assert_eq!(reader.next(head), Err(Garbled), "{words} words are left");
        assert_eq!(reader.next(reader.head()), Err(Garbled));
        reader.release(reader.position());
    }
    // What it has read before it has.
    let path = copy(&dir, &ring, "half");
    let mut reader = Reader::open(&path, None).unwrap();
    let head = reader.head();
    assert_eq!(
        reader.next(head).unwrap().map(|record| format!("{record:?}")).as_ref(),
        texts.first()
    );
    OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert_eq!(read(&mut reader), (vec![], Err(Garbled)));
    assert!(reader.is_behind() && reader.is_busy());
}
