//! The daemon, all of it, on a card in memory with a small world around it ([`world`]): for a long time with faults of every kind
//! ([`soak`]), and to see how long a fail-over takes and what of it ([`failover`]).

pub mod failover;
pub mod ports;
pub mod rig;
pub mod soak;
pub mod world;

/// Why it ended.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
