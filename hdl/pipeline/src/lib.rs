//! The pipeline of the card as Verilog modules: from the first beat of a frame to its last copy.
//!
//! Everything here is a function which takes a [`seqnic_spec::geometry::Geometry`] and gives a
//! [`seqnic_gen::Circuit`]: one stage or table, one file, one Verilog module, one name.

pub mod generate;
pub mod harness;
pub mod header;
pub mod host;
pub mod prepare;
pub mod stream;
pub mod tables;
pub mod top;

#[cfg(test)]
mod testing;
