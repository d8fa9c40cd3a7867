use std::collections::{HashMap, HashSet, VecDeque};
use std::future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use lapin::types::{AMQPValue, LongString};
use lapin::{Channel, Connection, Consumer};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::bindings::{Binding, Kind};
use super::client::{self, Begin, PREFETCH, ReadError, within};
use super::ledger::Ledger;
use super::management::{AskError, Management};
use super::marker::Marker;
use super::message::{Message, Seen};
use super::places::{Place, Places};
use super::settings::{RabbitSettings, TapKind};
use crate::clock;
use crate::engine::{EngineSettings, Source, SourceStatus};
use crate::record;
use crate::source::health::Health;

/// Pause between tries while the broker is away.
const RETRY: Duration = Duration::from_millis(500);
/// How often bindings are asked for.
const BINDINGS_EVERY: Duration = Duration::from_secs(5);
/// Deliveries that are handed on at a time.
const BATCH: usize = 500;
/// Pause while a worker has as many batches as may wait.
const FULL: Duration = Duration::from_millis(1);
/// The broker counts a queue's messages every 5 s by default: an answer that was given this long
/// after the question is of a count that was taken after it.
const COUNTED_AFTER: Duration = Duration::from_secs(6);
/// How often a busy queue is asked for again, and how many times before the question is dropped.
const BUSY: (Duration, usize) = (Duration::from_secs(1), 60);

/// What the control thread tells a tap.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// Another stream; its number is the order of these.
    Place(Place),
    /// Messages, in the order in which they were read.
    Messages(Vec<Entry>),
    /// All that was routed before `asked` has been read; so many messages are all that were.
    End { asked: u64, read: u64 },
    /// The business queue has held nothing of what was there when it was asked.
    GroupEnd { asked: u64 },
    /// Something was not read.
    Missed,
    /// The broker was away; all was read that was routed meanwhile.
    Back,
    /// Producers said this.
    Ledger(Arc<Vec<record::Ledger>>),
    /// All that producers had said at this time, ms since the Unix epoch, has been told.
    LedgerRead(u64),
}

/// A message for a checker.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) position: u64,
    pub(super) stamp: Option<LongString>,
    pub(super) redelivered: Option<bool>,
    pub(super) time: Option<u64>,
}

/// What a tap tells the control thread.
#[derive(Debug)]
pub(super) enum Note {
    /// Something waits to be judged at an end.
    Ask,
    /// A group of the business queue's name waits for its end.
    AskGroup,
    /// A ledger speaks of these streams, and nobody looks at them.
    Unwatched(Vec<String>),
}

/// What both sides and those who ask see.
#[derive(Debug)]
pub(super) struct Shared {
    health: Health,
    lag: AtomicU64,
    places: AtomicUsize,
}

impl Shared {
    pub(super) fn new(name: &str) -> Self {
        let health = Health::new(name, "rabbitmq");
        Self { health, lag: AtomicU64::new(0), places: AtomicUsize::new(0) }
    }
}

impl Source for Arc<Shared> {
    fn status(&self) -> SourceStatus {
        let lag = self.lag.load(Ordering::Relaxed);
        self.health.status(lag, self.places.load(Ordering::Relaxed))
    }
}

/// The thread that talks to the broker.
pub(super) struct Control {
    settings: RabbitSettings,
    management: Management,
    shared: Arc<Shared>,
    notes: UnboundedReceiver<Note>,
    orders: Vec<SyncSender<Order>>,
    /// Of each tap: what it will be told next.
    outbox: Vec<VecDeque<Order>>,
    places: Places,
    bindings: Vec<Binding>,
    kinds: HashMap<String, Kind>,
    /// Since when all that the bindings take is read; `None` before the first connection.
    since: Option<u64>,
    /// Messages that were read.
    read: u64,
    progress: Progress,
    /// The marker that is under way.
    marker: Option<Marker>,
    ledger: Ledger,
}

/// How far the tap's queue was read, to go on there after an outage.
#[derive(Debug)]
struct Progress {
    hasher: RandomState,
    /// Of a stream: the offset of the last message.
    offset: Option<u64>,
    /// Of a queue: the last messages, as many as the broker may send again.
    handed: VecDeque<u64>,
    /// After an outage: from where in these it does.
    again: Option<usize>,
}

impl Progress {
    /// Whether this message was read before the outage. A queue gives back what was not
    /// acknowledged, in its old order and before all else.
    fn is_again(&mut self, message: u64, redelivered: bool) -> bool {
        let Some(from) = self.again.filter(|_| redelivered) else {
            self.again = None;
            return false;
        };
        let found = self.handed.range(from..).position(|&handed| handed == message);
        self.again = found.map(|found| from + found + 1);
        found.is_some()
    }

    fn hand(&mut self, message: u64) {
        if self.handed.len() == usize::from(PREFETCH) {
            self.handed.pop_front();
        }
        self.handed.push_back(message);
    }
}

/// The taps are gone, and with them who would read.
struct Ended;

enum Stop {
    Ended,
    Failed(ReadError),
}

impl<E: Into<ReadError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Ended> for Stop {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

impl Control {
    pub(super) fn new(
        settings: RabbitSettings,
        engine: EngineSettings,
        shared: Arc<Shared>,
        notes: UnboundedReceiver<Note>,
        orders: Vec<SyncSender<Order>>,
    ) -> Self {
        Self {
            management: Management::new(&settings, &settings.uri),
            places: Places::new(&settings, engine),
            outbox: orders.iter().map(|_| VecDeque::new()).collect(),
            settings,
            shared,
            notes,
            orders,
            bindings: Vec::new(),
            kinds: HashMap::new(),
            since: None,
            read: 0,
            progress: Progress {
                hasher: RandomState::new(),
                offset: None,
                handed: VecDeque::new(),
                again: None,
            },
            marker: None,
            ledger: Ledger::default(),
        }
    }

    /// Until the last tap is gone.
    pub(super) async fn run(mut self) {
        loop {
            match self.session().await {
                Ok(()) | Err(Stop::Ended) => return,
                Err(Stop::Failed(error)) => self.shared.health.down(&error),
            }
            if self.flush().await.is_err() {
                return;
            }
            tokio::select! {
                () = sleep(RETRY) => {}
                // What is asked meanwhile has no answer.
                () = async { while self.notes.recv().await.is_some() {} } => return,
            }
        }
    }

    /// One connection, until it fails.
    async fn session(&mut self) -> Result<(), Stop> {
        self.marker = None;
        let uri = self.settings.current_uri().map_err(ReadError::Password)?;
        self.management = Management::new(&self.settings, &uri);
        let connection = client::connect(&self.settings, uri).await?;
        let channel = within(connection.create_channel()).await?;
        let (mut messages, mut dropped) = self.begin(&connection, &channel).await?;
        let mut said = self.ledger.begin(&connection, &self.settings).await?;
        self.shared.health.up();
        self.shared.health.ready();
        let mut look = interval(BINDINGS_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut bindings = None;
        let mut group = None;
        loop {
            tokio::select! {
                delivery = messages.next() => {
                    let tag = self.take_batch(delivery, &mut messages)?;
                    self.flush().await?;
                    let all = BasicAckOptions { multiple: true };
                    within(channel.basic_ack(tag, all)).await?;
                }
                Some(notice) = next(&mut dropped) => {
                    notice?;
                    while let Some(Some(more)) = next(&mut dropped).now_or_never() {
                        more?;
                    }
                    self.miss("the tap's queue is full, or its messages expired");
                    self.flush().await?;
                }
                Some(message) = next(&mut said) => {
                    let mut told: Vec<_> = self.ledger.take(message?, &self.settings).into_iter().collect();
                    while let Some(Some(more)) = next(&mut said).now_or_never() {
                        told.extend(self.ledger.take(more?, &self.settings));
                    }
                    self.ledger.acknowledge().await?;
                    told.into_iter().for_each(|said| self.tell_all(|| said.clone()));
                    self.flush().await?;
                }
                note = self.notes.recv() => match note {
                    None => return Ok(()),
                    Some(Note::Ask) => {
                        self.send_marker(&channel).await?;
                        self.ledger.ask(&channel, &self.settings).await?;
                    }
                    Some(Note::AskGroup) => {
                        if group.is_none() {
                            group = self.ask_group();
                        }
                    }
                    Some(Note::Unwatched(streams)) => {
                        self.watch_named(&streams).await;
                        self.flush().await?;
                    }
                },
                _ = look.tick(), if bindings.is_none() => {
                    bindings = self.ask_bindings();
                    self.measure_lag(&connection).await?;
                }
                told = done(&mut bindings) => {
                    bindings = None;
                    // Whoever cannot be asked is asked again; the bindings stay as they were.
                    if let Ok(told) = told {
                        self.rebind(&channel, told).await?;
                        self.flush().await?;
                    }
                }
                asked = done(&mut group) => {
                    group = None;
                    if let Some(asked) = asked {
                        self.tell_all(|| Order::GroupEnd { asked });
                        self.flush().await?;
                    }
                }
            }
        }
    }

    /// Makes the tap's queue, binds it, and begins to read.
    async fn begin(
        &mut self,
        connection: &Connection,
        channel: &Channel,
    ) -> Result<(Consumer, Option<Consumer>), Stop> {
        let settings = &self.settings;
        let kept = client::look(connection, &settings.tap_queue).await?.is_some();
        client::declare(channel, settings).await?;
        let bindings = match settings.tap {
            TapKind::Firehose => {
                client::trace_bindings(settings.queue.as_deref().unwrap_or_default())
            }
            TapKind::Queue | TapKind::Stream if settings.bindings.is_empty() => {
                self.asked_bindings().await?
            }
            TapKind::Queue | TapKind::Stream => settings.bindings.clone(),
        };
        let first = self.since.is_none();
        self.rebind(channel, bindings).await?;
        let settings = &self.settings;
        let stream = settings.tap == TapKind::Stream;
        // What was there before this process began is nobody's; else it goes on with the last
        // message again, which shows that nothing between was deleted.
        let from = match (kept, self.progress.offset) {
            (true, Some(offset)) => Begin::Offset(offset),
            (true, None) => Begin::Next,
            (false, _) => Begin::First,
        };
        let dropped = match settings.tap {
            TapKind::Stream => None,
            TapKind::Queue | TapKind::Firehose => {
                let queue = settings.dropped_queue();
                if first {
                    client::purge(channel, &queue).await?;
                }
                Some(client::take_notices(channel, &queue).await?)
            }
        };
        let messages = match settings.tap {
            TapKind::Stream => client::read_stream(channel, &settings.tap_queue, from).await?,
            TapKind::Queue | TapKind::Firehose => {
                client::read_queue(channel, &settings.tap_queue).await?
            }
        };
        if first {
            self.since = Some(clock::now_ms());
        } else if !kept || (stream && self.progress.offset.is_none()) {
            self.progress.offset = None;
            self.miss("the tap's queue was gone");
        } else {
            self.progress.again = Some(0);
            self.tell_all(|| Order::Back);
        }
        self.flush().await?;
        Ok((messages, dropped))
    }

    /// Takes what has come, at most a batch of it; gives the last one's tag.
    fn take_batch(
        &mut self,
        first: Option<lapin::Result<Delivery>>,
        messages: &mut Consumer,
    ) -> Result<u64, ReadError> {
        let mut tag = self.take(first.ok_or(ReadError::Cancelled)??);
        for _ in 1..BATCH {
            let Some(Some(next)) = messages.next().now_or_never() else { break };
            tag = self.take(next?);
        }
        Ok(tag)
    }

    fn take(&mut self, delivery: Delivery) -> u64 {
        let tag = delivery.delivery_tag;
        if self.settings.tap == TapKind::Stream {
            if !self.goes_on(&delivery) {
                return tag;
            }
        } else if self.was_read(&delivery) {
            return tag;
        }
        if Marker::is_one(&delivery) {
            self.reach_marker(&delivery);
        } else if let Some(message) = Message::of(&self.settings, &delivery) {
            self.hand(message);
        }
        tag
    }

    /// A stream's message: false if it was read before the outage.
    fn goes_on(&mut self, delivery: &Delivery) -> bool {
        let headers = delivery.properties.headers().as_ref();
        let offset = headers.and_then(client::offset_of);
        let again = self.progress.again.take().is_some();
        let last = std::mem::replace(&mut self.progress.offset, offset);
        if again && last != offset {
            self.miss("the tap's stream has deleted what was not read");
            return true;
        }
        !again
    }

    /// A queue's message: true if it was read before the outage.
    fn was_read(&mut self, delivery: &Delivery) -> bool {
        let headers = delivery.properties.headers().as_ref();
        let stamp = headers.and_then(|h| h.inner().get(lacuna_core::stamp::HEADER).cloned());
        let stamp = stamp.as_ref().and_then(AMQPValue::as_long_string);
        let stamp = stamp.map_or(&[][..], LongString::as_bytes);
        let message = self.progress.hasher.hash_one((
            delivery.exchange.as_str(),
            delivery.routing_key.as_str(),
            stamp,
        ));
        if self.progress.is_again(message, delivery.redelivered) {
            return true;
        }
        self.progress.hand(message);
        false
    }

    fn hand(&mut self, message: Message) {
        let stream = message.stream();
        let known = self.places.find(message.seen, &stream);
        let (tap, number) = match known {
            Some(place) => place,
            None => {
                let partial = Places::is_partial(&self.settings, &message);
                self.add_place(message.seen, stream, partial)
            }
        };
        let Message { stamp, redelivered, time, .. } = message;
        let entry = Entry { number, position: self.read, stamp, redelivered, time };
        self.read += 1;
        match self.outbox[tap].back_mut() {
            Some(Order::Messages(batch)) => batch.push(entry),
            _ => self.outbox[tap].push_back(Order::Messages(vec![entry])),
        }
    }

    fn add_place(&mut self, seen: Seen, stream: String, partial: bool) -> (usize, u32) {
        let (tap, number) = self.places.add(seen, &stream);
        self.shared.places.fetch_add(1, Ordering::Relaxed);
        let since = self.since.unwrap_or_else(clock::now_ms);
        self.outbox[tap].push_back(Order::Place(Place { seen, stream, since, partial }));
        (tap, number)
    }

    fn miss(&mut self, why: &str) {
        tracing::warn!(source = self.settings.name, "{why}: what was not read is unknown");
        self.since = Some(clock::now_ms());
        self.marker = None;
        self.tell_all(|| Order::Missed);
    }

    /// Puts a marker behind all that the tap's queue holds.
    async fn send_marker(&mut self, channel: &Channel) -> Result<(), ReadError> {
        if self.marker.is_none() {
            self.marker = Some(Marker::send(channel, &self.settings.tap_queue).await?);
        }
        Ok(())
    }

    fn reach_marker(&mut self, delivery: &Delivery) {
        if let Some(marker) = self.marker.take_if(|marker| marker.is(delivery)) {
            let (asked, read) = (marker.asked, self.read);
            self.tell_all(|| Order::End { asked, read });
        }
    }

    /// Binds what is new and unbinds what has gone.
    async fn rebind(&mut self, channel: &Channel, told: Vec<Binding>) -> Result<(), ReadError> {
        for binding in &told {
            client::bind(channel, &self.settings, binding).await?;
        }
        for gone in self.bindings.iter().filter(|known| !told.contains(known)) {
            client::unbind(channel, &self.settings, gone).await?;
        }
        let news = told.iter().any(|binding| !self.bindings.contains(binding));
        self.bindings = told;
        if news && self.since.is_some() {
            self.miss("the business queue has a new binding");
        }
        Ok(())
    }

    /// `None`: they are not asked for.
    fn ask_bindings(&self) -> Option<JoinHandle<Result<Vec<Binding>, AskError>>> {
        let asks = self.settings.tap != TapKind::Firehose && self.settings.bindings.is_empty();
        let queue = self.settings.queue.clone().filter(|_| asks)?;
        let management = self.management.clone();
        Some(spawn_blocking(move || management.bindings(&queue)))
    }

    async fn asked_bindings(&self) -> Result<Vec<Binding>, ReadError> {
        let mut asked = self.ask_bindings();
        Ok(done(&mut asked).await?)
    }

    /// Asks until the business queue is empty; `None`: it has no name, or is being asked.
    fn ask_group(&self) -> Option<JoinHandle<Option<u64>>> {
        let queue = self.settings.queue.clone()?;
        let management = self.management.clone();
        let asked = clock::now_ms();
        Some(tokio::spawn(async move {
            sleep(COUNTED_AFTER).await;
            let (pause, times) = BUSY;
            for _ in 0..times {
                let (management, queue) = (management.clone(), queue.clone());
                let told = spawn_blocking(move || management.messages(&queue)).await;
                if matches!(told, Ok(Ok(Some(0)))) {
                    return Some(asked);
                }
                sleep(pause).await;
            }
            None
        }))
    }

    /// Watches streams of which a ledger spoke, where a message of them would have been read.
    async fn watch_named(&mut self, streams: &[String]) {
        if self.settings.tap == TapKind::Firehose {
            return;
        }
        for stream in streams {
            let whole = self.settings.sees_whole(stream);
            let routed = match stream.split_once('/') {
                Some((exchange, key)) => {
                    self.settings.sees_whole(exchange) || self.takes(exchange, key).await
                }
                None => false,
            };
            if (whole || routed) && self.places.find(Seen::Log, stream).is_none() {
                self.add_place(Seen::Log, stream.clone(), false);
            }
        }
    }

    /// Whether a message of this exchange with this key reaches the tap.
    async fn takes(&mut self, exchange: &str, key: &str) -> bool {
        let bound: HashSet<_> = self.bindings.iter().map(|b| b.exchange.as_str()).collect();
        if !bound.contains(exchange) {
            return false;
        }
        if !self.kinds.contains_key(exchange) {
            let (management, name) = (self.management.clone(), exchange.to_owned());
            let Ok(Ok(kind)) = spawn_blocking(move || management.kind(&name)).await else {
                return false;
            };
            self.kinds.insert(exchange.to_owned(), kind);
        }
        let kind = self.kinds.get(exchange).copied().unwrap_or(Kind::Other);
        let own = self.bindings.iter().filter(|binding| binding.exchange == exchange);
        own.into_iter().any(|binding| kind.passes(&binding.routing_key, key))
    }

    async fn measure_lag(&self, connection: &Connection) -> Result<(), ReadError> {
        let ready = client::look(connection, &self.settings.tap_queue).await?;
        // A stream's count is of what it keeps, read or not.
        let lag = ready.filter(|_| self.settings.tap != TapKind::Stream);
        self.shared.lag.store(u64::from(lag.unwrap_or(0)), Ordering::Relaxed);
        Ok(())
    }

    fn tell_all(&mut self, order: impl Fn() -> Order) {
        for tap in &mut self.outbox {
            tap.push_back(order());
        }
    }

    /// Gives the taps what they are to be told. It waits for a tap that has much to do: what is
    /// not read meanwhile waits in the broker.
    async fn flush(&mut self) -> Result<(), Ended> {
        for (tap, outbox) in self.orders.iter().zip(&mut self.outbox) {
            while let Some(mut order) = outbox.pop_front() {
                loop {
                    match tap.try_send(order) {
                        Ok(()) => break,
                        Err(TrySendError::Disconnected(_)) => return Err(Ended),
                        Err(TrySendError::Full(back)) => order = back,
                    }
                    sleep(FULL).await;
                }
            }
        }
        Ok(())
    }
}

async fn next(consumer: &mut Option<Consumer>) -> Option<lapin::Result<Delivery>> {
    match consumer {
        Some(consumer) => consumer.next().await,
        None => future::pending().await,
    }
}

/// What a task answers; none: never.
async fn done<T>(task: &mut Option<JoinHandle<T>>) -> T {
    loop {
        if let Some(task) = task
            && let Ok(answer) = task.await
        {
            return answer;
        }
        future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_queue_gives_back_is_left_out_and_nothing_else() {
        let mut progress = Progress {
            hasher: RandomState::new(),
            offset: None,
            handed: [1, 2, 3, 3, 4].into(),
            again: Some(0),
        };
        // The broker had heard of 1 and 2 only; 5 was on its way and never read.
        let again = [(3, true), (3, true), (4, true), (5, true), (6, false), (3, true)];
        let read = again.map(|(message, redelivered)| progress.is_again(message, redelivered));
        assert_eq!(read, [true, true, true, false, false, false]);
        // Not after an outage.
        assert!(!progress.is_again(4, true));
    }

    #[test]
    fn no_more_is_remembered_than_may_come_back() {
        let mut progress = Progress {
            hasher: RandomState::new(),
            offset: None,
            handed: VecDeque::new(),
            again: None,
        };
        (0..5_000).for_each(|message| progress.hand(message));
        assert_eq!(progress.handed.len(), usize::from(PREFETCH));
        assert_eq!(progress.handed.back(), Some(&4_999));
    }
}
