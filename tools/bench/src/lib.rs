//! Measurements on this machine, beside a peer that does the same in the same run.
//!
//! Times are CPU time of the one thread that works, measured in turns with the peer's: what the
//! machine does besides disturbs both. The peers are small C and C++ programs around the real thing
//! (`peers/`), built when they are needed; they take the same input and are asked over a pipe.

pub mod acl;
pub mod chart;
pub mod compile;
pub mod driver;
mod error;
pub mod full;
mod peer;
pub mod soft;
mod time;

pub use error::BenchError;
pub use peer::{Peer, Source};
pub use time::{Times, cpu_ns};
