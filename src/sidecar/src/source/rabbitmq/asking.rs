//! What the control thread asks of the management API: bindings, kinds of exchanges, whether the
//! business queue is empty.

use std::collections::HashSet;
use std::future;
use std::sync::Arc;
use std::time::Duration;

use lacuna_ring::order;
use lapin::Channel;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use super::bindings::{Binding, Kind};
use super::client::{self, ReadError};
use super::control::Control;
use super::management::AskError;
use super::message::Seen;
use super::settings::TapKind;
use crate::clock;

/// The broker counts a queue's messages every 5 s by default: an answer that was given this long
/// after the question is of a count that was taken after it.
const COUNTED_AFTER: Duration = Duration::from_secs(6);
/// How often a busy queue is asked for again, and how many times before the question is dropped.
const BUSY: (Duration, usize) = (Duration::from_secs(1), 60);

impl Control {
    /// Binds what is new and unbinds what has gone.
    pub(super) async fn rebind(
        &mut self,
        channel: &Channel,
        told: Vec<Binding>,
    ) -> Result<(), ReadError> {
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
    pub(super) fn ask_bindings(&self) -> Option<JoinHandle<Result<Vec<Binding>, AskError>>> {
        let asks = self.settings.tap != TapKind::Firehose && self.settings.bindings.is_empty();
        let queue = self.settings.queue.clone().filter(|_| asks)?;
        let management = self.management.clone();
        Some(spawn_blocking(move || management.bindings(&queue)))
    }

    pub(super) async fn asked_bindings(&self) -> Result<Vec<Binding>, ReadError> {
        let mut asked = self.ask_bindings();
        Ok(done(&mut asked).await?)
    }

    /// Asks until the business queue is empty, and its members have been heard; `None`: it has no
    /// name, or is being asked.
    pub(super) fn ask_group(&self) -> Option<JoinHandle<Option<u64>>> {
        let queue = self.settings.queue.clone()?;
        let (management, hearing) = (self.management.clone(), Arc::clone(&self.hearing));
        let shared = Arc::clone(&self.shared);
        let asked = clock::now_ms();
        Some(tokio::spawn(async move {
            sleep(COUNTED_AFTER).await;
            let (pause, times) = BUSY;
            let mut empty = None;
            for _ in 0..times {
                if empty.is_none() {
                    let (management, name) = (management.clone(), queue.clone());
                    let told = spawn_blocking(move || management.queue(&name)).await;
                    if let Ok(told) = told {
                        let waits = told.as_ref().err();
                        shared.health.waits(waits.map(|error| {
                            format!("what the group of {queue} lacks waits to be judged: {error}")
                        }));
                        let counted = told.ok().filter(|held| held.messages == Some(0));
                        empty = counted.map(|held| (order(), held.acks_by_itself()));
                    }
                }
                // What was there when it was asked has been sent, and acknowledged; what is acknowledged
                // as it is sent may still be on its way.
                if empty.is_some_and(|(since, sent)| hearing.is_whole(&queue, since, sent)) {
                    return Some(asked);
                }
                sleep(pause).await;
            }
            // Whether anything waits still is known when it is asked again.
            shared.health.waits(None);
            None
        }))
    }

    /// Watches streams of which a ledger spoke, where a message of them would have been read.
    pub(super) async fn watch_named(&mut self, streams: &[String]) {
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
    pub(super) async fn takes(&mut self, exchange: &str, key: &str) -> bool {
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
}

/// What a task answers; none: never.
pub(super) async fn done<T>(task: &mut Option<JoinHandle<T>>) -> T {
    loop {
        if let Some(task) = task
            && let Ok(answer) = task.await
        {
            return answer;
        }
        future::pending::<()>().await;
    }
}
