//! The golden stamps of `interceptors/vectors`, which stampers of every language read, too.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use lacuna_core::stamp::{Encoder, Stamp, StampError, origin, split};
use serde_json::Value;

const STAMPS: &str = include_str!("../../../interceptors/vectors/stamps.json");

#[test]
fn valid_and_foreign_stamps_are_read_and_told_apart() {
    for (list, ours) in [("valid", true), ("foreign", false)] {
        each(list, |row, value| {
            let stamp = Stamp::parse(value).unwrap_or_else(|error| panic!("{row}: {error}"));
            let fields = [
                stamp.producer.to_owned(),
                format!("{:x}", stamp.epoch),
                format!("{:08x}", stamp.origin),
                stamp.lane.to_owned(),
                stamp.seq.to_string(),
            ];
            let expected =
                ["producer", "epoch", "origin", "lane", "seq"].map(|name| text(row, name));
            assert_eq!(fields.each_ref().map(String::as_str), expected, "{row}");
            let here = stamp.is_from(origin(text(row, "stream")), text(row, "partition"));
            assert_eq!(here, ours, "{row}");
        });
    }
}

#[test]
fn what_is_read_is_written_the_same() {
    for list in ["valid", "foreign"] {
        each(list, |row, value| {
            let stamp = Stamp::parse(value).unwrap();
            assert_eq!(stamp.to_string().as_bytes(), value, "{row}");
            let (prefix, seq) = split(value).unwrap();
            assert_eq!(
                (prefix.len() + 1 + stamp.seq.to_string().len(), seq),
                (value.len(), stamp.seq)
            );
            let stream = text(row, "stream");
            if origin(stream) == stamp.origin {
                let encoder = Encoder::new(stamp.producer, stamp.epoch, stream, stamp.lane);
                assert_eq!(encoder.unwrap().encode(seq), value, "{row}");
            }
        });
    }
}

#[test]
fn malformed_values_are_no_stamps() {
    each("malformed", |row, value| {
        assert_eq!(Stamp::parse(value), Err(StampError::Malformed), "{row}");
    });
}

#[test]
fn later_versions_are_unsupported() {
    each("unsupported", |row, value| {
        assert_eq!(Stamp::parse(value), Err(StampError::Unsupported), "{row}");
    });
}

fn each(list: &str, check: impl Fn(&Value, &[u8])) {
    let all: Value = serde_json::from_str(STAMPS).unwrap();
    let rows = all[list].as_array().unwrap();
    assert!(!rows.is_empty(), "no {list} stamps");
    for row in rows {
        check(row, &bytes(row));
    }
}

fn bytes(row: &Value) -> Vec<u8> {
    let Some(hex) = row["hex"].as_str() else {
        return text(row, "value").as_bytes().to_vec();
    };
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_else(|| panic!("{row} has no {name}"))
}
