use std::sync::{Arc, mpsc};
use std::thread;

use tokio::runtime;
use tokio::sync::mpsc::unbounded_channel;

use super::control::Control;
use super::orders::Shared;
use super::resume::Resume;
use super::settings::RabbitSettings;
use super::tap::Tap;
use crate::engine::{self, EngineSettings, Opened};

/// Batches that may wait for a worker: what waits longer stays in the broker.
const WAITING: usize = 64;

/// Why a source cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system gives no thread.
    #[error("source {name:?}: no thread: {error}")]
    Thread {
        /// The source.
        name: String,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Opens a source for this engine. It does not wait for the broker: a source that cannot reach its
/// own says so in its status, and keeps trying.
pub fn open(settings: RabbitSettings, engine: &EngineSettings) -> Result<Opened, OpenError> {
    let workers = engine.workers.max(1);
    let shared = Arc::new(Shared::new(&settings.name));
    let (notes, noted) = unbounded_channel();
    let resume = Resume::read(engine.resumed.get(&settings.name), settings.tap, workers);
    let mut orders = Vec::with_capacity(workers);
    let mut taps: Vec<Box<dyn engine::Tap>> = Vec::with_capacity(workers);
    for index in 0..workers {
        let (order, ordered) = mpsc::sync_channel(WAITING);
        orders.push(order);
        taps.push(Box::new(Tap::new(index, &settings, engine, ordered, notes.clone(), &resume)));
    }
    let name = settings.name.clone();
    let failed = |error| OpenError::Thread { name: name.clone(), error };
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let control =
        Control::new(settings, engine.clone(), Arc::clone(&shared), noted, orders, resume);
    thread::Builder::new()
        .name("lacuna-rabbitmq".to_owned())
        .spawn(move || runtime.block_on(control.run()))
        .map_err(failed)?;
    Ok(Opened { source: Box::new(shared), taps })
}
