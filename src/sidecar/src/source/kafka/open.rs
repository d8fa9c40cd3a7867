use std::sync::{Arc, mpsc};
use std::thread;

use super::batch::Queue;
use super::client::{OpenError, connect};
use super::control::Control;
use super::ledger::{self, Listening};
use super::orders::Shared;
use super::settings::KafkaSettings;
use super::tap::{Streams, Tap};
use crate::engine::{self, EngineSettings, Opened};

/// Opens a source for this engine. It does not wait for the broker: a source that cannot reach its
/// own says so in its status, and keeps trying.
pub fn open(settings: KafkaSettings, engine: &EngineSettings) -> Result<Opened, OpenError> {
    // A broker answers one request of a connection at a time, and a fetch that waits for messages
    // takes half a second: what is asked meanwhile needs connections of its own.
    let (reader, asker) = (connect(&settings)?, connect(&settings)?);
    let workers = engine.workers.max(1);
    let shared = Arc::new(Shared::new(&settings.name, workers));
    let streams = Streams {
        prefix: settings.stream_prefix.clone(),
        default: engine.checker.default_stream.clone(),
        own: engine.streams.clone(),
    };
    let mut heard = ledger::listen(&settings, &asker, workers)?.into_iter();
    let (notes, noted) = mpsc::channel();
    let mut orders = Vec::with_capacity(workers);
    let mut taps: Vec<Box<dyn engine::Tap>> = Vec::with_capacity(workers);
    for index in 0..workers {
        let (order, ordered) = mpsc::channel();
        orders.push(order);
        let (queue, notes) = (Queue::new(reader.clone()), notes.clone());
        let (shared, streams) = (shared.clone(), streams.clone());
        let tap = Tap::new(index, queue, ordered, notes, shared, streams);
        taps.push(match heard.next() {
            Some(said) => Box::new(Listening::new(tap, said)),
            None => Box::new(tap),
        });
    }
    let name = settings.name.clone();
    let control =
        Control::new(reader, asker, settings, engine.clone(), shared.clone(), noted, orders);
    thread::Builder::new()
        .name("lacuna-kafka".to_owned())
        .spawn(move || control.run())
        .map_err(|error| OpenError::Thread { name, error })?;
    Ok(Opened { source: Box::new(shared), taps })
}
