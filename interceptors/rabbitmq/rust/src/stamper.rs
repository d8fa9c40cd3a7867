//! What all channels of a producer share: who it is, its lanes, and the counts of what went out
//! unstamped.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use futures_channel::oneshot;
use lacuna_core::ledger::LedgerRecord;
use lacuna_interceptor::{
    Answers, Counts, Identity, Lane, LaneMap, Lanes, Outcome, Reported, Reporter, Switch,
    Unstamped, clock, lock,
};
use lapin::message::BasicReturnMessage;
use lapin::options::ConfirmSelectOptions;
use lapin::{Channel, Result};

use crate::carrier;
use crate::confirms::Confirms;
use crate::ledger::{QueueCarrier, Way};
use crate::options::Options;
use crate::producer::StampedChannel;

/// RabbitMQ has no partitions.
const LABEL: &str = "0";
/// Channels that are looked after once nobody holds them; of the rest no answer is heard.
const CLOSED_CHANNELS: usize = 1_024;
/// How long a close waits for the lanes' last records to arrive.
const LAST_RECORDS: Duration = Duration::from_secs(1);

/// One run of one producer. Clones are the same producer.
///
/// It outlives connections and channels: numbers go on with the next [`Stamper::channel`]. Its
/// ledger goes to the sidecar that the environment names ([`SIDECAR_ENV`](crate::SIDECAR_ENV)), and
/// to a queue once it is given a channel for that ([`Stamper::ledger_channel`]).
#[derive(Clone, Debug)]
pub struct Stamper(Arc<Running>);

/// The stamping, and the thread that reports it until this is dropped.
#[derive(Debug)]
struct Running {
    inner: Arc<Inner>,
    reporter: Arc<Reporter>,
    ledger: Option<Way>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    identity: Identity,
    options: Options,
    lanes: LaneMap,
    pub(crate) unstamped: Unstamped,
    /// Each channel's answers, those too that nobody waits for any more.
    confirms: Mutex<Vec<Arc<Confirms>>>,
    /// The reporter, to be told of failures.
    reporter: OnceLock<Arc<Reporter>>,
}

impl Default for Stamper {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Stamper {
    /// A producer that has sent nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let ledger = options.stamping.ledger.clone();
        let way = ledger.name.as_deref().map(Way::to);
        let inner = Arc::new(Inner::new(options));
        let reporter: Arc<Reporter> = Arc::default();
        // It was not set before.
        drop(inner.reporter.set(Arc::clone(&reporter)));
        let carriers = way.iter().map(|way| Box::new(QueueCarrier::new(way.clone())) as _);
        let lanes: Arc<dyn Lanes> = Arc::clone(&inner) as _;
        let identity = inner.identity.clone();
        reporter.start(&ledger, identity, Answers::All, lanes, carriers.collect());
        Self(Arc::new(Running { inner, reporter, ledger: way }))
    }

    /// A channel that stamps what is published through it.
    #[must_use]
    pub fn channel(&self, channel: Channel) -> StampedChannel {
        let inner = &self.0.inner;
        let confirms = Arc::new(Confirms::new(Arc::clone(inner)));
        let mut all = lock(&inner.confirms);
        all.retain(|known| !known.is_done());
        if all.len() >= CLOSED_CHANNELS {
            all.remove(0);
        }
        all.push(Arc::clone(&confirms));
        StampedChannel::new(channel, confirms, self.clone())
    }

    /// Sends the ledger through this channel from now on, to the queue that the options name
    /// (`lacuna.ledger`). Give it a channel of its own, and another one after a reconnect.
    pub async fn ledger_channel(&self, channel: Channel) -> Result<()> {
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        if let Some(way) = &self.0.ledger {
            way.open(channel);
        }
        Ok(())
    }

    /// The producer has ended: closes its lanes, and waits until their last records have arrived,
    /// for a second at most. Before the connection is closed, if they go through that. Without it
    /// a drop of the last clone sends them too, but nobody waits.
    pub async fn close(&self) {
        let reporter = Arc::clone(&self.0.reporter);
        let (done, ended) = oneshot::channel::<()>();
        let wait = move || {
            reporter.close(LAST_RECORDS);
            drop(done);
        };
        // A runtime's own thread may be the one that sends them.
        if thread::Builder::new().spawn(wait).is_ok() {
            // It is dropped, never sent.
            ended.await.unwrap_or_default();
        }
    }

    /// The switch that governs the stamping; it may be turned at any time.
    #[must_use]
    pub fn switch(&self) -> &Switch {
        &self.0.inner.options.stamping.switch
    }

    /// What was stamped, and what was not and why.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let Inner { lanes, unstamped, .. } = &*self.0.inner;
        let mut streams = Vec::new();
        lanes.each(&mut |lane| streams.push(lane.stream().to_owned()));
        let lanes: Vec<_> = streams.iter().filter_map(|stream| lanes.find(stream)).collect();
        unstamped.counts(lanes.iter().map(|lane| &**lane))
    }

    /// What was reported of the ledger.
    #[must_use]
    pub fn reported(&self) -> Reported {
        self.0.reporter.counts()
    }

    /// Shows one record of every lane, as of now (contracts §2).
    pub fn ledger(&self, mut visit: impl FnMut(&LedgerRecord<'_>)) {
        let inner = &self.0.inner;
        let now = clock::unix_ms();
        inner.each(&mut |lane| visit(&lane.record(&inner.identity, Answers::All, now)));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.reporter.close(Duration::ZERO);
    }
}

impl Lanes for Inner {
    fn each(&self, visit: &mut dyn FnMut(&Lane)) {
        let channels = lock(&self.confirms).clone();
        for confirms in &channels {
            drop(confirms.hear_dropped());
        }
        self.lanes.each(visit);
    }
}

impl Inner {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            identity: options.stamping.identity(None),
            lanes: LaneMap::new(options.lanes),
            options,
            unstamped: Unstamped::default(),
            confirms: Mutex::default(),
            reporter: OnceLock::new(),
        }
    }

    #[cfg(test)]
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whose number a message takes; `None`: one lane too many.
    pub(crate) fn lane(&self, exchange: &str, routing_key: &str) -> Option<Arc<Lane>> {
        let make = |stream: &Arc<str>| Lane::new(stream, LABEL, &self.identity, false);
        if self.options.per_exchange.contains(exchange) {
            return self.lanes.entry(exchange, make);
        }
        self.lanes.entry(&[exchange, "/", routing_key].concat(), make)
    }

    pub(crate) fn is_on(&self) -> bool {
        self.options.stamping.switch.is_on()
    }

    /// Something failed.
    pub(crate) fn ring(&self) {
        if let Some(reporter) = self.reporter.get() {
            reporter.ring();
        }
    }

    /// What a nack says.
    pub(crate) fn nacked(&self) -> Outcome {
        if self.options.one_queue { Outcome::Refused } else { Outcome::Unanswered }
    }

    /// The lane and the number of a message that came back, if it is one of ours.
    pub(crate) fn returned(&self, message: &BasicReturnMessage) -> Option<(Arc<Lane>, u64)> {
        let (prefix, seq) = carrier::read(&message.properties)?;
        let lane = self.lane(message.exchange.as_str(), message.routing_key.as_str())?;
        (lane.prefix() == prefix).then_some((lane, seq))
    }
}
