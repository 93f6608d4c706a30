//! Bytes of a packet as numbers. In every vector of bytes, byte 0 is lowest.

use seqnic_gen::{Record, Sig};
use seqnic_spec::wire::{VIEW_BYTES, WINDOW_BYTES};

/// Bytes of an Ethernet header without tags.
pub const ETHERNET_BYTES: u32 = 14;
/// Bytes of the window behind the Ethernet header.
pub const L2_BYTES: u32 = WINDOW_BYTES - ETHERNET_BYTES;
/// Bytes from the IP header on that are read, where the window does not end before.
pub const L3_BYTES: u32 = VIEW_BYTES;
/// Bits of a number of bytes behind the Ethernet header.
pub const L3_LENGTH_BITS: u32 = 8;
/// Whole words of four bytes in [`L3_BYTES`]: the place, in words from the IP header, which the view
/// does not reach any more, where the window does not end before.
pub const L3_WORDS: u32 = L3_BYTES / 4;
/// Shortest and longest IPv4 header.
pub const IPV4_BYTES: u32 = 20;
pub const IPV4_MAX_BYTES: u32 = 60;
pub const IPV6_BYTES: u32 = 40;
/// Bits of a transport header's place in words from the IP header: beyond the window it may be
/// as far as a wrong extension header says, up to 75 words.
pub const PLACE_BITS: u32 = 7;

const _: () = assert!(WINDOW_BYTES < 1 << L3_LENGTH_BITS);

/// The number in `bytes` bytes from byte `at`, the first of them highest (RFC 791 appendix B).
#[track_caller]
pub fn number(packet: Sig<'_>, at: u32, bytes: u32) -> Sig<'_> {
    let parts: Vec<_> = (at..at + bytes).map(|i| packet.slice(i * 8, 8)).collect();
    packet.module().concat(&parts)
}

/// Values put together as one record, so that they are delayed as one register a clock, and
/// without the rest of the records they come from.
#[track_caller]
pub fn bundle<'m>(name: &str, fields: &[(&str, Sig<'m>)]) -> Sig<'m> {
    let record = Record::new(name, fields.iter().map(|(n, s)| (*n, s.width())));
    fields[0].1.module().pack(&record, fields)
}

/// Whether a value is one of some constants.
#[track_caller]
pub fn one_of<'m>(sig: Sig<'m>, values: &[u32]) -> Sig<'m> {
    let same: Vec<_> = values.iter().map(|v| sig.is((*v).into())).collect();
    sig.module().or(&same)
}

/// The smaller of two values.
#[track_caller]
pub fn smaller<'m>(a: Sig<'m>, b: Sig<'m>) -> Sig<'m> {
    a.lt(b).mux(a, b)
}
