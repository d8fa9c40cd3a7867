//! The sidecar from outside: its binary, its configuration, its HTTP interface.
#[cfg(test)]
mod check;
#[cfg(test)]
mod config;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod remote;
#[cfg(test)]
mod rings;
#[cfg(test)]
mod run;
#[cfg(test)]
mod state;
#[cfg(test)]
mod survive;
#[cfg(test)]
mod webhook;
