use std::sync::mpsc::Sender;
use std::sync::{Arc, PoisonError, mpsc};
use std::thread;

use super::asker::Asker;
use super::batch::Queue;
use super::client::{OpenError, connect};
use super::control::Control;
use super::groups::{Board, Groups};
use super::ledger::{self, Listening};
use super::orders::Shared;
use super::resume::Resume;
use super::settings::KafkaSettings;
use super::tap::{Streams, Tap};
use crate::engine::{self, Changed, EngineSettings, Opened, Source, SourceStatus};
use crate::groups::GroupRow;
use crate::members::Outside;

/// Opens a source for this engine. It does not wait for the broker: a source that cannot reach its
/// own says so in its status, and keeps trying.
pub fn open(settings: KafkaSettings, engine: &EngineSettings) -> Result<Opened, OpenError> {
    // A broker answers one request of a connection at a time, and a fetch that waits for messages
    // takes half a second: what is asked meanwhile needs connections of its own.
    let (reader, asker) = (connect(&settings)?, Arc::new(Asker::new(&settings)?));
    let workers = engine.workers.max(1);
    let shared = Arc::new(Shared::new(&settings.name, workers, engine.outside.clone()));
    let streams = Streams {
        prefix: settings.stream_prefix.clone(),
        default: engine.checker.default_stream.clone(),
        own: engine.streams.clone(),
    };
    let resume = Resume::read(engine.resumed.get(&settings.name));
    let mut heard = ledger::listen(&settings, &asker, workers, &resume)?.into_iter();
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
            Some(said) => {
                let prefix = settings.stream_prefix.clone();
                Box::new(Listening::new(tap, said, prefix, resume.ledger.clone()))
            }
            None => Box::new(tap),
        });
    }
    let groups = watch_groups(&settings, engine.outside.clone())?;
    let name = settings.name.clone();
    let (changes, changed) = mpsc::channel();
    let control = Control::new(
        reader,
        asker,
        settings,
        engine.clone(),
        shared.clone(),
        noted,
        changed,
        orders,
        resume,
    );
    spawn("lacuna-kafka", &name, move || control.run())?;
    Ok(Opened { source: Box::new(Kafka { shared, groups, changes }), taps })
}

/// The source, as those see it who ask.
#[derive(Debug)]
struct Kafka {
    shared: Arc<Shared>,
    groups: Option<Watching>,
    changes: Sender<Changed>,
}

/// Groups are watched as long as this is held.
#[derive(Debug)]
struct Watching {
    board: Board,
    _interest: Sender<()>,
}

impl Source for Kafka {
    fn take_up(&self, changed: &Changed) {
        // Its thread ends with the last tap; then nothing is read any more.
        drop(self.changes.send(changed.clone()));
    }

    fn status(&self) -> SourceStatus {
        self.shared.status()
    }

    fn groups(&self) -> Vec<GroupRow> {
        let board = self.groups.as_ref().map(|watching| &watching.board);
        board.map_or_else(Vec::new, |board| {
            board.lock().unwrap_or_else(PoisonError::into_inner).clone()
        })
    }
}

fn watch_groups(
    settings: &KafkaSettings,
    outside: Arc<Outside>,
) -> Result<Option<Watching>, OpenError> {
    if settings.groups.is_empty() {
        return Ok(None);
    }
    let groups = Groups::connect(settings, outside)?;
    let board = groups.board();
    let (interest, interested) = mpsc::channel();
    spawn("lacuna-groups", &settings.name, move || groups.run(&interested))?;
    Ok(Some(Watching { board, _interest: interest }))
}

fn spawn(
    thread: &str,
    source: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), OpenError> {
    let spawned = thread::Builder::new().name(thread.to_owned()).spawn(work);
    spawned.map(drop).map_err(|error| OpenError::Thread { name: source.to_owned(), error })
}
