use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use lapin::uri::{AMQPScheme, AMQPUri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::bindings::Binding;

/// One connection to a RabbitMQ virtual host.
#[derive(Clone, Debug)]
pub struct RabbitSettings {
    /// The source's name.
    pub name: String,
    /// Where the broker is, with credentials and virtual host.
    pub uri: AMQPUri,
    /// A file that holds the password, read at every connection, so that it may change.
    pub password_file: Option<PathBuf>,
    /// The management API's beginning, as `http://host:15672`; `None`: beside the broker.
    pub management: Option<String>,
    /// The business queue. Its bindings are the tap's, and a group's view of this name ends where
    /// it is empty.
    pub queue: Option<String>,
    /// The tap's bindings, where they are not asked for.
    pub bindings: Vec<Binding>,
    /// What the tap reads.
    pub tap: TapKind,
    /// The tap's own queue.
    pub tap_queue: String,
    /// Exchanges of which the bindings take everything: a message with any routing key reaches
    /// the business queue.
    pub whole: Vec<String>,
    /// Messages that wait in the tap's queue, at most; of a tap queue and the firehose.
    pub max_messages: u32,
    /// Bytes that wait in the tap's queue, at most.
    pub max_bytes: u64,
    /// A tap queue that nobody reads for so long is deleted by the broker; of a stream: how long
    /// it keeps messages.
    pub expires: Duration,
    /// The queue to which producers send their ledger, a stream; `None`: it is not read.
    pub ledger: Option<String>,
    /// Stands before every stream's name, where two brokers have the same exchanges.
    pub stream_prefix: String,
}

/// What a tap reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TapKind {
    /// A classic queue.
    #[default]
    Queue,
    /// A stream: what was read stays, so that an outage is read again from where it began.
    Stream,
    /// RabbitMQ's tracer, which tells of every publish and every delivery.
    Firehose,
}

impl RabbitSettings {
    /// What waits in a tap's queue by default: a sidecar that is away for some minutes misses
    /// nothing, and the broker is not filled.
    pub const MAX_MESSAGES: u32 = 1_000_000;
    /// The same in bytes.
    pub const MAX_BYTES: u64 = 1 << 30;
    /// A day: a sidecar that is away longer begins anew.
    pub const EXPIRES: Duration = Duration::from_secs(86_400);

    /// The ledger's queue, unless configured.
    pub const LEDGER: &str = "lacuna.ledger";

    /// This queue of this broker, and all else at its default.
    #[must_use]
    pub fn new(name: &str, uri: AMQPUri) -> Self {
        Self {
            name: name.to_owned(),
            uri,
            password_file: None,
            management: None,
            queue: None,
            bindings: Vec::new(),
            tap: TapKind::default(),
            tap_queue: format!("lacuna.tap.{name}"),
            whole: Vec::new(),
            max_messages: Self::MAX_MESSAGES,
            max_bytes: Self::MAX_BYTES,
            expires: Self::EXPIRES,
            ledger: Some(Self::LEDGER.to_owned()),
            stream_prefix: String::new(),
        }
    }

    /// Where the broker is, with the password as it is now.
    pub(super) fn current_uri(&self) -> io::Result<AMQPUri> {
        let mut uri = self.uri.clone();
        if let Some(file) = &self.password_file {
            uri.authority.userinfo.password = fs::read_to_string(file)?.trim_end().to_owned();
        }
        Ok(uri)
    }

    /// Where the broker is, without credentials.
    #[must_use]
    pub fn address(&self) -> String {
        let AMQPUri { scheme, authority, vhost, .. } = &self.uri;
        let vhost = utf8_percent_encode(vhost, NON_ALPHANUMERIC);
        format!("{scheme}://{}:{}/{vhost}", authority.host, authority.port)
    }

    /// The management API's beginning.
    pub(super) fn management(&self) -> String {
        let (scheme, port) = match self.uri.scheme {
            AMQPScheme::AMQP => ("http", 15672),
            AMQPScheme::AMQPS => ("https", 15671),
        };
        let beside = || format!("{scheme}://{}:{port}", self.uri.authority.host);
        self.management.clone().unwrap_or_else(beside)
    }

    /// The queue that is told when the tap's own drops a message.
    pub(super) fn dropped_queue(&self) -> String {
        format!("{}.dropped", self.tap_queue)
    }

    /// A stream that both sources deliver, as far as their bindings tell.
    #[must_use]
    pub fn shared(&self, other: &Self) -> Option<String> {
        let same = self.queue.is_some() && self.queue == other.queue && self.uri == other.uri;
        let both = self.stream_prefix == other.stream_prefix;
        let bound = self.bindings.iter().find(|binding| other.bindings.contains(binding));
        let bound = bound.map(ToString::to_string);
        bound.or_else(|| self.queue.clone().filter(|_| same)).filter(|_| both)
    }

    /// Whether the exchange is declared to be seen whole.
    pub(super) fn sees_whole(&self, exchange: &str) -> bool {
        self.whole.iter().any(|whole| whole == exchange)
    }
}
