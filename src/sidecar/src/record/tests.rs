use std::borrow::Cow;
use std::io::{self, BufReader};

use lacuna_core::verdict::Cause;

use super::line::{Event, Ledger, Line, Message, Place};
use super::parse::LineError;
use super::{Lines, plain};

const MESSAGE: &str = r#"{"view":"log","stream":"orders","partition":"3","position":9912,"at":1763631000123,"time":7,"stamp":"1;…","redelivered":false}"#;

fn parse(text: &str) -> Result<Line<'_>, LineError> {
    Line::parse(text.as_bytes())
}

fn event(text: &str) -> Event<'_> {
    match parse(text).unwrap() {
        Line::At(_, event) => event,
        Line::Ledger(_) => panic!("a ledger: {text}"),
    }
}

#[test]
fn the_contract_s_own_message() {
    let Line::At(place, Event::Message(message)) = parse(MESSAGE).unwrap() else {
        panic!("not a message");
    };
    let orders = Place { view: "log".into(), stream: "orders".into(), partition: "3".into() };
    assert_eq!(place, orders);
    let stamp: Option<Cow<'_, str>> = Some("1;…".into());
    let (at, time) = (1_763_631_000_123, Some(7));
    assert_eq!(
        message,
        Message { position: Some(9912), at, time, stamp, redelivered: Some(false) }
    );
}

#[test]
fn what_may_be_left_out() {
    let text = r#"{"stream":"orders","partition":"3","at":5}"#;
    let Line::At(place, Event::Message(message)) = parse(text).unwrap() else {
        panic!("not a message");
    };
    assert_eq!(place.view, "log");
    let nothing = Message { position: None, at: 5, time: None, stamp: None, redelivered: None };
    assert_eq!(message, nothing);
    let null =
        r#"{"view":null,"stream":"orders","partition":"3","position":null,"at":5,"stamp":null}"#;
    assert_eq!(format!("{:?}", parse(null).unwrap()), format!("{:?}", parse(text).unwrap()));
    let unknown = r#"{"stream":"orders","partition":"3","at":5,"offset":{"a":[1]}}"#;
    assert_eq!(format!("{:?}", parse(unknown).unwrap()), format!("{:?}", parse(text).unwrap()));
}

#[test]
fn the_other_lines() {
    let text = r#"{"watch":{"view":"billing","stream":"s","partition":"0","from":"start","position":4,"at":5,"committed":true,"handover":true,"ordered":false}}"#;
    let Event::Watch(watch) = event(text) else { panic!("not a watch") };
    assert!(watch.from_start && watch.committed && watch.handover && !watch.ordered);
    assert_eq!((watch.position, watch.at), (Some(4), 5));

    let Event::Watch(watch) = event(r#"{"watch":{"stream":"s","partition":"0","at":5}}"#) else {
        panic!("not a watch")
    };
    assert!(!watch.from_start && !watch.committed && !watch.handover && watch.ordered);
    assert_eq!(watch.position, None);

    let end = event(r#"{"end":{"stream":"s","partition":"0","position":9,"at":5}}"#);
    assert!(matches!(end, Event::End { position: Some(9), at: 5 }), "{end:?}");
    let end = event(r#"{"end":{"stream":"s","partition":"0","at":5}}"#);
    assert!(matches!(end, Event::End { position: None, at: 5 }), "{end:?}");
    let cut = event(r#"{"cut":{"stream":"s","partition":"0","position":9,"at":5}}"#);
    assert!(matches!(cut, Event::Cut { position: 9, at: 5 }), "{cut:?}");
    for (word, cause) in [
        ("retention", Cause::Retention),
        ("compacted", Cause::Compacted),
        ("aborted", Cause::Aborted),
        ("expired", Cause::Expired),
    ] {
        let text = format!(
            r#"{{"absent":{{"stream":"s","partition":"0","first":1,"last":2,"cause":"{word}","at":5}}}}"#
        );
        let Event::Absent { first: 1, last: 2, cause: read, at: 5 } = event(&text) else {
            panic!("not what was written: {text}");
        };
        assert_eq!(read, cause);
    }
}

#[test]
fn the_contract_s_own_ledger_in_a_line_and_alone() {
    let text = r#"{"v":1,"rev":318,"producer":"orders-api@web-3","epoch":"18c2f0a4e1b","stream":"orders","lane":"3","from":12000,"next":18447,"pending":[[18440,18446]],"unanswered":[],"refused":[[12120,12129]],"aborted":[],"closed":false,"at":1763631000123}"#;
    let alone = Ledger::parse(text.as_bytes()).unwrap();
    let line = format!(r#"{{"ledger":{text}}}"#);
    let Line::Ledger(in_line) = parse(&line).unwrap() else { panic!("not a ledger") };
    assert_eq!(alone, in_line);
    let record = alone.record();
    assert_eq!((record.producer, record.stream, record.lane), ("orders-api@web-3", "orders", "3"));
    assert_eq!((record.rev, record.epoch), (318, 0x18c_2f0a_4e1b));
    assert_eq!((record.from, record.next), (12_000, 18_447));
    assert_eq!(record.pending, [(18_440, 18_446)]);
    assert_eq!(record.refused, [(12_120, 12_129)]);
    assert!(record.unanswered.is_empty() && record.aborted.is_empty() && !record.closed);
    assert_eq!(record.at, Some(1_763_631_000_123));
}

#[test]
fn integers_beyond_doubles_are_exact() {
    // 2^53 + 1 is the first that a double cannot hold.
    for number in [9_007_199_254_740_993, (1 << 63) - 1, 1 << 63, u64::MAX] {
        let text = format!(r#"{{"stream":"s","partition":"0","position":{number},"at":{number}}}"#);
        let Event::Message(Message { position, at, .. }) = event(&text) else {
            panic!("not a message: {text}");
        };
        assert_eq!((position, at), (Some(number), number));
    }
    let text = format!(
        r#"{{"producer":"p","epoch":"0","stream":"s","lane":"0","next":{},"refused":[[{1},{1}]]}}"#,
        1_u64 << 63,
        (1_u64 << 63) - 1
    );
    let ledger = Ledger::parse(text.as_bytes()).unwrap();
    assert_eq!(ledger.record().refused, [((1 << 63) - 1, (1 << 63) - 1)]);
}

#[test]
fn what_is_refused_and_why() {
    let ledger = |rest: &str| {
        format!(r#"{{"ledger":{{"producer":"p","epoch":"1","stream":"s","lane":"0",{rest}}}}}"#)
    };
    let table = [
        ("{", "EOF while parsing an object at column 1"),
        ("x", "expected value at column 1"),
        ("7", "not a JSON object"),
        (r#"["log","s","0",1,2,3,"",false,null,null,null,null,null]"#, "not a JSON object"),
        (r#"{"stream":"s","partition":"0","at":1}}"#, "trailing characters at column 38"),
        (r#"{"partition":"0","at":1}"#, "missing field `stream`"),
        (r#"{"stream":"s","at":1}"#, "missing field `partition`"),
        (r#"{"stream":"s","partition":"0"}"#, "missing field `at`"),
        (
            r#"{"stream":"s","partition":0,"at":1}"#,
            "invalid type: integer `0`, expected a string at column 27",
        ),
        (
            r#"{"stream":"s","partition":"0","at":1.5}"#,
            "invalid type: floating point `1.5`, expected u64 at column 38",
        ),
        (
            r#"{"stream":"s","partition":"0","at":-1}"#,
            "invalid value: integer `-1`, expected u64 at column 37",
        ),
        (
            r#"{"stream":"s","partition":"03","at":1}"#,
            "partition \"03\" is not 1 to 64 of A-Z a-z 0-9 . _ : @ -, without a leading zero",
        ),
        (
            r#"{"stream":"s","partition":"*","at":1}"#,
            "partition \"*\" is not 1 to 64 of A-Z a-z 0-9 . _ : @ -, without a leading zero",
        ),
        (r#"{"end":{"stream":"s","partition":"0"}}"#, "missing field `at` at column 37"),
        (
            r#"{"cut":{"stream":"s","partition":"0","at":1}}"#,
            "missing field `position` at column 44",
        ),
        (
            r#"{"watch":{"stream":"s","partition":"0","from":"now","at":1}}"#,
            "unknown variant `now`, expected `start` or `here` at column 51",
        ),
        (
            r#"{"absent":{"stream":"s","partition":"0","first":1,"last":2,"cause":"lost","at":1}}"#,
            "unknown variant `lost`, expected one of `retention`, `compacted`, `aborted`, \
             `expired` at column 73",
        ),
        (
            r#"{"absent":{"stream":"s","partition":"0","first":3,"last":2,"cause":"expired","at":1}}"#,
            "absent: first 3 is above last 2",
        ),
        (
            r#"{"end":{"stream":"s","partition":"0","at":1},"cut":{"stream":"s","partition":"0","position":1,"at":1}}"#,
            "`end` and `cut` in one line: one object is one of them",
        ),
        (
            r#"{"stream":"s","end":{"stream":"s","partition":"0","at":1}}"#,
            "`end` and `stream` in one line: one object is one of them",
        ),
    ];
    for (text, why) in table {
        assert_eq!(parse(text).unwrap_err().to_string(), why, "{text}");
    }
    let table = [
        (r#""next":0,"v":2"#, "ledger version 2 is not supported, 1 is"),
        (r#""next":1,"from":2"#, "from is above next, or next is above 2^63"),
        (r#""next":9223372036854775809"#, "from is above next, or next is above 2^63"),
        (r#""next":5,"pending":[[5,5]]"#, "range [5,5] does not lie in from … next-1"),
        (r#""next":5,"from":2,"refused":[[1,3]]"#, "range [1,3] does not lie in from … next-1"),
        (r#""next":5,"refused":[[3,2]]"#, "range [3,2] does not lie in from … next-1"),
        (r#""next":5,"refused":[[2,3],[1,1]]"#, "range [1,1] is out of order or overlaps"),
        (
            r#""next":5,"refused":[[2,3]],"aborted":[[3,4]]"#,
            "range [3,4] is out of order or overlaps",
        ),
    ];
    for (rest, why) in table {
        assert_eq!(parse(&ledger(rest)).unwrap_err().to_string(), why, "{rest}");
    }
    let epoch = ledger(r#""next":1"#).replace(r#""1""#, r#""0F""#);
    let why = parse(&epoch).unwrap_err().to_string();
    assert_eq!(why, "epoch \"0F\" is not lower-case hex without a leading zero");
}

/// Every line that is one byte away from a plain one, and some that are further.
fn neighbours() -> Vec<String> {
    let plain = MESSAGE.replace('…', "p;1;9ae0daaf;3;18446");
    let mut lines = vec![plain.clone(), format!(" {plain}\r\n"), plain.replace(',', " , ")];
    for (at, _) in plain.char_indices() {
        let (before, after) = plain.split_at(at);
        lines.push(format!("{before}{}", &after[1..]));
        for put in "\"{}[]:,\\/0129ae.-+ \t\nx\u{7f}é".chars() {
            lines.push(format!("{before}{put}{after}"));
            lines.push(format!("{before}{put}{}", &after[1..]));
        }
    }
    for name in ["view", "stream", "partition", "position", "at", "time", "stamp", "redelivered"] {
        lines.push(plain.replace(&format!("\"{name}\""), "\"other\""));
        lines.push(plain.replace(&format!("\"{name}\""), "\"at\""));
        lines.push(plain.replace(&format!("\"{name}\""), "\"ledger\""));
    }
    for number in [
        "0",
        "00",
        "01",
        "1e3",
        "1.0",
        "18446744073709551615",
        "18446744073709551616",
        "null",
        "true",
        "\"1\"",
    ] {
        lines.push(plain.replace("9912", number));
    }
    lines
}

#[test]
fn the_short_way_says_what_the_general_one_says() {
    let (mut short, mut refused) = (0, 0);
    for line in neighbours() {
        let general = Line::parse_any(line.as_bytes());
        match plain::message(line.as_bytes()) {
            Some(message) => {
                let general = general.unwrap_or_else(|why| panic!("{line}: {why}"));
                assert_eq!(format!("{message:?}"), format!("{general:?}"), "{line}");
                short += 1;
            }
            None => refused += u32::from(general.is_err()),
        }
    }
    // Neither always nor never, or nothing was shown.
    assert!(short > 1_000 && refused > 1_000, "{short} {refused}");
}

#[test]
fn a_line_outlives_its_text() {
    for line in neighbours() {
        let Ok(parsed) = parse(&line) else { continue };
        assert_eq!(format!("{:?}", parsed.clone().into_owned()), format!("{parsed:?}"));
    }
}

#[test]
fn blank_lines_are_skipped_and_counted_however_the_input_is_cut() {
    let text = b"a\n\n  \r\nbcdef\r\n\nc";
    let expected =
        [("a", 1), ("bcdef", 4), ("c", 6)].map(|(line, number)| (line.to_owned(), number));
    for capacity in 1..=text.len() + 1 {
        let mut lines = Lines::new(BufReader::with_capacity(capacity, &text[..]));
        let mut read = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            let line = String::from_utf8(line.to_vec()).unwrap();
            read.push((line, lines.number()));
        }
        assert_eq!(read, expected, "{capacity}");
        assert_eq!(lines.next_line().unwrap(), None);
    }
}

#[test]
fn an_input_without_line_ends_does_not_fill_the_memory() {
    let mut lines = Lines::new(BufReader::new(io::repeat(b'x')));
    let why = lines.next_line().unwrap_err().to_string();
    assert_eq!(why, "longer than 16777216 bytes: records are lines of their own");
    assert_eq!(lines.number(), 1);
}
