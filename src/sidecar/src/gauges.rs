//! The metrics of contracts §5 that are the process's own: its sources, its switch, and what is
//! running.
//!
//! A registry holds these few. The series of every partition are not in it: it would hold each a
//! second time, and take several times as long to write 10,000 of them ([`crate::metrics`]).

use lacuna_core::Reached;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::engine::SourceStatus;
use crate::state::Health;

/// Gauges, as they were set last.
#[derive(Clone, Debug)]
pub(crate) struct Gauges {
    registry: Registry,
    lag: IntGaugeVec,
    up: IntGaugeVec,
    checking: IntGaugeVec,
    reached: IntCounterVec,
    state: State,
    webhook: IntCounterVec,
}

/// How the state is kept.
#[derive(Clone, Debug)]
struct State {
    kept: IntGauge,
    kept_at: IntGauge,
    failures: IntCounter,
    bytes: IntCounter,
}

const WEBHOOK_RESULTS: [&str; 3] = ["delivered", "failed", "dropped"];

/// Findings on their way to another program.
#[derive(Clone, Debug)]
pub(crate) struct WebhookCounts {
    /// They were taken.
    pub(crate) delivered: IntCounter,
    /// They were not, and are tried again.
    pub(crate) failed: IntCounter,
    /// They were not, and nobody tries any more.
    pub(crate) dropped: IntCounter,
}

/// A limit of what clients ask, which is counted whenever it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// A body was too long.
    Body,
    /// A body found no room beside others.
    Bodies,
    /// A connection may have to wait.
    Connections,
    /// A request's head did not come, or nothing did.
    HeaderTimeout,
    /// A request's body did not come.
    BodyTimeout,
    /// An answer was not made in time, or not fetched.
    AnswerTimeout,
    /// One more stream was to be off by its own name.
    StreamsOff,
}

impl Limit {
    const ALL: [Self; 7] = [
        Self::Body,
        Self::Bodies,
        Self::Connections,
        Self::HeaderTimeout,
        Self::BodyTimeout,
        Self::AnswerTimeout,
        Self::StreamsOff,
    ];

    /// Its key in the configuration; of what cannot be configured: what it bounds.
    const fn key(self) -> &'static str {
        match self {
            Self::Body => "http.max_body_bytes",
            Self::Bodies => "http.max_bodies_bytes",
            Self::Connections => "http.max_connections",
            Self::HeaderTimeout => "http.header_timeout",
            Self::BodyTimeout => "http.body_timeout",
            Self::AnswerTimeout => "http.answer_timeout",
            Self::StreamsOff => "streams_off",
        }
    }
}

impl Gauges {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)
                .and_then(|gauge| registry.register(Box::new(gauge.clone())).map(|()| gauge));
            gauge.expect("names and labels are well-formed, and each name stands once")
        };
        let lag = gauge(
            "lacuna_source_lag_messages",
            "Messages that the broker holds and the source has not read.",
            &["source"],
        );
        let up = gauge("lacuna_source_up", "Whether the source can read.", &["source"]);
        let checking = gauge(
            "lacuna_checking_enabled",
            "Whether a stream is checked; without a stream: whether checking is on at all.",
            &["stream"],
        );
        let counter = |name: &str, help: &str, label: &str| {
            let counter = IntCounterVec::new(Opts::new(name, help), &[label])
                .and_then(|counter| registry.register(Box::new(counter.clone())).map(|()| counter));
            counter.expect("names and labels are well-formed, and each name stands once")
        };
        let help = "Times that a limit was reached, by its key.";
        let reached = counter("lacuna_limit_reached_total", help, "limit");
        let help = "Findings that were posted: delivered, failed (tried again), dropped.";
        let webhook = counter("lacuna_webhook_findings_total", help, "result");
        for limit in Limit::ALL {
            reached.with_label_values(&[limit.key()]).inc_by(0);
        }
        let build = gauge("lacuna_build_info", "What is running.", &["version", "revision"]);
        let revision = option_env!("LACUNA_REVISION").unwrap_or("unknown");
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), revision]).set(1);
        for result in WEBHOOK_RESULTS {
            webhook.with_label_values(&[result]).inc_by(0);
        }
        let state = State::new(&registry);
        Self { registry, lag, up, checking, reached, state, webhook }
    }

    /// What becomes of findings that are posted.
    pub(crate) fn webhook(&self) -> WebhookCounts {
        let [delivered, failed, dropped] =
            WEBHOOK_RESULTS.map(|result| self.webhook.with_label_values(&[result]));
        WebhookCounts { delivered, failed, dropped }
    }

    /// A limit was reached.
    pub(crate) fn reached(&self, limit: Limit) {
        self.reached.with_label_values(&[limit.key()]).inc();
    }

    /// How often the limits of the checkers, and of the sources before them, were reached by now.
    pub(crate) fn set_reached(&self, checkers: &[Reached], sources: &[SourceStatus]) {
        let unplaced: u64 = sources.iter().map(|source| source.unplaced).sum();
        let sum = |of: fn(&Reached) -> u64| checkers.iter().map(of).sum::<u64>();
        for (key, reached) in [
            ("limits.lanes", sum(|reached| reached.lanes)),
            ("limits.partitions", sum(|reached| reached.partitions) + unplaced),
            ("limits.views", sum(|reached| reached.views)),
            ("limits.ranges", sum(|reached| reached.ranges + reached.record_ranges)),
            ("limits.changes", sum(|reached| reached.changes)),
            ("limits.retired", sum(|reached| reached.retired)),
            ("limits.duplicates", sum(|reached| reached.duplicates)),
            ("limits.evidence", sum(|reached| reached.evidence)),
        ] {
            let counter = self.reached.with_label_values(&[key]);
            // Two scrapes at a time may ask for it in another order than they set it.
            counter.inc_by(reached.saturating_sub(counter.get()));
        }
    }

    /// How the sources are now.
    pub(crate) fn set_sources(&self, sources: &[SourceStatus]) {
        for SourceStatus { name, lag, up, .. } in sources {
            self.lag.with_label_values(&[name]).set(i64::try_from(*lag).unwrap_or(i64::MAX));
            self.up.with_label_values(&[name]).set(i64::from(*up));
        }
    }

    /// How the state is kept; `None`: it is in memory alone.
    pub(crate) fn set_state(&self, health: Option<&Health>) {
        let State { kept, kept_at, failures, bytes } = &self.state;
        kept.set(i64::from(health.is_some_and(|health| health.failing.is_none())));
        let Some(health) = health else { return };
        kept_at.set(i64::try_from(health.kept_at / 1_000).unwrap_or(i64::MAX));
        failures.inc_by(health.failures.saturating_sub(failures.get()));
        bytes.inc_by(health.bytes.saturating_sub(bytes.get()));
    }

    /// Whether a stream is checked now; without one: whether checking is on at all.
    pub(crate) fn set_checking(&self, stream: Option<&str>, on: bool) {
        // A label that is empty is one that is not there.
        self.checking.with_label_values(&[stream.unwrap_or_default()]).set(i64::from(on));
    }

    /// Writes them in Prometheus' text format behind what stands there.
    ///
    /// # Errors
    /// A gauge that the format has no words for.
    pub(crate) fn write(&self, out: &mut String) -> prometheus::Result<()> {
        TextEncoder::new().encode_utf8(&self.registry.gather(), out)
    }
}

impl State {
    fn new(registry: &Registry) -> Self {
        const SOUND: &str = "names are well-formed, and each stands once";
        let gauge = |name, help| {
            let gauge = IntGauge::new(name, help)
                .and_then(|gauge| registry.register(Box::new(gauge.clone())).map(|()| gauge));
            gauge.expect(SOUND)
        };
        let counter = |name, help| {
            let counter = IntCounter::new(name, help)
                .and_then(|count| registry.register(Box::new(count.clone())).map(|()| count));
            counter.expect(SOUND)
        };
        Self {
            kept: gauge("lacuna_state_kept", "Whether the state is kept on disk now."),
            kept_at: gauge(
                "lacuna_state_kept_timestamp_seconds",
                "When the state was kept last; 0: not since the start.",
            ),
            failures: counter("lacuna_state_failures_total", "Times that the disk refused."),
            bytes: counter("lacuna_state_written_bytes_total", "Bytes of records written."),
        }
    }
}
