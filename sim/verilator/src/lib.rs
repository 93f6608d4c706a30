//! The generated RTL under Verilator, as an engine.
//!
//! [`library`] turns the generator's Verilog, in a harness of registers, into a shared library once and
//! keeps it;
//! [`sim`] is the thin safe layer over the C ABI of `shim.cpp`; [`Rtl`] is the [`Engine`]
//! everything else uses; [`bench`] counts clocks. Whole frames cross the border, never single clocks.
//!
//! [`Engine`]: seqnic_engine::Engine

pub mod bench;
mod engine;
mod error;
mod harness;
pub mod library;
pub mod sim;

pub use engine::{Pressure, Rtl, Snapshot};
pub use error::RtlError;
