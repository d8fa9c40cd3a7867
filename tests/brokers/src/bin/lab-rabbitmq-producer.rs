//! A publishing application that writes down what it heard of each message: `KEY NUMBER ANSWER`, a
//! line a message, where the number counts the application's own messages of that exchange and
//! key, and the message's body is `KEY#NAME#NUMBER`.
//!
//! It is told, a line at a time: `send COUNT`, `transact COUNT commit|rollback|lose`, `load`,
//! `stop`, `count`, `reported` (ledger records; says `reported SENT FAILED`). What it published
//! without an answer it publishes again with `again=yes`; with `numbers=yes` the answer is followed by
//! the number that the message had in its lane, `-` where it never was on its way.
#![expect(clippy::panic, reason = "a test program fails by panicking")]

use std::fs::File;
use std::io::{self, BufRead, BufWriter, Write};
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lacuna_brokers::arguments::Arguments;
use lacuna_brokers::process::say;
use lacuna_rabbitmq::{Number, Options, Publish, StampedChannel, StampedConfirm, Stamper};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Messages that wait for their confirm at a time.
const WINDOW: usize = 200;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::of_this_process();
    let (tell, told) = unbounded_channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    let mut producer = Producer::connected(arguments).await;
    say("ready");
    producer.run(told).await;
}

struct Message {
    target: usize,
    number: u64,
}

struct Producer {
    arguments: Arguments,
    stamper: Stamper,
    connection: Connection,
    channel: StampedChannel,
    /// Exchange and routing key, and how many messages were made for them.
    targets: Vec<(String, String, u64)>,
    next: usize,
    out: BufWriter<File>,
    answered: u64,
}

type Waiting = FuturesUnordered<
    std::pin::Pin<Box<dyn Future<Output = (Message, Option<Number>, lapin::Result<Confirmation>)>>>,
>;

impl Producer {
    async fn connected(arguments: Arguments) -> Self {
        let mut options = Options::default()
            .producer(arguments.text("name"))
            .sidecar(arguments.optional("sidecar").filter(|to| *to != "off").map(str::to_owned))
            .one_queue(arguments.optional("one_queue").is_some());
        if let Some(queue) = arguments.optional("ledger").filter(|queue| *queue != "yes") {
            options = options.ledger(Some(queue.to_owned()));
        }
        for exchange in
            arguments.optional("per_exchange").into_iter().flat_map(|list| list.split(','))
        {
            options = options.per_exchange(exchange);
        }
        let stamper = Stamper::new(options);
        let targets = arguments.text("targets").split(',').map(|target| {
            let (exchange, key) = target.split_once('/').expect("a target is exchange/key");
            (exchange.to_owned(), key.to_owned(), 0)
        });
        let targets = targets.collect();
        let out = File::create(arguments.text("out")).expect("the file can be written");
        let (connection, channel) = connect(&arguments, &stamper).await;
        let out = BufWriter::new(out);
        Self { arguments, stamper, connection, channel, targets, next: 0, out, answered: 0 }
    }

    async fn run(&mut self, mut told: UnboundedReceiver<String>) {
        let mut waiting = Waiting::new();
        while let Some(line) = told.recv().await {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                ["send", count] => {
                    let count: u64 = count.parse().expect("a count");
                    for _ in 0..count {
                        self.publish(&mut waiting).await;
                    }
                    self.hear_all(&mut waiting).await;
                    self.out.flush().expect("the file can be written");
                    say("sent");
                }
                ["reported"] => {
                    let counts = self.stamper.reported();
                    say(&format!("reported {} {}", counts.sent, counts.failed));
                }
                ["load"] => {
                    let mut line = None;
                    while line.is_none() {
                        self.publish(&mut waiting).await;
                        tokio::time::sleep(Duration::from_micros(200)).await;
                        match told.try_recv() {
                            Ok(count) if count == "count" => {
                                say(&format!("answered {}", self.answered));
                            }
                            Ok(stop) => line = Some(stop),
                            Err(_) => {}
                        }
                    }
                    self.hear_all(&mut waiting).await;
                    self.out.flush().expect("the file can be written");
                    say("sent");
                }
                ["transact", count, end] => {
                    let count: u64 = count.parse().expect("a count");
                    self.transact(count, end).await;
                    say("transacted");
                }
                _ => panic!("{line:?}: not understood"),
            }
            self.out.flush().expect("the file can be written");
        }
        self.out.flush().expect("the file can be written");
        self.stamper.close().await;
        drop(self.connection.close(200, "".into()).await);
    }

    async fn publish(&mut self, waiting: &mut Waiting) {
        while waiting.len() >= WINDOW {
            self.hear(waiting).await;
        }
        let target = self.next % self.targets.len();
        self.next += 1;
        let (_, _, made) = &mut self.targets[target];
        let message = Message { target, number: *made };
        *made += 1;
        self.send(message, None, waiting).await;
    }

    async fn send(&mut self, message: Message, again: Option<Number>, waiting: &mut Waiting) {
        let (exchange, key, _) = &self.targets[message.target];
        let name = self.arguments.text("name");
        let body = format!("{exchange}/{key}#{name}#{}", message.number);
        let options = BasicPublishOptions {
            mandatory: self.arguments.optional("mandatory").is_some(),
            ..BasicPublishOptions::default()
        };
        let transient = self.arguments.optional("transient").is_some();
        let mut properties =
            BasicProperties::default().with_delivery_mode(if transient { 1 } else { 2 });
        if let Some(expiration) = self.arguments.optional("expiration") {
            properties = properties.with_expiration(expiration.into());
        }
        let (exchange, routing_key) = (exchange.as_str().into(), key.as_str().into());
        let payload = body.as_bytes();
        let publish = Publish { exchange, routing_key, options, payload, properties };
        let mut kept = again.clone();
        let sent = match &again {
            None => self.channel.publish_keeping(&mut kept, publish).await,
            Some(number) => self.channel.republish(number, publish).await,
        };
        match sent {
            Ok(confirm) => waiting.push(Box::pin(heard(message, kept, confirm))),
            Err(error) => self.failed(message, kept, error, waiting).await,
        }
    }

    async fn hear_all(&mut self, waiting: &mut Waiting) {
        while !waiting.is_empty() {
            self.hear(waiting).await;
        }
    }

    async fn hear(&mut self, waiting: &mut Waiting) {
        let Some((message, number, answer)) = waiting.next().await else { return };
        match answer {
            Err(error) => Box::pin(self.failed(message, number, error, waiting)).await,
            answer => self.write(message, number, answer),
        }
    }

    /// The channel broke: goes on with another one, and publishes again what had no answer if it is
    /// to.
    async fn failed(
        &mut self,
        message: Message,
        number: Option<Number>,
        error: lapin::Error,
        waiting: &mut Waiting,
    ) {
        if !self.channel.status().connected() {
            (self.connection, self.channel) = connect(&self.arguments, &self.stamper).await;
        }
        if self.arguments.optional("again").is_some() {
            Box::pin(self.send(message, number, waiting)).await;
        } else {
            self.write(message, number, Err(error));
        }
    }

    fn write(
        &mut self,
        Message { target, number }: Message,
        kept: Option<Number>,
        answer: lapin::Result<Confirmation>,
    ) {
        let answer = match answer {
            Ok(Confirmation::Ack(None)) => "acknowledged",
            Ok(Confirmation::Ack(Some(_))) => "returned",
            Ok(Confirmation::Nack(_)) => "nacked",
            Ok(Confirmation::NotRequested) => "unasked",
            Err(_) => "unanswered",
        };
        let (exchange, key, _) = &self.targets[target];
        let kept = match (self.arguments.optional("numbers"), kept) {
            (None, _) => String::new(),
            (Some(_), None) => " -".to_owned(),
            (Some(_), Some(number)) => format!(" {}", number.seq()),
        };
        writeln!(self.out, "{exchange}/{key} {number} {answer}{kept}")
            .expect("the file can be written");
        self.answered += 1;
    }

    async fn transact(&mut self, count: u64, end: &str) {
        self.channel.tx_select().await.expect("transactions");
        for _ in 0..count {
            let mut waiting = Waiting::new();
            self.publish(&mut waiting).await;
            self.hear_all(&mut waiting).await;
        }
        match end {
            "commit" => self.channel.tx_commit().await.expect("a commit"),
            "rollback" => self.channel.tx_rollback().await.expect("a rollback"),
            _ => {
                drop(self.connection.close(320, "lost".into()).await);
                (self.connection, self.channel) = connect(&self.arguments, &self.stamper).await;
            }
        }
    }
}

async fn heard(
    message: Message,
    number: Option<Number>,
    confirm: StampedConfirm,
) -> (Message, Option<Number>, lapin::Result<Confirmation>) {
    (message, number, confirm.await)
}

async fn connect(arguments: &Arguments, stamper: &Stamper) -> (Connection, StampedChannel) {
    loop {
        match try_connect(arguments, stamper).await {
            Ok(connected) => return connected,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn try_connect(
    arguments: &Arguments,
    stamper: &Stamper,
) -> lapin::Result<(Connection, StampedChannel)> {
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(arguments.text("url"), properties).await?;
    let channel = stamper.channel(connection.create_channel().await?);
    if arguments.optional("ledger").is_some() {
        stamper.ledger_channel(connection.create_channel().await?).await?;
    }
    if arguments.optional("confirms").is_none() {
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
    }
    Ok((connection, channel))
}
