//! Random definitions and packets, engines compared on them, and what they differ on made small.
//!
//! Everything comes from a seed: [`definition()`] and [`packets()`] give the same for the same
//! seed on every machine. [`compare()`] runs engines side by side; [`shrink()`] reduces a
//! difference to a [`Case`] that is worth keeping.

mod acl;
mod case;
pub mod classbench;
mod compare;
mod definition;
mod edges;
mod failures;
pub mod frame;
mod mangle;
mod mutate;
mod packets;
mod qos;
mod returns;
pub mod rng;
mod service;
mod shrink;
pub mod tree;
pub mod wrap;

pub use case::{Case, CaseError};
pub use compare::{Difference, Observed, compare, difference, observe};
pub use definition::definition;
pub use edges::edges;
pub use mutate::mutate;
pub use packets::{Frame, packets};
pub use qos::forgetful;
pub use returns::returns;
pub use shrink::{fewer_frames, shrink};
