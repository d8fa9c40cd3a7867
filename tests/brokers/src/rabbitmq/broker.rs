//! A real RabbitMQ, and what it says itself.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lapin::options::{
    BasicGetOptions, ExchangeBindOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
    ExchangeUnbindOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use tokio::runtime::Runtime;

use crate::{http, wait};

/// The broker that `tests/run` started. Tests share it one after the other.
#[derive(Debug)]
pub struct RabbitMq {
    base: u16,
    data: PathBuf,
    runtime: Runtime,
    _turn: MutexGuard<'static, ()>,
}

/// A message as it lies in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The application's own name of it.
    pub body: String,
    /// Its stamp header.
    pub stamp: Option<String>,
}

impl RabbitMq {
    /// The running broker, for this test alone until it is dropped.
    ///
    /// # Panics
    /// If none was started.
    #[must_use]
    pub fn take() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        // A test that failed has left queues behind, which no other test looks at.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let base = variable("RABBITMQ_PORT").parse().expect("RABBITMQ_PORT is a port number");
        let data = PathBuf::from(variable("RABBITMQ_DATA"));
        if !data.join("rabbitmq.conf").exists() {
            panic!("no broker in {}: run the broker tests through tests/run", data.display());
        }
        let runtime = Runtime::new().expect("a runtime");
        Self { base, data, runtime, _turn: turn }
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.port(0))
    }

    /// Where clients connect by TLS.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("amqps://guest:guest@localhost:{}/%2f", self.port(3).port())
    }

    /// The certificate of the authority that the broker's own is signed by.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.data.join("ca.pem")
    }

    /// The management API's beginning.
    #[must_use]
    pub fn management(&self) -> String {
        format!("http://{}", self.port(1))
    }

    /// A loopback port of this run; the broker itself uses those below 10.
    #[must_use]
    pub fn port(&self, offset: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.base + offset).into()
    }

    /// A directory for a test's own files.
    #[must_use]
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.data.join("files").join(name);
        fs::create_dir_all(&path).expect("the run's directory can be written");
        path
    }

    /// Ends the broker as a power cut would.
    pub fn kill(&self) {
        run(&["kill9"]);
    }

    /// Ends it in good order.
    pub fn stop(&self) {
        run(&["stop"]);
    }

    /// Starts it again on what it had stored, and waits until it serves.
    pub fn start(&self) {
        run(&["start"]);
    }

    /// Turns the tracer on or off.
    pub fn trace(&self, on: bool) {
        run(&["run", if on { "trace_on" } else { "trace_off" }]);
    }

    /// A counter of the broker's own, over all its labels.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        let (_, body) = http::exchange(self.port(2), "GET", "/metrics", "").expect("its metrics");
        let samples = body.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let value =
            |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok());
        samples.map(|line| value(line).unwrap_or_else(|| panic!("no count: {line}"))).sum()
    }

    /// Makes a durable exchange.
    pub fn exchange(&self, name: &str, kind: ExchangeKind) {
        self.with(async |channel| {
            let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
            channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await
        });
    }

    /// Deletes an exchange.
    pub fn delete_exchange(&self, name: &str) {
        self.with(async |channel| {
            channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await
        });
    }

    /// Makes a durable queue, bound as given (exchange, routing key).
    pub fn queue(&self, name: &str, arguments: &[(&str, AMQPValue)], bindings: &[(&str, &str)]) {
        self.queue_that(name, true, arguments, bindings);
    }

    /// Makes a queue, durable or not.
    pub fn queue_that(
        &self,
        name: &str,
        durable: bool,
        arguments: &[(&str, AMQPValue)],
        bindings: &[(&str, &str)],
    ) {
        let mut table = FieldTable::default();
        for (name, value) in arguments {
            table.insert((*name).into(), value.clone());
        }
        self.with(async |channel| {
            let options = QueueDeclareOptions { durable, ..Default::default() };
            channel.queue_declare(name.into(), options, table.clone()).await?;
            for (exchange, key) in bindings {
                let (exchange, key) = ((*exchange).into(), (*key).into());
                let options = QueueBindOptions::default();
                channel
                    .queue_bind(name.into(), exchange, key, options, FieldTable::default())
                    .await?;
            }
            Ok(())
        });
    }

    /// Takes a binding away.
    pub fn unbind(&self, queue: &str, exchange: &str, key: &str) {
        self.with(async |channel| {
            let table = FieldTable::default();
            channel.queue_unbind(queue.into(), exchange.into(), key.into(), table).await
        });
    }

    /// Has an exchange pass on to another one what it takes under this key.
    pub fn chain(&self, from: &str, to: &str, key: &str) {
        self.with(async |channel| {
            let (to, from, options) = (to.into(), from.into(), ExchangeBindOptions::default());
            channel.exchange_bind(to, from, key.into(), options, FieldTable::default()).await
        });
    }

    /// Takes that back.
    pub fn unchain(&self, from: &str, to: &str, key: &str) {
        self.with(async |channel| {
            let (to, from, options) = (to.into(), from.into(), ExchangeUnbindOptions::default());
            channel.exchange_unbind(to, from, key.into(), options, FieldTable::default()).await
        });
    }

    /// Deletes a queue.
    pub fn delete_queue(&self, name: &str) {
        self.with(async |channel| {
            channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.map(drop)
        });
    }

    /// Messages that are ready in a queue.
    #[must_use]
    pub fn ready(&self, queue: &str) -> u32 {
        self.with(async |channel| {
            let options = QueueDeclareOptions { passive: true, ..Default::default() };
            let found = channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
            Ok(found.message_count())
        })
    }

    /// Waits until nothing is left to be sent of a queue; what was may be unacknowledged.
    pub fn all_are_sent(&self, queue: &str) {
        wait::until("all were sent", || match self.ready(queue) {
            0 => Ok(()),
            other => Err(other.to_string()),
        });
    }

    /// Takes all that is ready in a queue.
    #[must_use]
    pub fn drain(&self, queue: &str) -> Vec<Stored> {
        self.with(async |channel| {
            let mut stored = Vec::new();
            let options = BasicGetOptions { no_ack: true };
            while let Some(message) = channel.basic_get(queue.into(), options).await? {
                let headers = message.properties.headers().as_ref();
                let stamp = headers.and_then(|headers| headers.inner().get("lacuna-stamp"));
                let stamp = stamp.and_then(AMQPValue::as_long_string);
                stored.push(Stored {
                    body: String::from_utf8_lossy(&message.data).into_owned(),
                    stamp: stamp.map(ToString::to_string),
                });
            }
            Ok(stored)
        })
    }

    /// The numbers of the stamps in a queue, which keeps them.
    #[must_use]
    pub fn look(&self, queue: &str) -> Vec<u64> {
        self.with(async |channel| {
            let mut numbers = Vec::new();
            // What is not acknowledged goes back when the channel is closed.
            let options = BasicGetOptions { no_ack: false };
            while let Some(message) = channel.basic_get(queue.into(), options).await? {
                let headers = message.properties.headers().as_ref();
                let stamp = headers.and_then(|headers| headers.inner().get("lacuna-stamp"));
                let stamp = stamp.and_then(AMQPValue::as_long_string).expect("all are stamped");
                let stamp = stamp.to_string();
                let number = stamp.rsplit(';').next().and_then(|number| number.parse().ok());
                numbers.push(number.expect("a number"));
            }
            Ok(numbers)
        })
    }

    /// Has a shovel move all that a queue holds to this exchange and key, and end; with `headers` it
    /// says so in each message.
    pub fn shovel(&self, queue: &str, exchange: &str, key: &str, headers: bool) {
        let uri = self.url();
        let shovel = serde_json::json!({
            "src-protocol": "amqp091", "src-uri": uri, "src-queue": queue,
            "src-delete-after": "queue-length",
            "dest-protocol": "amqp091", "dest-uri": uri, "dest-exchange": exchange,
            "dest-exchange-key": key, "dest-add-forward-headers": headers,
        });
        run(&["run", "set_parameter", "shovel", queue, &shovel.to_string()]);
    }

    /// Where a user connects who may write to this exchange and nowhere else.
    #[must_use]
    pub fn user_that_writes_to(&self, exchange: &str) -> String {
        run(&["run", "add_user", exchange, exchange]);
        run(&["run", "set_permissions", exchange, "", &format!("^{exchange}$"), ""]);
        format!("amqp://{exchange}:{exchange}@{}/%2f", self.port(0))
    }

    fn with<T>(&self, work: impl AsyncFnOnce(&Channel) -> lapin::Result<T>) -> T {
        self.runtime.block_on(async {
            let properties = ConnectionProperties::default();
            let connection = Connection::connect(&self.url(), properties).await;
            let connection = connection.expect("the broker serves");
            let channel = connection.create_channel().await.expect("a channel");
            let done = work(&channel).await.unwrap_or_else(|error| panic!("the broker: {error}"));
            connection.close(200, "".into()).await.expect("it closes");
            done
        })
    }
}

/// The URL of a broker, or of a proxy to it.
#[must_use]
pub fn url(address: SocketAddr) -> String {
    format!("amqp://guest:guest@{address}/%2f")
}

/// A text argument of a queue.
#[must_use]
pub fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn variable(name: &str) -> String {
    env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run the broker tests through tests/run"))
}

/// What starts the broker, ends it, and runs its own tool.
#[must_use]
pub fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rabbitmq/rabbitmq.sh")
}

fn run(arguments: &[&str]) {
    let output = Command::new(script()).args(arguments).output().expect("bash is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "rabbitmq.sh {arguments:?}: {said}");
}
