//! Packets from the command line, and headers in words.

pub mod headers;
pub mod make;
