//! Members of consumer groups that tell what they were handed, through rings in shared memory.
//!
//! ```text
//! member ─▶ ring ─┐
//! member ─▶ ring ─┼─▶ rings: in the order of rebalances ─▶ seats: who has what ─▶ engine
//! member ─▶ ring ─┘
//! ```
//!
//! Room in a ring is given back once what stood there is kept ([`Kept`]).

mod hearing;
mod kept;
mod outside;
mod ring;
mod rings;
mod seats;

pub use hearing::{Hearing, Lease, Round, TooMany, end_leases};
pub use kept::{Kept, PREFIX, Record};
pub use outside::{Outside, Taken};
pub use rings::{RingsError, watch};
pub use seats::{Control, Seats, Told};
