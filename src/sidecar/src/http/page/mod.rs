//! `GET /`: the report as a page that people read. It is whole without a script; with it, it lives.
//!
//! Sections stand in the order of an on-call engineer's questions, a file each. Whatever a producer,
//! a broker or a reporter named is text here: `maud` escapes all that it is given.

mod assets;
mod checking;
mod frame;
mod grid;
mod handler;
mod headline;
mod numbers;
mod producers;
mod query;
mod repeats;
mod shown;
mod sources;
mod unknown;
mod words;

pub(super) use assets::asset;
pub(super) use handler::{acknowledge, page, set_checking};
