//! The truth, kept as plain sets: a slow checker that holds one entry per number and is written
//! straight from contracts §3 and §4. It shares no code and no type with the core.

mod book;
mod clash;
mod explain;
mod fate;
mod lane;
mod part;
mod passing;
mod sight;
mod tally;
mod told;
mod watching;
mod world;

pub use fate::{Fate, Stage, Unsure};
pub use lane::{Base, Repeat};
pub use sight::Sight;
pub use tally::{Counts, LaneTruth, PartTruth};
pub use world::Oracle;
