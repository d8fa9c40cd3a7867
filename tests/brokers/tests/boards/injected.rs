//! Faults, posted to a sidecar without a broker, so that they are exact.

use std::fs;
use std::path::PathBuf;

use lacuna_brokers::prometheus::Ground;
use lacuna_brokers::sidecar::{Sidecar, counts};
use lacuna_brokers::truth::Counts;
use lacuna_brokers::wait;

/// The CRC-32 of each stream's name.
const ORIGINS: [(&str, &str); 3] =
    [("orders", "e52ffdee"), ("bills", "22775dd0"), ("late", "6f2a1f95")];

/// A source whose broker is not there, so that it is down.
const CONFIG: &str = r#"
[checking]
grace = "1s"
[source.main]
brokers = "127.0.0.1:9"
topics = ["nowhere"]
ledger = "off"
"#;

/// Starts the sidecar.
pub(crate) fn sidecar(ground: &Ground) -> Sidecar {
    let config = ground.file("lacuna.toml");
    fs::write(&config, CONFIG).expect("the run's directory can be written");
    let address = ground.port(3);
    let arguments = ["--config", config.to_str().expect("text"), "--listen", &address.to_string()];
    // Begun anew, and the run's own.
    let state = ground.file("state");
    drop(fs::remove_dir_all(&state));
    let nobody = format!("http://{}/", ground.port(2));
    let variables =
        [("LACUNA_STATE__PATH", state.to_str().expect("text")), ("LACUNA_WEBHOOK__URL", &nobody)];
    let log = ground.file("lacuna.log");
    let sidecar = Sidecar::launch(&arguments, &variables, address, log, PathBuf::new());
    sidecar.answers();
    sidecar
}

fn origin(stream: &str) -> &'static str {
    ORIGINS.iter().find(|(name, _)| *name == stream).map_or("", |(_, origin)| origin)
}

/// Where lines come from.
struct At {
    view: &'static str,
    stream: &'static str,
    partition: &'static str,
    producer: &'static str,
}

const ORDERS_0: At = At { view: "log", stream: "orders", partition: "0", producer: "a" };
const ORDERS_1: At = At { view: "log", stream: "orders", partition: "1", producer: "b" };
const ORDERS_2: At = At { view: "log", stream: "orders", partition: "2", producer: "c" };
const BILLS: At = At { view: "log", stream: "bills", partition: "0", producer: "d" };
const LATE: At = At { view: "log", stream: "late", partition: "0", producer: "e" };
const BILLING: At = At { view: "billing", stream: "orders", partition: "0", producer: "a" };

impl At {
    fn place(&self) -> String {
        let Self { view, stream, partition, .. } = self;
        format!(r#""view":"{view}","stream":"{stream}","partition":"{partition}","at":0"#)
    }

    fn seq(&self, position: Option<u64>, seq: u64) -> String {
        let Self { stream, partition, producer, .. } = self;
        self.with(position, &format!("1;{producer};1;{};{partition};{seq}", origin(stream)))
    }

    fn with(&self, position: Option<u64>, stamp: &str) -> String {
        let position = position.map_or_else(String::new, |at| format!(r#","position":{at}"#));
        format!("{{{}{position},\"stamp\":\"{stamp}\"}}\n", self.place())
    }

    fn bare(&self) -> String {
        format!("{{{}}}\n", self.place())
    }

    fn line(&self, kind: &str, more: &str) -> String {
        format!("{{\"{kind}\":{{{}{more}}}}}\n", self.place())
    }

    /// These numbers at positions one after the other.
    fn run(&self, first: u64, seqs: &[u64]) -> String {
        (first..).zip(seqs).map(|(position, &seq)| self.seq(Some(position), seq)).collect()
    }

    fn ledger(&self, next: u64, more: &str) -> String {
        let Self { stream, partition, producer, .. } = self;
        let lane = format!(
            r#""producer":"{producer}","epoch":"1","stream":"{stream}","lane":"{partition}""#
        );
        format!("{{\"v\":1,{lane},\"next\":{next},\"at\":0{more}}}\n")
    }
}

fn post(sidecar: &Sidecar, lines: &[String]) {
    sidecar.send("POST", "/v1/observations", &lines.concat());
}

/// Every partition and view, with one message, so that their series are there at 0.
pub(crate) fn begin(sidecar: &Sidecar) {
    let mut lines: Vec<String> = [ORDERS_0, ORDERS_1, BILLS, LATE, BILLING]
        .iter()
        .map(|at| at.line("watch", r#","from":"start","position":0"#))
        .collect();
    lines.push(ORDERS_2.line("watch", r#","from":"here","position":100"#));
    lines.extend([ORDERS_0.run(0, &[0]), ORDERS_1.run(0, &[0]), BILLING.run(0, &[0])]);
    lines.extend([BILLS.bare(), LATE.seq(Some(0), 0)]);
    post(sidecar, &lines);
}

/// What is wrong with the traffic, of every kind. Gives the totals by dotted name, as the sidecar's
/// report has them.
pub(crate) fn faults(sidecar: &Sidecar) -> Counts {
    let ledgers = [
        // 13 to 19 were acknowledged. The group does not watch partition 1: there it speaks of numbers
        // that are unknown in the group's view, in series that begin with them.
        ORDERS_0.ledger(23, ""),
        ORDERS_1.ledger(13, r#","unanswered":[[3,4]],"refused":[[6,8]],"aborted":[[10,11]]"#),
    ];
    sidecar.send("POST", "/v1/ledger", &ledgers.concat());
    post(
        sidecar,
        &[
            // 11 before 10; 13 to 19 are not there.
            ORDERS_0.run(1, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 10, 12, 20, 21, 22]),
            // Four of them again, at positions of their own.
            ORDERS_1.run(1, &[1, 2, 5, 9, 12, 1, 2, 5, 9]),
            // What is before 6 was before the watch; 8 and 9 passed while nobody looked.
            ORDERS_2.run(100, &[6, 7]),
            ORDERS_2.line("watch", r#","from":"here""#),
            ORDERS_2.run(104, &[10]),
            ORDERS_2.line("cut", r#","position":105"#),
            // Neither positions nor flags; 1 is late.
            BILLS.seq(None, 0),
            BILLS.seq(None, 2),
            BILLS.seq(None, 2),
            BILLS.seq(None, 0),
            BILLS.bare(),
            BILLS.bare(),
            BILLS.bare(),
            BILLS.with(None, "x"),
            BILLS.with(None, "2;x"),
            BILLS.with(None, "2;"),
            BILLS.with(None, "1;d;1;e52ffdee;0;0"),
            // Nothing later judges it.
            LATE.seq(Some(1), 2),
        ],
    );
    until_judged(sidecar, &[ORDERS_0, ORDERS_1, BILLS]);
    post(
        sidecar,
        &[
            BILLS.seq(None, 1),
            ORDERS_0.run(16, &[23]),
            // The group was not handed positions 1 and 2, and was handed 3 to 7 twice.
            BILLING.run(3, &[3, 4, 5, 6, 7, 8, 9]),
            BILLING.run(3, &[3, 4, 5, 6, 7]),
            BILLING.run(10, &[11, 10, 12, 20, 21, 22, 23]),
        ],
    );
    until_judged(sidecar, &[BILLING]);
    counts(&sidecar.get("/v1/report?depth=totals"))
}

/// Says that these have been read to their end until nothing in them is missing.
fn until_judged(sidecar: &Sidecar, places: &[At]) {
    let ends: Vec<_> = places.iter().map(|at| at.line("end", "")).collect();
    wait::until("the faults are judged", || {
        post(sidecar, &ends);
        let missing: u64 = places
            .iter()
            .map(|At { view, stream, partition, .. }| {
                let query = format!("view={view}&stream={stream}&partition={partition}");
                let report = sidecar.get(&format!("/v1/report?depth=totals&{query}"));
                report["totals"]["missing"].as_u64().expect("a count")
            })
            .sum();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} missing")) }
    });
}
