//! A sidecar without a broker: what it knows is what is posted to it.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use lacuna_brokers::sidecar::Sidecar;

use crate::browser::directory;

/// Starts one with a grace of a second, under a name that nothing else at work has.
///
/// # Panics
/// If there is no free port.
#[must_use]
pub fn start(name: &str) -> Sidecar {
    // Free now; whoever else takes it meanwhile makes the test fail, and not pass.
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("it has an address");
    drop(listener);
    at(name, address)
}

/// The same at this address.
///
/// # Panics
/// If its files cannot be written.
#[must_use]
pub fn at(name: &str, address: SocketAddr) -> Sidecar {
    let config = directory().join(format!("{name}.toml"));
    fs::write(&config, "").expect("the run's directory can be written");
    let (config, listen) = (config.display().to_string(), address.to_string());
    let arguments = ["--config", &config, "--grace", "1s", "--listen", &listen];
    let log = directory().join(format!("{name}.log"));
    let sidecar = Sidecar::launch(&arguments, &[], address, log, PathBuf::new());
    sidecar.answers();
    sidecar
}

/// The address of its page, and what follows.
#[must_use]
pub fn page(sidecar: &Sidecar, rest: &str) -> String {
    format!("http://{}/{rest}", sidecar.address())
}
