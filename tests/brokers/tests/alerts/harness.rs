use std::net::SocketAddr;

use lacuna_brokers::process::Process;
use lacuna_brokers::prometheus::{Ground, Prometheus, Scraping, Webhook, alertmanager};

/// What stands between a sidecar and whoever is woken.
pub(crate) struct Alarm {
    pub(crate) prometheus: Prometheus,
    pub(crate) webhook: Webhook,
    _alertmanager: Process,
}

/// All of it, at intervals of a second, once the sidecar at `target` is scraped.
pub(crate) fn alarm(test: &str, target: SocketAddr) -> Alarm {
    let ground = Ground::of(test);
    let hook = ground.port(2);
    let webhook = Webhook::listen(hook);
    let (process, address) = alertmanager(&ground, hook);
    let scraping = Scraping { every: "1s", target, alertmanager: Some(address) };
    let prometheus = Prometheus::start(&ground, scraping);
    prometheus.until("lacuna_build_info");
    Alarm { prometheus, webhook, _alertmanager: process }
}
