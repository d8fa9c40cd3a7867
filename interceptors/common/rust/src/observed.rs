//! What a consumer tells, as lines of the record (contracts §3).

use lacuna_ring::{Reading, Record};
use serde::Serialize;

use crate::clock;

/// Writes the lines of one view.
#[derive(Debug)]
pub(crate) struct Lines {
    view: String,
    reading: Reading,
    /// Stream and partition of each slot that the consumer has.
    places: Vec<Option<(String, String)>>,
}

#[derive(Serialize)]
struct At<'a> {
    view: &'a str,
    stream: &'a str,
    partition: &'a str,
    at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
}

#[derive(Serialize)]
struct Observation<'a> {
    #[serde(flatten)]
    at: At<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stamp: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redelivered: Option<bool>,
}

#[derive(Serialize)]
struct Told<'a> {
    watch: Watch<'a>,
}

#[derive(Serialize)]
struct Watch<'a> {
    #[serde(flatten)]
    at: At<'a>,
    committed: bool,
    ordered: bool,
    handover: bool,
}

impl Lines {
    pub(crate) fn new(view: &str, reading: Reading) -> Self {
        Self { view: view.to_owned(), reading, places: Vec::new() }
    }

    /// Whether there is a place of which something may be told.
    pub(crate) fn has_places(&self) -> bool {
        self.places.iter().any(Option::is_some)
    }

    /// Writes what a record says, behind `out`.
    pub(crate) fn add(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        match *record {
            Record::Handed { slot, position, time, redelivered, stamp } => {
                let Some(at) = self.at(slot, position) else { return };
                let stamp = stamp.map(String::from_utf8_lossy);
                write(out, &Observation { at, time, stamp: stamp.as_deref(), redelivered });
            }
            Record::Assigned { slot, stream, partition, position, resumed, .. } => {
                let slot = slot as usize;
                if self.places.len() <= slot {
                    self.places.resize(slot + 1, None);
                }
                self.places[slot] = Some((stream.to_owned(), partition.to_owned()));
                if !resumed {
                    // Whoever competes joins without a break. Else only the sidecar that hears all
                    // members would know whether the hand-over is complete.
                    self.watch(slot, position, self.reading == Reading::Competing, out);
                }
            }
            Record::Released { slot, .. } => {
                if let Some(place) = self.places.get_mut(slot as usize) {
                    *place = None;
                }
            }
            Record::Generation { .. } => {}
            Record::Moved { slot, position } => self.watch(slot as usize, position, false, out),
            Record::Lost { .. } => self.missed(out),
        }
    }

    /// Writes that something may have been handed over that was not told.
    pub(crate) fn missed(&self, out: &mut Vec<u8>) {
        (0..self.places.len()).for_each(|slot| self.watch(slot, None, false, out));
    }

    fn watch(&self, slot: usize, position: Option<u64>, handover: bool, out: &mut Vec<u8>) {
        let Some(at) = u32::try_from(slot).ok().and_then(|slot| self.at(slot, position)) else {
            return;
        };
        let committed = self.reading == Reading::Committed;
        let ordered = self.reading != Reading::Competing;
        write(out, &Told { watch: Watch { at, committed, ordered, handover } });
    }

    fn at(&self, slot: u32, position: Option<u64>) -> Option<At<'_>> {
        let (stream, partition) = self.places.get(slot as usize)?.as_ref()?;
        Some(At { view: &self.view, stream, partition, at: clock::unix_ms(), position })
    }
}

fn write(out: &mut Vec<u8>, line: &impl Serialize) {
    // Numbers and text can always be written to memory.
    if serde_json::to_writer(&mut *out, line).is_ok() {
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(slot: u32, stream: &str, resumed: bool) -> Record<'_> {
        let (partition, generation, position, order) = ("0", None, None, 0);
        Record::Assigned { slot, stream, partition, generation, position, resumed, order }
    }

    fn lines(lines: &mut Lines, records: &[Record<'_>]) -> Vec<String> {
        let mut out = Vec::new();
        records.iter().for_each(|record| lines.add(record, &mut out));
        let text = String::from_utf8(out).unwrap();
        let times = |line: &str| {
            let (before, rest) = line.split_once("\"at\":").unwrap();
            format!("{before}\"at\":9{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
        };
        text.lines().map(times).collect()
    }

    #[test]
    fn members_that_compete() {
        let mut told = Lines::new("billing", Reading::Competing);
        let handed = |slot, stamp| Record::Handed {
            slot,
            position: None,
            time: None,
            redelivered: Some(true),
            stamp,
        };
        let found = lines(
            &mut told,
            &[
                assigned(0, "orders/eu", false),
                handed(0, Some(b"1;p;1;00000000;0;7")),
                assigned(2, "orders/us", true),
                handed(2, None),
                handed(1, None),
            ],
        );
        let place =
            |stream| format!(r#""view":"billing","stream":"{stream}","partition":"0","at":9"#);
        let watch = |stream, handover| {
            let place = place(stream);
            let order = r#""committed":false,"ordered":false"#;
            format!(r#"{{"watch":{{{place},{order},"handover":{handover}}}}}"#)
        };
        let (eu, us) = (place("orders/eu"), place("orders/us"));
        let stamp = r#""stamp":"1;p;1;00000000;0;7","#;
        assert_eq!(
            found,
            [
                watch("orders/eu", true),
                format!(r#"{{{eu},{stamp}"redelivered":true}}"#),
                format!(r#"{{{us},"redelivered":true}}"#),
            ]
        );
        let missed = lines(&mut told, &[Record::Lost { records: 3 }]);
        assert_eq!(missed, [watch("orders/eu", false), watch("orders/us", false)]);
        lines(&mut told, &[Record::Released { slot: 0, order: 0 }]);
        let missed = lines(&mut told, &[Record::Lost { records: 3 }]);
        assert_eq!(missed, [watch("orders/us", false)]);
        assert!(told.has_places());
        lines(&mut told, &[Record::Released { slot: 2, order: 0 }]);
        assert!(!told.has_places());
    }

    #[test]
    fn a_partition_in_order() {
        let mut told = Lines::new("g", Reading::Committed);
        let handed = Record::Handed {
            slot: 0,
            position: Some(4),
            time: Some(8),
            redelivered: None,
            stamp: None,
        };
        let found = lines(
            &mut told,
            &[assigned(0, "s", false), handed, Record::Moved { slot: 0, position: Some(9) }],
        );
        let place = r#""view":"g","stream":"s","partition":"0","at":9"#;
        let order = r#""committed":true,"ordered":true,"handover":false"#;
        assert_eq!(
            found,
            [
                format!(r#"{{"watch":{{{place},{order}}}}}"#),
                format!(r#"{{{place},"position":4,"time":8}}"#),
                format!(r#"{{"watch":{{{place},"position":9,{order}}}}}"#),
            ]
        );
    }
}
