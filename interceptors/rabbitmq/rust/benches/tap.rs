//! What a tap costs on RabbitMQ: the sidecar's CPU a message, and the broker's with the tap and
//! without.
//!
//! ```text
//! LACUNA_BENCH_RABBITMQ=amqp://guest:guest@127.0.0.1:5672/%2f LACUNA_BENCH_RABBITMQ_PID=<the broker's> \
//! LACUNA_BIN=target/release/lacuna cargo bench -p lacuna-rabbitmq --bench tap
//! ```
//!
//! It needs a real RabbitMQ on this machine and a built sidecar, which it runs on a free port with a
//! tap of each kind. The same stamped, confirmed messages are published to one durable queue that keeps the
//! last thousand, without a tap, with one, and so on in turn. A round ends when the tap has seen its last
//! message. Figures are medians, of the CPU time of whole processes.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

mod broker;

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use broker::{KEY, WINDOW, begin, cpu, end, median};
use lacuna_rabbitmq::{Options, Stamper};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeleteOptions};
use lapin::{BasicProperties, Connection};

const NAME: &str = "lacuna-bench-tap";
const ROUNDS: usize = 5;
const MESSAGES: u64 = 50_000;
const SIZES: [usize; 2] = [100, 1_024];

#[tokio::main]
async fn main() {
    let variables = ["LACUNA_BENCH_RABBITMQ", "LACUNA_BENCH_RABBITMQ_PID", "LACUNA_BIN"];
    let [Ok(url), Ok(broker), Ok(binary)] = variables.map(env::var) else {
        println!("skipped: needs {}", variables.join(", "));
        return;
    };
    let broker: u32 = broker.parse().unwrap();
    let (connection, channel) = begin(&url, NAME).await;
    for size in SIZES {
        let payload = vec![b'x'; size];
        for kind in ["queue", "stream"] {
            let (mut ratios, mut without, mut with, mut tap) =
                (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for round in 0..=ROUNDS {
                let begun = cpu(broker);
                publish(&connection, &payload).await;
                let alone = cpu(broker) - begun;
                let mut sidecar = Sidecar::start(&binary, &url, kind).await;
                let (begun, tap_begun) = (cpu(broker), cpu(sidecar.process.id()));
                publish(&connection, &payload).await;
                sidecar.sees(MESSAGES).await;
                let tapped = cpu(broker) - begun;
                let tap_took = cpu(sidecar.process.id()) - tap_begun;
                sidecar.end();
                let queue = format!("lacuna.tap.{NAME}");
                channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
                // The first round warms up.
                if round > 0 {
                    ratios.push(tapped / alone);
                    without.push(alone);
                    with.push(tapped);
                    tap.push(tap_took);
                }
            }
            println!(
                "{size:>5} B, tap = {kind}: broker with / without: CPU {:.2} ({:.1} µs / {:.1} µs a \
                 message), sidecar {:.1} µs a message",
                median(&mut ratios),
                median_us(&mut with),
                median_us(&mut without),
                median_us(&mut tap)
            );
        }
    }
    end(&channel, NAME).await;
}

async fn publish(connection: &Connection, payload: &[u8]) {
    let stamper = Stamper::new(Options::default().ledger(None).sidecar(None));
    let channel = stamper.channel(connection.create_channel().await.unwrap());
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    for _ in 0..MESSAGES / WINDOW {
        let mut confirms = Vec::new();
        for _ in 0..WINDOW {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let options = BasicPublishOptions::default();
            let publish =
                channel.basic_publish(NAME.into(), KEY.into(), options, payload, properties);
            confirms.push(publish.await.unwrap());
        }
        for confirm in confirms {
            assert!(confirm.await.unwrap().is_ack());
        }
    }
}

struct Sidecar {
    process: Child,
    address: SocketAddr,
    config: PathBuf,
}

impl Sidecar {
    /// Waits until it is ready.
    async fn start(binary: &str, url: &str, kind: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = env::temp_dir().join(format!("{NAME}-{}.toml", std::process::id()));
        let lines = format!(
            "http.listen = \"{address}\"\nstate.path = \"none\"\n[source.bench]\nkind = \"rabbitmq\"\n\
             url = \"{url}\"\nbindings = [\"{NAME}/{KEY}\"]\ntap = \"{kind}\"\n\
             tap_queue = \"lacuna.tap.{NAME}\"\nledger = \"off\"\n"
        );
        fs::write(&config, lines).unwrap();
        let mut command = Command::new(binary);
        command.args(["run", "--config"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let sidecar = Self { process: command.spawn().unwrap(), address, config };
        sidecar.until("/readyz", |answer| answer.starts_with("HTTP/1.1 200")).await;
        sidecar
    }

    async fn sees(&self, messages: u64) {
        let seen = format!("\"seen\":{messages},");
        self.until("/v1/report?depth=totals", |answer| answer.contains(&seen)).await;
    }

    async fn until(&self, path: &str, so: impl Fn(&str) -> bool) {
        while !self.ask(path).is_ok_and(|answer| so(&answer)) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn ask(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn end(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        fs::remove_file(&self.config).unwrap();
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn median_us(values: &mut [f64]) -> f64 {
    median(values) / 1_000.0 / MESSAGES as f64
}
