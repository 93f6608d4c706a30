//! The header path: from the first 128 bytes of a packet to its verdict, and to the edits of its
//! copies. Feed-forward: a header a clock, fixed latency, nothing waits.
//!
//! | order | module | file |
//! | --- | --- | --- |
//! | 1 | `header_parser` with `header_ethernet`, `header_ipv4`, `header_ipv6`, `header_transport` | [`parser`] ... |

pub mod bytes;
pub mod ethernet;
pub mod ipv4;
pub mod ipv6;
pub mod parser;
pub mod transport;

#[cfg(test)]
mod packets;
