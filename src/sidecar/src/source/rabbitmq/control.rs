use std::collections::{HashMap, VecDeque};
use std::future;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lacuna_core::stamp::HEADER;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use lapin::types::{AMQPValue, LongString};
use lapin::{Channel, Connection, Consumer};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::asking::done;
use super::bindings::{Binding, Kind};
use super::client::{self, Begin, ReadError, within};
use super::ledger::Ledger;
use super::management::Management;
use super::marker::Marker;
use super::message::{Message, Seen};
use super::orders::{Entry, Note, Order, Shared};
use super::places::{Place, Places};
use super::progress::Progress;
use super::resume::{Reached, Resume};
use super::settings::{RabbitSettings, TapKind};
use crate::clock;
use crate::engine::EngineSettings;
use crate::members::Hearing;

/// Pause between tries while the broker is away.
const RETRY: Duration = Duration::from_millis(500);
/// How often bindings are asked for.
const BINDINGS_EVERY: Duration = Duration::from_secs(5);
/// Deliveries that are handed on at a time.
const BATCH: usize = 500;
/// Pause while a worker has as many batches as may wait.
const FULL: Duration = Duration::from_millis(1);
/// The thread that talks to the broker.
pub(super) struct Control {
    pub(super) settings: RabbitSettings,
    pub(super) management: Management,
    pub(super) hearing: Arc<Hearing>,
    pub(super) shared: Arc<Shared>,
    notes: UnboundedReceiver<Note>,
    orders: Vec<SyncSender<Order>>,
    /// Of each tap: what it will be told next.
    outbox: Vec<VecDeque<Order>>,
    pub(super) places: Places,
    pub(super) bindings: Vec<Binding>,
    pub(super) kinds: HashMap<String, Kind>,
    /// Since when all that the bindings take is read; `None` before the first connection.
    pub(super) since: Option<u64>,
    /// The position of the message that is read next.
    read: u64,
    /// Of a stream: what is added to its offsets.
    base: u64,
    /// An earlier run has read the stream.
    resumed: bool,
    /// This run has made the tap's queue: all that is in it is to be read.
    made: bool,
    progress: Progress,
    /// The marker that is under way.
    marker: Option<Marker>,
    ledger: Ledger,
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
        resume: Resume,
    ) -> Self {
        let reached = resume.reached.unwrap_or_default();
        let read = resume.first.unwrap_or(reached.base + reached.next);
        let last = reached.mark.and_then(|mark| Some((reached.next.checked_sub(1)?, mark)));
        let mut control = Self {
            management: Management::new(&settings, &settings.uri),
            hearing: Arc::clone(&engine.hearing),
            places: Places::new(&settings, engine),
            outbox: orders.iter().map(|_| VecDeque::new()).collect(),
            settings,
            shared,
            notes,
            orders,
            bindings: Vec::new(),
            kinds: HashMap::new(),
            since: None,
            read,
            base: resume.first.unwrap_or(reached.base),
            resumed: resume.reached.is_some(),
            made: false,
            progress: Progress { last, ..Progress::default() },
            marker: None,
            ledger: Ledger::default(),
        };
        for (stream, kept) in resume.places {
            control.add_place(Seen::Log, stream, kept.partial);
        }
        control
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
                    self.tell_reached();
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
        self.made |= !kept;
        let settings = &self.settings;
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
        // What was there before this process, or an earlier run, began is nobody's; else it goes on with
        // the last message again, which shows that it is the same stream, and nothing was deleted.
        let from = match (kept, self.progress.last) {
            (true, Some((offset, _))) => Begin::Offset(offset),
            (true, None) if self.resumed || self.made => Begin::First,
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
        let began = !stream || self.made || self.progress.last.is_some();
        let goes_on = if first { self.resumed } else { began };
        if first {
            self.since = Some(clock::now_ms());
        }
        if first && !goes_on {
            // Of one that was there already the first message tells its offset.
            if self.made {
                self.tell_reached();
            }
        } else if !kept {
            self.anew("the tap's queue was gone");
        } else if !goes_on {
            self.anew("nothing had been read yet of the tap's stream");
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
        let Some(offset) = headers.and_then(client::offset_of) else { return true };
        let message = (offset, mark(delivery));
        let again = self.progress.again.take().is_some();
        let last = self.progress.last.replace(message);
        match last.filter(|_| again) {
            Some(last) if last == message => return false,
            Some((last, _)) if last >= offset => {
                self.miss("the tap's stream is another one");
                self.base = self.read.saturating_sub(offset);
            }
            // One of which nothing was read goes on with its first message.
            None if !again || offset == 0 => {}
            Some(_) | None => self.miss("the tap's stream has deleted what was not read"),
        }
        self.read = self.base.saturating_add(offset);
        true
    }

    /// A queue's message: true if it was read before the outage.
    fn was_read(&mut self, delivery: &Delivery) -> bool {
        let message = self.progress.hasher.hash_one((
            delivery.exchange.as_str(),
            delivery.routing_key.as_str(),
            stamp_of(delivery),
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
        let place = known.or_else(|| {
            let partial = Places::is_partial(&self.settings, &message);
            self.add_place(message.seen, stream, partial)
        });
        let Some((tap, number)) = place else {
            self.read += 1;
            if self.shared.unplaced.fetch_add(1, Ordering::Relaxed) == 0 {
                let source = &self.settings.name;
                tracing::warn!(
                    source,
                    "limits.partitions is reached: further streams are not judged"
                );
            }
            return;
        };
        let Message { stamp, redelivered, time, .. } = message;
        let entry = Entry { number, position: self.read, stamp, redelivered, time };
        self.read += 1;
        match self.outbox[tap].back_mut() {
            Some(Order::Messages(batch)) => batch.push(entry),
            _ => self.outbox[tap].push_back(Order::Messages(vec![entry])),
        }
    }

    /// `None`: there is no room for one more.
    pub(super) fn add_place(
        &mut self,
        seen: Seen,
        stream: String,
        partial: bool,
    ) -> Option<(usize, u32)> {
        let (tap, number) = self.places.add(seen, &stream)?;
        self.shared.places.fetch_add(1, Ordering::Relaxed);
        let since = self.since.unwrap_or_else(clock::now_ms);
        self.outbox[tap].push_back(Order::Place(Place { seen, stream, since, partial }));
        Some((tap, number))
    }

    /// Of a stream: how far it was read.
    fn tell_reached(&mut self) {
        if self.settings.tap == TapKind::Stream {
            let (next, mark) = match self.progress.last {
                Some((offset, mark)) => (offset + 1, Some(mark)),
                None => (0, None),
            };
            let reached = Reached { base: self.base, next, mark };
            self.tell_all(|| Order::Reached(reached));
        }
    }

    /// What is read from now on has nothing to do with what was read.
    fn anew(&mut self, why: &str) {
        self.progress.last = None;
        self.base = self.read;
        self.miss(why);
    }

    pub(super) fn miss(&mut self, why: &str) {
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

/// The value of a message's stamp; empty where it has none.
fn stamp_of(delivery: &Delivery) -> &[u8] {
    let headers = delivery.properties.headers().as_ref();
    let stamp = headers.and_then(|headers| headers.inner().get(HEADER));
    stamp.and_then(AMQPValue::as_long_string).map_or(&[], LongString::as_bytes)
}

/// CRC-32 of what a message is: the same in every run.
fn mark(delivery: &Delivery) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    for part in [delivery.exchange.as_str().as_bytes(), delivery.routing_key.as_str().as_bytes()] {
        crc.update(part);
        crc.update(&[0]);
    }
    crc.update(stamp_of(delivery));
    crc.finalize()
}

async fn next(consumer: &mut Option<Consumer>) -> Option<lapin::Result<Delivery>> {
    match consumer {
        Some(consumer) => consumer.next().await,
        None => future::pending().await,
    }
}
