//! Which frames are common, and what is read of them.

use crate::bytes::{be16, bytes};
use seqnic_spec::wire;

/// Where the headers of a common frame stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// One VLAN tag.
    pub tagged: bool,
    pub v6: bool,
}

pub(crate) const ETHERNET: usize = 14;
pub(crate) const TAG: usize = 4;
pub(crate) const IPV4: usize = 20;
pub(crate) const IPV6: usize = 40;
/// Up to this length a frame's end is compared with its IP length.
const WINDOW: usize = wire::WINDOW_BYTES as usize;
/// What is read of a transport header: ports and the flags of TCP.
const TRANSPORT: usize = 14;

impl Shape {
    /// Of a frame whose Ethernet header is read; `None`: no common one.
    #[inline(always)]
    pub fn of(ethertype: u16, inner: u16) -> Option<Shape> {
        let tagged = matches!(ethertype, wire::TPID_C | wire::TPID_S | wire::TPID_OLD);
        let v6 = match if tagged { inner } else { ethertype } {
            wire::ETHERTYPE_IPV4 => false,
            wire::ETHERTYPE_IPV6 => true,
            _ => return None,
        };
        Some(Shape { tagged, v6 })
    }

    /// Bytes in front of the IP header.
    #[inline(always)]
    pub fn l3(self) -> usize {
        if self.tagged {
            ETHERNET + TAG
        } else {
            ETHERNET
        }
    }

    /// Bytes of the IP header.
    #[inline(always)]
    pub fn ip(self) -> usize {
        if self.v6 { IPV6 } else { IPV4 }
    }
}

/// IP and transport header of a common frame; as in [`crate::parse::Headers`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ip {
    pub length: u32,
    pub sport: u16,
    pub dport: u16,
    pub protocol: u8,
    pub traffic_class: u8,
    /// 0 in UDP.
    pub tcp_flags: u8,
}

impl Ip {
    /// Flags that packets in the middle of a connection do not have.
    #[inline(always)]
    pub fn rare_flags(&self) -> bool {
        self.tcp_flags & (wire::tcp::SYN | wire::tcp::RST) != 0
    }
}

/// Reads a frame in which nothing is wrong or rare; of every other it gives `None`.
#[inline(always)]
pub(crate) fn ip(shape: Shape, frame: &[u8]) -> Option<Ip> {
    match (shape.v6, shape.tagged) {
        (false, false) => ipv4::<ETHERNET, { ETHERNET + IPV4 + TRANSPORT }>(frame),
        (false, true) => ipv4::<{ ETHERNET + TAG }, { ETHERNET + TAG + IPV4 + TRANSPORT }>(frame),
        (true, false) => ipv6::<ETHERNET, { ETHERNET + IPV6 + TRANSPORT }>(frame),
        (true, true) => ipv6::<{ ETHERNET + TAG }, { ETHERNET + TAG + IPV6 + TRANSPORT }>(frame),
    }
}

/// `HEAD` is what is read: all places in it are known when this is compiled.
#[inline(always)]
fn ipv4<const L3: usize, const HEAD: usize>(frame: &[u8]) -> Option<Ip> {
    let head = frame.first_chunk::<HEAD>()?;
    let total = usize::from(be16(head, L3 + 2));
    // The sum is the same in any order of bytes (RFC 1071 section 2 (B)).
    let word = |at| u64::from(u32::from_ne_bytes(bytes(head, L3 + at)));
    let sum = word(0) + word(4) + word(8) + word(12) + word(16);
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    // No options, no later fragment, a TTL that is left. One branch for all: none of it is ever otherwise.
    let rare = (head[L3] != 0x45)
        | (sum != 0xffff)
        | (be16(head, L3 + 6) & 0x1fff != 0)
        | (head[L3 + 8] == 0);
    if rare {
        return None;
    }
    let (traffic_class, protocol) = (head[L3 + 1], head[L3 + 9]);
    transport::<HEAD>(frame, head, (protocol, traffic_class), total, L3 + IPV4, L3)
}

#[inline(always)]
fn ipv6<const L3: usize, const HEAD: usize>(frame: &[u8]) -> Option<Ip> {
    let head = frame.first_chunk::<HEAD>()?;
    if (head[L3] >> 4 != 6) | (head[L3 + 7] == 0) {
        return None;
    }
    let length = IPV6 + usize::from(be16(head, L3 + 4));
    let class = (be16(head, L3) >> 4) as u8;
    transport::<HEAD>(frame, head, (head[L3 + 6], class), length, L3 + IPV6, L3)
}

/// `length` is that of the IP packet, whose transport header is at `l4`.
#[inline(always)]
fn transport<const HEAD: usize>(
    frame: &[u8],
    head: &[u8; HEAD],
    (protocol, traffic_class): (u8, u8),
    length: usize,
    l4: usize,
    l3: usize,
) -> Option<Ip> {
    let (least, flags) = match protocol {
        wire::PROTO_TCP => (20, head[l4 + wire::tcp::FLAGS_AT as usize]),
        wire::PROTO_UDP => (8, 0),
        _ => return None,
    };
    let (end, len) = (l3 + length, frame.len());
    if (len <= WINDOW) & (end > len) | (l4 + least > end.min(len)) {
        return None;
    }
    Some(Ip {
        length: length as u32,
        sport: be16(head, l4),
        dport: be16(head, l4 + 2),
        protocol,
        traffic_class,
        tcp_flags: flags,
    })
}
