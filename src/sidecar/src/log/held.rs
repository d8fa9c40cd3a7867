//! Lines that are held back: a kind of line that comes too often is cut short, and counted.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tracing::callsite::Identifier;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// How long a kind's lines are counted together.
const WINDOW: Duration = Duration::from_secs(10);

/// Lines of each kind in this window. A kind is a place in the program that writes lines.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    limit: u64,
    lines: Arc<Mutex<HashMap<Identifier, (&'static Metadata<'static>, u64)>>>,
}

impl Held {
    /// At most so many lines of a kind are written in a window; 0: all of them.
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, lines: Arc::default() }
    }

    /// Ends one window after the other.
    pub(crate) async fn run(self) {
        loop {
            sleep(WINDOW).await;
            self.turn();
        }
    }

    /// Ends the window: says what was held back in it.
    pub(crate) fn turn(&self) {
        // Let go before anything is written, as a line comes here too.
        let lines = mem::take(&mut *self.lines());
        for (kind, count) in lines.into_values() {
            let held = count.saturating_sub(self.limit);
            if self.limit > 0 && held > 0 {
                tracing::warn!(
                    lines = held,
                    of = kind.target(),
                    level = %kind.level(),
                    "lines of one kind were held back: log.limit"
                );
            }
        }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Identifier, (&'static Metadata<'static>, u64)>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Filter<S> for Held {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let kind = event.metadata();
        let mut lines = self.lines();
        let (_, count) = lines.entry(kind.callsite()).or_insert((kind, 0));
        *count += 1;
        self.limit == 0 || *count <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{Layer, fmt};

    use super::*;
    use crate::log::tests::Kept;

    #[test]
    fn a_kind_is_cut_short_and_counted_and_no_other() {
        let kept = Kept::default();
        let (to, held) = (kept.clone(), Held::new(3));
        let lines = fmt::layer().with_ansi(false).with_writer(move || to.clone());
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(held.clone()));
        tracing::subscriber::with_default(subscriber, || {
            for many in 0..10 {
                tracing::warn!(many, "many");
            }
            tracing::info!("one");
            held.turn();
            tracing::info!("two");
            held.turn();
        });
        let text = kept.text();
        let ends: Vec<_> = text.lines().map(|line| line.split(": ").last().unwrap()).collect();
        assert_eq!(ends[..4], ["many many=0", "many many=1", "many many=2", "one"]);
        let of = r#"lines=7 of="lacuna::log::held::tests" level=WARN"#;
        assert!(ends[4].ends_with(of), "{text}");
        assert_eq!(ends[5..], ["two"], "{text}");
    }

    #[test]
    fn without_a_limit_all_are_written() {
        let kept = Kept::default();
        let (to, held) = (kept.clone(), Held::new(0));
        let lines = fmt::layer().with_writer(move || to.clone());
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(held.clone()));
        tracing::subscriber::with_default(subscriber, || {
            (0..5_000).for_each(|_| tracing::warn!("many"));
            held.turn();
        });
        assert_eq!(kept.text().lines().count(), 5_000);
    }
}
