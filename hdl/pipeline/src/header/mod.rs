//! The header path: from the first 192 bytes of a packet to its verdict.
//! Feed-forward: a header a clock, fixed latency, nothing waits.
//!
//! The order of the parts is [`path::ORDER`]; behind the verdict, packets wait for the editor, and
//! [`crate::prepare`] works out the edits of one copy a clock.

pub mod acl;
pub mod address;
pub mod bytes;
pub mod chain;
pub mod class;
pub mod ethernet;
pub mod gcra;
pub mod interface;
pub mod ipv4;
pub mod ipv6;
pub mod meter;
pub mod moved;
pub mod parser;
pub mod path;
pub mod port;
pub mod priority;
pub mod range;
pub mod reason;
pub mod rule_rows;
pub mod source;
pub mod step;
pub mod transport;
pub mod tunnel;
pub mod verdict;

use seqnic_spec::geometry::Geometry;
use seqnic_spec::wire::WINDOW_BYTES;

/// Parts in which the window comes: `part0` is the lowest bytes.
pub const PARTS: u32 = 3;
/// Bytes of each.
pub const PART_BYTES: u32 = WINDOW_BYTES / PARTS;

/// Whether the parts come one behind the other, each as soon as it is there: where they are beats of the bus and headers
/// need not be apart.
pub fn comes_in_parts(g: &Geometry) -> bool {
    g.clocks_per_header == 1 && g.bus_bytes == PART_BYTES
}

/// Their names as ports.
pub const PART_PORTS: [&str; PARTS as usize] = ["part0", "part1", "part2"];

/// Parts the header path takes. Where headers are some clocks apart, of what is behind the first two it takes only beats, as
/// they come ([`moved`]).
pub fn parts(g: &Geometry) -> u32 {
    if g.clocks_per_header > 1 { 2 } else { PARTS }
}

/// Clocks from the first part to part `n`. Length, and whether it is a header at all, are known with the last.
pub fn part_stage(g: &Geometry, n: u32) -> u32 {
    match comes_in_parts(g) {
        true => n,
        false => 0,
    }
}

#[cfg(test)]
pub(crate) mod images;
#[cfg(test)]
pub(crate) mod packets;
