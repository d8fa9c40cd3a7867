//! Members of consumer groups that tell what they were handed, through rings in shared memory.
//!
//! ```text
//! member ─▶ ring ─┐
//! member ─▶ ring ─┼─▶ rings: in the order of rebalances ─▶ seats: who has what ─▶ engine
//! member ─▶ ring ─┘
//! ```

mod hearing;
mod outside;
mod rings;
mod seats;

pub use hearing::{Hearing, Lease, Round, TooMany, end_leases};
pub use outside::{Outside, Taken};
pub use rings::{RingsError, watch};
pub use seats::{Control, Seats, Told};
