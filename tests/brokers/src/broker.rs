//! A real Kafka, and what its own tools say.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::MetadataPartition;

use crate::wait;

/// The broker, or the brokers, that `tests/run` started. Tests share them one after the other.
#[derive(Debug)]
pub struct Kafka {
    base: u16,
    data: PathBuf,
    nodes: u16,
    _turn: MutexGuard<'static, ()>,
}

/// One record as Kafka's console consumer prints it.
#[derive(Clone, Copy, Debug)]
pub struct LogRecord<'a> {
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: u64,
    /// Its headers as `key:value`, joined by commas; `NO_HEADERS` where there are none.
    pub headers: &'a str,
    /// The key; `null` where there is none.
    pub key: &'a str,
    /// The value.
    pub value: &'a str,
}

impl<'a> LogRecord<'a> {
    /// Its headers in their order.
    pub fn header_list(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let some = if self.headers == "NO_HEADERS" { "" } else { self.headers };
        some.split(',').filter_map(|header| header.split_once(':'))
    }

    /// The value of its stamp header.
    ///
    /// # Panics
    /// If it has more than one.
    #[must_use]
    pub fn stamp(&self) -> Option<&'a str> {
        let mut stamps = self.header_list().filter(|(name, _)| *name == "lacuna-stamp");
        let stamp = stamps.next().map(|(_, value)| value);
        assert!(stamps.next().is_none(), "two stamps in one record: {self:?}");
        stamp
    }
}

/// One record batch as Kafka's segment dump prints it.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Its first offset.
    pub first: u64,
    /// Its last offset.
    pub last: u64,
    /// How many records it holds: fewer than offsets where it was compacted.
    pub count: u64,
    /// Whether it is a transaction's marker and holds no message.
    pub control: bool,
}

/// One of the brokers.
#[derive(Clone, Copy, Debug)]
pub struct Node(u16);

impl Node {
    /// Ends it as a power cut would.
    pub fn kill(self) {
        self.tell("kill9");
    }

    /// Ends it in good order.
    pub fn stop(self) {
        self.tell("stop");
    }

    /// Starts it again on what it had stored, and waits until it serves.
    pub fn start(self) {
        self.tell("start");
    }

    /// Freezes it.
    pub fn freeze(self) {
        self.tell("freeze");
    }

    /// Lets it go on.
    pub fn thaw(self) {
        self.tell("thaw");
    }

    fn tell(self, verb: &str) {
        output(script().args([verb, &self.0.to_string()]));
    }
}

impl Batch {
    /// How many offsets it takes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Never: a batch has a record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

impl Kafka {
    /// The running broker, for this test alone until it is dropped.
    ///
    /// # Panics
    /// If none was started.
    #[must_use]
    pub fn take() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        // A test that failed has left topics behind, which no other test looks at.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let base = variable("KAFKA_BASE").parse().expect("KAFKA_BASE is a port number");
        let nodes = env::var("KAFKA_NODES").map_or(1, |n| n.parse().expect("it is a number"));
        let kafka = Self { base, data: variable("KAFKA_DATA").into(), nodes, _turn: turn };
        if !kafka.data.join("node1").exists() {
            panic!("no broker in {}: run the broker tests through tests/run", kafka.data.display());
        }
        kafka
    }

    /// Where clients connect.
    #[must_use]
    pub fn brokers(&self) -> String {
        let ports = (1..=self.nodes).map(|node| self.port(10 * node + 1).to_string());
        ports.collect::<Vec<_>>().join(",")
    }

    /// One of the brokers; the first is 1.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub fn node(&self, node: u16) -> Node {
        assert!((1..=self.nodes).contains(&node), "node {node} of {}", self.nodes);
        Node(node)
    }

    /// Waits until all partitions of a topic have this leader (`None`: none), and these replicas in
    /// sync.
    pub fn wait_led(&self, topic: &str, leader: Option<u16>, in_sync: &[u16]) {
        let what = format!("{leader:?} leads {topic}, in sync with {in_sync:?}");
        let leader = leader.map_or(-1, i32::from);
        self.wait_partitions(topic, &what, |partition| {
            partition.leader() == leader && (leader < 0 || has_in_sync(partition, in_sync))
        });
    }

    /// Waits until all partitions of a topic have a leader, and these replicas in sync.
    pub fn wait_in_sync(&self, topic: &str, in_sync: &[u16]) {
        self.wait_partitions(topic, &format!("{in_sync:?} are in sync"), |partition| {
            partition.leader() > 0 && has_in_sync(partition, in_sync)
        });
    }

    fn wait_partitions(&self, topic: &str, what: &str, so: impl Fn(&MetadataPartition) -> bool) {
        let client = self.client();
        wait::until(what, || {
            let metadata = client
                .fetch_metadata(Some(topic), Duration::from_secs(2))
                .map_err(|error| error.to_string())?;
            let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
            if !partitions.is_empty() && partitions.iter().all(&so) {
                return Ok(());
            }
            let said: Vec<_> = partitions.iter().map(|p| (p.id(), p.leader(), p.isr())).collect();
            Err(format!("{said:?}"))
        });
    }

    fn client(&self) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.brokers()).set_log_level(RDKafkaLogLevel::Critical);
        config.create().expect("the configuration is sound")
    }

    /// Who leads a partition.
    fn leader(&self, topic: &str, partition: u32) -> i32 {
        let client = self.client();
        wait::until("someone leads", || {
            let metadata = client
                .fetch_metadata(Some(topic), Duration::from_secs(2))
                .map_err(|error| error.to_string())?;
            let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            let found = partitions.find(|found| u32::try_from(found.id()) == Ok(partition));
            let leader = found.map_or(-1, MetadataPartition::leader);
            if leader > 0 { Ok(leader) } else { Err(format!("{leader}")) }
        })
    }

    /// Where clients connect that go through a proxy: the proxy's own address, and the one it
    /// must forward to.
    #[must_use]
    pub fn proxied(&self) -> (SocketAddr, SocketAddr) {
        (self.port(14), self.port(13))
    }

    /// Where clients connect that say the password.
    #[must_use]
    pub fn by_password(&self) -> SocketAddr {
        self.port(15)
    }

    /// Where clients connect that say it over TLS, and the authority that they must trust.
    #[must_use]
    pub fn by_tls(&self) -> (String, PathBuf) {
        (format!("localhost:{}", self.port(16).port()), self.data.join("node1/ca.pem"))
    }

    /// A loopback port of this run; the brokers themselves use those below 40.
    #[must_use]
    pub fn port(&self, offset: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.base + offset).into()
    }

    /// What runs one of Kafka's own tools, given its class, as words of a shell.
    #[must_use]
    pub fn tool(&self) -> String {
        format!("{} run", script_path().display())
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
        self.node(1).kill();
    }

    /// Starts it again on what it had stored, and waits until it serves.
    pub fn start(&self) {
        self.node(1).start();
    }

    /// Freezes it.
    pub fn freeze(&self) {
        self.node(1).freeze();
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.node(1).thaw();
    }

    /// Makes a topic.
    pub fn create(&self, topic: &str, partitions: u32) {
        self.create_with(topic, &["--partitions", &partitions.to_string()], &[]);
    }

    /// Makes a topic with further arguments of Kafka's tool, and with properties.
    pub fn create_with(&self, topic: &str, more: &[&str], properties: &[&str]) {
        let mut args = vec!["--create", "--topic", topic];
        args.extend(more);
        args.extend(properties.iter().flat_map(|property| ["--config", property]));
        self.topics(&args);
    }

    /// Deletes a topic.
    pub fn delete(&self, topic: &str) {
        self.topics(&["--delete", "--topic", topic]);
    }

    /// Makes a topic of one partition that takes no batch of more bytes.
    pub fn create_narrow(&self, topic: &str, bytes: u32) {
        let limit = format!("max.message.bytes={bytes}");
        self.topics(&["--create", "--topic", topic, "--partitions", "1", "--config", &limit]);
    }

    /// Denies every client to write to a topic (`--add`), or does so no more (`--remove`).
    pub fn deny(&self, verb: &str, topic: &str) {
        let mut command = tool("org.apache.kafka.tools.AclCommand");
        command.args(["--bootstrap-server", &self.brokers(), verb, "--force", "--topic", topic]);
        output(command.args(["--deny-principal", "User:*", "--operation", "Write"]));
    }

    /// Gives a topic more partitions.
    pub fn grow(&self, topic: &str, partitions: u32) {
        self.topics(&["--alter", "--topic", topic, "--partitions", &partitions.to_string()]);
    }

    /// Deletes a partition's records below `offset`.
    pub fn delete_below(&self, topic: &str, partition: u32, offset: u64) {
        let file = self.directory(topic).join(format!("delete-{partition}-{offset}.json"));
        let request = serde_json::json!({
            "version": 1,
            "partitions": [{ "topic": topic, "partition": partition, "offset": offset }],
        });
        fs::write(&file, request.to_string()).expect("the run's directory can be written");
        let mut command = tool("org.apache.kafka.tools.DeleteRecordsCommand");
        let said = output(
            command.args(["--bootstrap-server", &self.brokers(), "--offset-json-file"]).arg(&file),
        );
        assert!(
            said.contains(&format!("low_watermark: {offset}")),
            "records were not deleted: {said}"
        );
    }

    /// Every partition's log end, as Kafka's tool says.
    #[must_use]
    pub fn ends(&self, topic: &str) -> BTreeMap<u32, u64> {
        self.offsets(topic, "latest")
    }

    /// Every partition's log start, as Kafka's tool says.
    #[must_use]
    pub fn starts(&self, topic: &str) -> BTreeMap<u32, u64> {
        self.offsets(topic, "earliest")
    }

    /// What a group has committed in a topic, as Kafka's tool says; a partition in which it has
    /// committed nothing is missing.
    #[must_use]
    pub fn commits(&self, group: &str, topic: &str) -> BTreeMap<u32, u64> {
        let said = output(self.group(group).arg("--describe"));
        let row = |line: &str| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [_, of, partition, committed, ..] = fields[..] else { return None };
            (of == topic).then_some(())?;
            Some((partition.parse().ok()?, committed.parse().ok()?))
        };
        said.lines().filter_map(row).collect()
    }

    /// Waits until a group has no member any more.
    pub fn is_deserted(&self, group: &str) {
        wait::until(&format!("{group} is deserted"), || {
            let said = output(self.group(group).args(["--describe", "--state"]));
            if said.split_whitespace().any(|word| word == "Empty") { Ok(()) } else { Err(said) }
        });
    }

    /// Sets a group without members to another position, as an operator does: `to` is what Kafka's
    /// tool takes, as `--to-latest`.
    pub fn reset(&self, group: &str, topic: &str, to: &[&str]) {
        let mut command = self.group(group);
        output(command.args(["--reset-offsets", "--execute", "--topic", topic]).args(to));
    }

    fn group(&self, group: &str) -> Command {
        let mut command = tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand");
        command.args(["--bootstrap-server", &self.brokers(), "--group", group]);
        command
    }

    /// A partition's batches, from its leader's segment files.
    #[must_use]
    pub fn batches(&self, topic: &str, partition: u32) -> Vec<Batch> {
        let leader = format!("node{}", self.leader(topic, partition));
        let directory = self.data.join(leader).join("log").join(format!("{topic}-{partition}"));
        let mut segments: Vec<PathBuf> = fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|kind| kind == "log"))
            .collect();
        segments.sort();
        let files: Vec<_> = segments.iter().map(|path| path.to_string_lossy()).collect();
        let mut command = tool("org.apache.kafka.tools.DumpLogSegments");
        let said = output(command.args(["--files", &files.join(",")]));
        said.lines().filter(|line| line.starts_with("baseOffset:")).map(batch).collect()
    }

    /// Every record of a topic, each partition's in the order of its offsets. Uncommitted and
    /// aborted ones too.
    pub fn records(&self, topic: &str, mut each: impl FnMut(LogRecord<'_>)) {
        let starts = self.starts(topic);
        let held: u64 = starts
            .iter()
            .flat_map(|(&partition, &start)| {
                self.batches(topic, partition)
                    .into_iter()
                    .filter(move |batch| !batch.control && batch.last >= start)
                    .map(move |batch| batch.count - start.saturating_sub(batch.first))
            })
            .sum();
        if held == 0 {
            return;
        }
        let mut command = tool("org.apache.kafka.tools.consumer.ConsoleConsumer");
        command.args(["--bootstrap-server", &self.brokers(), "--topic", topic, "--from-beginning"]);
        command.args(["--max-messages", &held.to_string()]);
        command.args(["--formatter-property", "print.timestamp=false"]);
        for what in ["partition", "offset", "headers", "key", "value"] {
            command.args(["--formatter-property", &format!("print.{what}=true")]);
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the broker's script can be run");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let (mut line, mut count) = (String::new(), 0);
        while lines.read_line(&mut line).expect("what Kafka prints is UTF-8") > 0 {
            each(record(line.trim_end_matches('\n')));
            line.clear();
            count += 1;
        }
        let status = child.wait().expect("the tool was started");
        assert!(status.success() && count == held, "{topic}: {count} of {held} records, {status}");
    }

    fn offsets(&self, topic: &str, time: &str) -> BTreeMap<u32, u64> {
        let args = ["--bootstrap-server", &self.brokers(), "--topic", topic, "--time", time];
        let said = output(tool("org.apache.kafka.tools.GetOffsetShell").args(args));
        let rows = said.lines().map(|line| {
            let mut fields = line.rsplit(':');
            let offset = fields.next().and_then(|offset| offset.parse().ok());
            let partition = fields.next().and_then(|partition| partition.parse().ok());
            partition.zip(offset).unwrap_or_else(|| panic!("not an offset: {line:?}"))
        });
        rows.collect()
    }

    fn topics(&self, args: &[&str]) {
        let mut command = tool("org.apache.kafka.tools.TopicCommand");
        output(command.args(["--bootstrap-server", &self.brokers()]).args(args));
    }
}

fn has_in_sync(partition: &MetadataPartition, nodes: &[u16]) -> bool {
    let now: BTreeSet<i32> = partition.isr().iter().copied().collect();
    now == nodes.iter().map(|&node| node.into()).collect()
}

fn variable(name: &str) -> String {
    env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run the broker tests through tests/run"))
}

fn script() -> Command {
    Command::new(script_path())
}

fn script_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/kafka.sh")
}

fn tool(class: &str) -> Command {
    let mut command = script();
    command.args(["run", class]);
    command
}

fn output(command: &mut Command) -> String {
    let output = command.stderr(Stdio::inherit()).output().expect("the broker's script can be run");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {}: {said}", output.status);
    said
}

/// `Partition:1 Offset:7 headers key value`, with tabs between.
fn record(line: &str) -> LogRecord<'_> {
    let mut fields = line.splitn(5, '\t');
    let mut field = || fields.next().unwrap_or_else(|| panic!("not a record: {line:?}"));
    let number = |text: &str, name: &str| {
        text.strip_prefix(name)
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("no {name} in {line:?}"))
    };
    let partition = number(field(), "Partition:");
    LogRecord {
        partition: u32::try_from(partition).expect("partitions are 32 bits"),
        offset: number(field(), "Offset:"),
        headers: field(),
        key: field(),
        value: field(),
    }
}

/// `baseOffset: 0 lastOffset: 19 count: 20 … isControl: false …`.
fn batch(line: &str) -> Batch {
    let field = |name: &str| {
        let mut words = line.split(' ').skip_while(|word| *word != name);
        words.nth(1).unwrap_or_else(|| panic!("no {name} in {line:?}"))
    };
    let number = |name: &str| field(name).parse().expect("Kafka prints offsets as numbers");
    Batch {
        first: number("baseOffset:"),
        last: number("lastOffset:"),
        count: number("count:"),
        control: field("isControl:") == "true",
    }
}
