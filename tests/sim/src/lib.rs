//! A seeded simulator of faulty traffic, and the plain truth that the core is held against.
//!
//! A seed gives a list of [`line::Line`]s, as a source would hand them over, and what was injected
//! while they were made ([`traffic`]). The same lines go to the core ([`core_side`]) and to
//! [`oracle`], which keeps plain sets; what both have found must be equal, lane by lane, number by
//! number ([`compare`]), whether the core lives through all of it or is lost now and then and goes on
//! from its saved state ([`kept`]). A difference is cut down to the fewest lines that still show it
//! ([`trial`]).

pub mod compare;
pub mod core_side;
pub mod ground;
pub mod kept;
pub mod line;
pub mod open;
pub mod oracle;
pub mod rng;
pub mod stages;
pub mod team;
pub mod traffic;
pub mod trial;
