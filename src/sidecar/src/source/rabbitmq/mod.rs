//! The RabbitMQ source: a tap beside the business queue, on a queue of its own that is bound as
//! that one is.
//!
//! RabbitMQ has no offsets and no log, so a tap proves what was *routed*. One thread talks to the
//! broker; what it reads it hands in batches to a [`Tap`](crate::engine::Tap) in every worker. A
//! position is the number of messages that the tap has read, whatever stream they are of.
//!
//! ```text
//!              ┌ control thread ──────────┐  orders: messages, ends, pauses  ┌ worker ─────────┐
//!  exchange ──►│ tap queue ► read ► route ├─────────────────────────────────►│ tap ──► checker │
//!              │ marker ◄── ask for end   │◄─────────────────────────────────┤  ▲              │
//!              └──────────────────────────┘  notes: something waits          └──┼──────────────┘
//!  management API: bindings, is the business queue empty ───────────────────────┘
//! ```
//!
//! An end is a marker: a message that the source puts into its own queue. All that was there
//! before it has been read when it comes back.

mod asking;
mod bindings;
mod client;
mod control;
mod ledger;
mod management;
mod marker;
mod message;
mod open;
mod orders;
mod places;
mod progress;
mod resume;
mod settings;
mod tap;

pub use bindings::Binding;
pub use open::{OpenError, open};
pub use settings::{RabbitSettings, TapKind};
