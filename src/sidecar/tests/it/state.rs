//! The state's file: what is not what was written is refused, what an earlier version wrote is read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lacuna::state::{Bounds, Finding, Record, Store, StoreError, Wanted, Writes, read_findings};

use crate::run::Sidecar;
use crate::survive::Dir;

/// Written by a sidecar of the first form: lane `p` without 3, 4 and 9, 8 came late, 6 twice; lane
/// `q` without its first three.
const FIRST: &[u8] = include_bytes!("../state/format-1.sqlite");

const BOUNDS: Bounds = Bounds { count: 60, age_ms: u64::MAX };

fn finding(number: u64) -> Finding {
    Finding {
        id: 0,
        at: 1_000 + number,
        view: "log".to_owned(),
        stream: format!("orders-{}", number % 3),
        partition: "0".to_owned(),
        lane: "0".to_owned(),
        producer: "p".to_owned(),
        epoch: "1".to_owned(),
        first: number,
        last: number * 2,
        was: (!number.is_multiple_of(2)).then(|| "missing".to_owned()),
        state: "lost".to_owned(),
        reason: None,
    }
}

fn open(dir: &Path) -> Result<(Vec<Record>, Vec<Finding>), StoreError> {
    let (store, records) = Store::open(dir, BOUNDS)?;
    let reader = Store::reader(store.dir())?;
    let refused = |error| StoreError::Refused(dir.to_owned(), error);
    Ok((records, read_findings(&reader, &Wanted::default(), 1_000).map_err(refused)?))
}

/// xorshift64*, so that a run can be made again.
fn draw(state: &mut u64) -> usize {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize
}

#[test]
fn a_flipped_bit_is_noticed_or_holds_nothing() {
    let dir = Dir::new("flipped");
    let path = Path::new(dir.text());
    let mut random = 7;
    {
        let (mut store, _) = Store::open(path, BOUNDS).unwrap();
        for commit in 0..40_u64 {
            let mut records = BTreeMap::new();
            for _ in 0..20 {
                let key = format!("record {}", draw(&mut random) % 300).into_bytes();
                let value = key.repeat(draw(&mut random) % 40);
                records.insert(key, (!draw(&mut random).is_multiple_of(4)).then_some(value));
            }
            let findings = (0..3).map(|more| finding(commit * 3 + more)).collect();
            store.commit(&Writes { records, findings }, 1).unwrap();
        }
    }
    let whole = fs::read(path.join("state.sqlite")).unwrap();
    // Each in a directory of its own: a process that another test starts holds a lock of this one's
    // until it runs its program.
    let copied = |name: &str, bytes: &[u8]| {
        let copy = path.join(name);
        fs::create_dir(&copy).unwrap();
        fs::copy(path.join("lock"), copy.join("lock")).unwrap();
        fs::write(copy.join("state.sqlite"), bytes).unwrap();
        copy
    };
    let sound = open(&copied("sound", &whole)).unwrap();
    assert_eq!((sound.0.len() > 150, sound.1.len()), (true, 60));
    let (mut noticed, mut nothing) = (0, 0);
    for flip in 0..3_000 {
        let mut flipped = whole.clone();
        let at = draw(&mut random) % whole.len();
        flipped[at] ^= 1 << (flip % 8);
        let copy = copied("flipped", &flipped);
        match open(&copy) {
            Ok(read) => {
                assert_eq!(read, sound, "bit {} of byte {at}", flip % 8);
                nothing += 1;
            }
            Err(StoreError::Damaged(..) | StoreError::Newer(..)) => {
                let left = fs::read(copy.join("state.sqlite")).unwrap();
                assert_eq!(left, flipped, "byte {at}: it was written to");
                noticed += 1;
            }
            Err(error) => panic!("bit {} of byte {at}: {error}", flip % 8),
        }
        fs::remove_dir_all(copy).unwrap();
    }
    println!("{noticed} flipped bits were noticed, {nothing} held nothing");
    assert!(noticed > 1_000, "{noticed} noticed, {nothing} held nothing");
}

#[test]
fn what_the_first_form_held_is_brought_on() {
    let dir = Dir::new("first-form");
    let path = Path::new(dir.text());
    fs::create_dir_all(path).unwrap();
    let file = path.join("state.sqlite");
    fs::write(&file, FIRST).unwrap();
    let error = Store::look(path).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Older(_, 1)), "{error}");
    assert_eq!(fs::read(&file).unwrap(), FIRST, "to look at it does not write to it");

    let one = [("LACUNA_STATE__PATH", dir.text()), ("LACUNA_ENGINE__WORKERS", "1")];
    for _ in 0..2 {
        let sidecar = Sidecar::with(crate::run::CONFIG, &one);
        let totals = &sidecar.get("/v1/report?depth=totals")["totals"];
        assert_eq!((&totals["seen"], &totals["recovered"]), (&44.into(), &1.into()));
        assert_eq!(totals["lost"]["undetermined"], 6);
        assert_eq!(totals["duplicates"]["resent"], 1);
        let findings = sidecar.get("/v1/findings");
        let findings = findings["findings"].as_array().unwrap().iter();
        let ranges: Vec<_> = findings
            .map(|row| {
                let text = |name: &str| row[name].as_str().unwrap();
                (text("producer"), text("state"), row["first"].as_u64(), row["last"].as_u64())
            })
            .collect();
        let expected = [
            ("p", "recovered", Some(8), Some(8)),
            ("q", "lost", Some(0), Some(2)),
            ("p", "lost", Some(8), Some(9)),
            ("p", "lost", Some(3), Some(4)),
        ];
        assert_eq!(ranges, expected);
        sidecar.end("TERM");
    }
    Store::look(path).unwrap();
}
