//! The header path: from the first 192 bytes of a packet to its verdict, and to the edits of its
//! copies. Feed-forward: a header a clock, fixed latency, nothing waits.
//!
//! The order of the parts is [`path::ORDER`]; behind the verdict, packets wait for the editor, and
//! [`prepare`] works out the edits of one copy a clock.

pub mod acl;
pub mod address;
pub mod bytes;
pub mod class;
pub mod ethernet;
pub mod gcra;
pub mod interface;
pub mod ipv4;
pub mod ipv6;
pub mod meter;
pub mod parser;
pub mod path;
pub mod port;
pub mod prepare;
pub mod priority;
pub mod range;
pub mod reason;
pub mod source;
pub mod step;
pub mod transport;
pub mod tunnel;
pub mod verdict;

#[cfg(test)]
mod images;
#[cfg(test)]
mod packets;
