//! Traffic with known faults, as lines that are posted.

use std::collections::BTreeMap;

use lacuna_brokers::sidecar::Sidecar;
use lacuna_brokers::wait;
use lacuna_core::stamp::Encoder;
use serde_json::{Value, json};

/// What was posted, and how far each log goes.
#[derive(Debug, Default)]
pub struct Traffic {
    lines: Vec<String>,
    /// The next position of each view, stream and partition.
    ends: BTreeMap<(String, String, String), u64>,
}

impl Traffic {
    /// Watches a partition in a view, from its start.
    pub fn watch(&mut self, view: &str, stream: &str, partition: u32) {
        let partition = partition.to_string();
        self.lines.push(
            json!({"watch": {"view": view, "stream": stream, "partition": partition,
                             "from": "start", "position": 0, "at": 0}})
            .to_string(),
        );
        self.ends.insert((view.to_owned(), stream.to_owned(), partition), 0);
    }

    /// A producer's numbers, one after the other, at the next positions of the log.
    ///
    /// # Panics
    /// If a name makes no stamp.
    pub fn log(&mut self, stream: &str, partition: u32, producer: &str, numbers: &[u64]) {
        let partition = partition.to_string();
        let end = self.ends.get_mut(&("log".to_owned(), stream.to_owned(), partition.clone()));
        let end = end.expect("it is watched");
        let mut encoder =
            Encoder::new(producer, EPOCH, stream, &partition).expect("names of good form");
        for &number in numbers {
            let stamp = String::from_utf8_lossy(encoder.encode(number)).into_owned();
            let line = json!({"stream": stream, "partition": partition, "position": *end,
                              "at": 0, "stamp": stamp});
            self.lines.push(line.to_string());
            *end += 1;
        }
    }

    /// What a group was handed: numbers of a producer that stand at these positions.
    ///
    /// # Panics
    /// If a name makes no stamp.
    pub fn handed(
        &mut self,
        group: &str,
        (stream, partition): (&str, u32),
        producer: &str,
        numbers: &[(u64, u64)],
    ) {
        let partition = partition.to_string();
        let mut encoder =
            Encoder::new(producer, EPOCH, stream, &partition).expect("names of good form");
        for (number, position) in numbers {
            let stamp = String::from_utf8_lossy(encoder.encode(*number)).into_owned();
            let line = json!({"view": group, "stream": stream, "partition": partition,
                              "position": position, "at": 0, "stamp": stamp});
            self.lines.push(line.to_string());
        }
        let end = numbers.iter().map(|(_, position)| position + 1).max().unwrap_or(0);
        self.ends.insert((group.to_owned(), stream.to_owned(), partition), end);
    }

    /// What a producer says of one of its lanes.
    pub fn ledger(&mut self, stream: &str, partition: u32, producer: &str, said: &Value) {
        let mut ledger = json!({"v": 1, "rev": 1, "producer": producer, "stream": stream,
            "epoch": format!("{EPOCH:x}"), "lane": partition.to_string(), "pending": [],
            "unanswered": [], "refused": [], "aborted": [], "closed": false, "at": 1});
        for (name, value) in said.as_object().into_iter().flatten() {
            ledger[name] = value.clone();
        }
        self.lines.push(json!({"ledger": ledger}).to_string());
    }

    /// A line as it is.
    pub fn line(&mut self, line: &Value) {
        self.lines.push(line.to_string());
    }

    /// Posts what has not been posted yet.
    pub fn post(&mut self, sidecar: &Sidecar) {
        for lines in std::mem::take(&mut self.lines).chunks(20_000) {
            sidecar.send("POST", "/v1/observations", &lines.join("\n"));
        }
    }

    /// Posts the ends of all logs and groups until `lost` numbers are lost and none is missing.
    pub fn judged(&mut self, sidecar: &Sidecar, lost: u64) {
        self.post(sidecar);
        let ends: Vec<String> = self
            .ends
            .iter()
            .map(|((view, stream, partition), position)| {
                json!({"end": {"view": view, "stream": stream, "partition": partition,
                               "position": position, "at": 0}})
                .to_string()
            })
            .collect();
        let ends = ends.join("\n");
        wait::until("all is judged", || {
            sidecar.send("POST", "/v1/observations", &ends);
            let totals = sidecar.get("/v1/report?depth=totals")["totals"].clone();
            let stages = totals["lost"].as_object().into_iter().flat_map(|stages| stages.values());
            let found: u64 = stages.filter_map(Value::as_u64).sum();
            if found == lost && totals["missing"] == 0 { Ok(()) } else { Err(totals.to_string()) }
        });
    }
}

/// The run of all producers here.
pub const EPOCH: u64 = 0x5f;

/// Producers of [`shop`].
pub const PRODUCERS: [&str; 3] = ["orders-api@web-1", "orders-api@web-2", "billing@jobs-1"];

/// A shop of two streams and a group with one fault of every kind:
///
/// - `orders` 3: numbers 40 to 46 of web-2 acknowledged and not in the log: 7 lost, `store`;
/// - `payments` 1: numbers 10 to 19 of web-1 not answered and not in the log: 10 lost, `produce`;
/// - `orders` 5: 3 that the group `billing` was not handed: 3 lost, `consume`;
/// - `orders` 0: number 5 of web-1 stored twice: 1 `resent`;
/// - `payments` 0: number 30 of jobs-1 refused; `payments` 2: 4 without a stamp.
#[must_use]
pub fn shop() -> Traffic {
    const NUMBERS: u64 = 60;
    let mut shop = Traffic::default();
    for (stream, partitions) in [("orders", 6), ("payments", 3)] {
        for partition in 0..partitions {
            shop.watch("log", stream, partition);
            for producer in PRODUCERS {
                let numbers: Vec<u64> = (0..NUMBERS)
                    .filter(|number| match (stream, partition, producer) {
                        ("orders", 3, "orders-api@web-2") => !(40..=46).contains(number),
                        ("payments", 1, "orders-api@web-1") => !(10..=19).contains(number),
                        ("payments", 0, "billing@jobs-1") => *number != 30,
                        _ => true,
                    })
                    .flat_map(|number| match (stream, partition, producer, number) {
                        ("orders", 0, "orders-api@web-1", 5) => vec![5, 5],
                        _ => vec![number],
                    })
                    .collect();
                shop.log(stream, partition, producer, &numbers);
                let mut said = json!({"next": NUMBERS});
                match (stream, partition, producer) {
                    ("payments", 1, "orders-api@web-1") => said["unanswered"] = json!([[10, 19]]),
                    ("payments", 0, "billing@jobs-1") => said["refused"] = json!([[30, 30]]),
                    _ => {}
                }
                shop.ledger(stream, partition, producer, &said);
            }
        }
    }
    shop.watch("billing", "orders", 5);
    for (index, producer) in (0..).zip(PRODUCERS) {
        let handed: Vec<(u64, u64)> = (0..NUMBERS)
            .filter(|number| !(index == 2 && (20..=22).contains(number)))
            .map(|number| (number, index * NUMBERS + number))
            .collect();
        shop.handed("billing", ("orders", 5), producer, &handed);
    }
    for position in 1_000..1_004 {
        shop.line(&json!({"stream": "payments", "partition": "2", "position": position, "at": 0}));
    }
    shop
}

/// All that is lost in [`shop`].
pub const SHOP_LOST: u64 = 20;
