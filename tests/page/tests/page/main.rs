//! The page in a real Chromium: what it shows is what was injected.

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
