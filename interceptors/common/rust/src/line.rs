//! A ledger record as its line of JSON (contracts §2).

use lacuna_core::ledger::{LedgerRecord, Range};
use serde::Serialize;

#[derive(Serialize)]
struct Line<'a> {
    v: u8,
    rev: u64,
    producer: &'a str,
    epoch: String,
    stream: &'a str,
    lane: &'a str,
    from: u64,
    next: u64,
    pending: &'a [Range],
    unanswered: &'a [Range],
    refused: &'a [Range],
    aborted: &'a [Range],
    closed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
}

/// Writes the record's line, with its end.
pub(crate) fn write(record: &LedgerRecord<'_>, text: &mut Vec<u8>) {
    let line = Line {
        v: 1,
        rev: record.rev,
        producer: record.producer,
        epoch: format!("{:x}", record.epoch),
        stream: record.stream,
        lane: record.lane,
        from: record.from,
        next: record.next,
        pending: &record.pending,
        unanswered: &record.unanswered,
        refused: &record.refused,
        aborted: &record.aborted,
        closed: record.closed,
        at: record.at,
    };
    // Memory takes every write, and no value here can fail.
    drop(serde_json::to_writer(&mut *text, &line));
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_written_as_the_contracts_show_it() {
        let record = LedgerRecord {
            rev: 318,
            producer: "orders-api@web-3",
            epoch: 0x18c_2f0a_4e1b,
            stream: "or\"ders",
            lane: "3",
            from: 12_000,
            next: 18_447,
            pending: vec![(18_440, 18_446)],
            refused: vec![(12_120, 12_129)],
            at: Some(1_763_631_000_123),
            ..LedgerRecord::default()
        };
        let mut text = Vec::new();
        write(&record, &mut text);
        let expected = concat!(
            r#"{"v":1,"rev":318,"producer":"orders-api@web-3","epoch":"18c2f0a4e1b","#,
            r#""stream":"or\"ders","lane":"3","from":12000,"next":18447,"#,
            r#""pending":[[18440,18446]],"unanswered":[],"refused":[[12120,12129]],"#,
            r#""aborted":[],"closed":false,"at":1763631000123}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn the_longest_line_fits_many_times_into_a_message() {
        let ranges = vec![(u64::MAX, u64::MAX); 1_000];
        let name = "x".repeat(249);
        let record = LedgerRecord { stream: &name, pending: ranges, ..LedgerRecord::default() };
        let mut text = Vec::new();
        write(&record, &mut text);
        assert!(text.len() < crate::work::MESSAGE_BYTES / 4, "{}", text.len());
    }
}
