//! The page in a real Chromium: what it shows is what was injected.
#![expect(clippy::panic, reason = "a test fails by panicking")]

#[cfg(test)]
mod acknowledging;
#[cfg(test)]
mod connection;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod large;
#[cfg(test)]
mod looks;
#[cfg(test)]
mod shows;
#[cfg(test)]
mod switch;
