//! The proof on three real brokers that fail one after the other: what was acknowledged and is gone
//! is named, and nothing else.

mod elections;
mod frozen;
mod upgrade;
