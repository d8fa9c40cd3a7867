//! What a scrape costs: 10,000 series written from the engine's rows, against the same ones written by
//! prometheus-client's encoder from its registry.
//!
//! ```text
//! cargo bench -p lacuna --bench scrape
//! ```
//!
//! Both write the same series, which is checked first; the sides alternate, and the figure is the
//! median of the rounds' ratios of processor time.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]
#![expect(clippy::disallowed_methods, reason = "a benchmark needs the clock")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use lacuna::metrics::render;
use lacuna_core::MetricsRow;
use lacuna_core::totals::{Lost, Observed, Totals, Unknown};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Samples that one partition has.
const EACH: usize = 36;
const SERIES: usize = 10_000;
const SCRAPES: usize = 50;
const ROUNDS: usize = 15;

type Labels = Vec<(String, String)>;

fn main() {
    let rows = rows(SERIES.div_ceil(EACH));
    let ours = render(&rows, &[]);
    let registry = registry(&ours);
    let mut theirs = String::new();
    encode(&mut theirs, &registry).unwrap();
    assert_eq!(series(&ours), series(&theirs), "both write the same");

    let mut ratios: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let ours = timed(|| render(black_box(&rows), &[]));
            let theirs = timed(|| {
                let mut text = String::new();
                encode(&mut text, black_box(&registry)).unwrap();
                text
            });
            ours / theirs
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let lines = series(&ours).len();
    println!("{lines} series: {:.2} of prometheus-client's encoder", ratios[ROUNDS / 2]);
}

fn timed(scrape: impl Fn() -> String) -> f64 {
    let since = Instant::now();
    for _ in 0..SCRAPES {
        black_box(scrape());
    }
    since.elapsed().as_secs_f64()
}

/// Partitions as a busy topic has them.
fn rows(partitions: usize) -> Vec<MetricsRow> {
    let row = |partition: usize| {
        let n = partition as u64;
        let observed = Observed { valid: 1_000_000 + n, absent: n, ..Observed::default() };
        let lost = Lost { store: n.into(), ..Lost::default() };
        let unknown = Unknown { joined: 17, ..Unknown::default() };
        let totals =
            Totals { observed, lost, unknown, lanes: 200, producers: 150, ..Totals::default() };
        MetricsRow {
            view: "log".to_owned(),
            stream: "shop.orders.created".to_owned(),
            partition: partition.to_string(),
            totals,
            entered: totals,
            last_at: Some(1_763_631_000_123 + n),
        }
    };
    (0..partitions).map(row).collect()
}

/// Names and labels of all samples; that a float of theirs is `0.0` where ours is `0` is no matter.
fn series(text: &str) -> Vec<&str> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let mut series: Vec<_> = samples.filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
    series.sort_unstable();
    series
}

/// The same series in a registry of prometheus-client.
fn registry(text: &str) -> Registry {
    let mut registry = Registry::default();
    let mut help = BTreeMap::new();
    let (mut counters, mut gauges) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, what) = rest.split_once(' ').unwrap();
            help.insert(name.to_owned(), what.to_owned());
            continue;
        }
        let Some((series, value)) = line.split_once("} ").filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let (name, labels) = series.split_once('{').unwrap();
        let pair = |pair: &str| {
            let (label, value) = pair.split_once('=').unwrap();
            (label.to_owned(), value.trim_matches('"').to_owned())
        };
        let labels: Labels = labels.split(',').map(pair).collect();
        let help = help[name].clone();
        if let Some(family) = name.strip_suffix("_total") {
            let known = counters.entry(name.to_owned()).or_insert_with(|| {
                let counters = Family::<Labels, Counter<u64, AtomicU64>>::default();
                registry.register(family, help, counters.clone());
                counters
            });
            known.get_or_create(&labels).inc_by(value.parse().unwrap());
        } else {
            let known = gauges.entry(name.to_owned()).or_insert_with(|| {
                let gauges = Family::<Labels, Gauge<f64, AtomicU64>>::default();
                registry.register(name, help, gauges.clone());
                gauges
            });
            known.get_or_create(&labels).set(value.parse().unwrap());
        }
    }
    registry
}
