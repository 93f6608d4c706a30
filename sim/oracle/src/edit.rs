//! What a copy becomes: `docs/semantics.md` section 4.

use crate::encapsulate::{self, Inside, Outgoing};
use crate::parse::{Ethernet, Ip};
use seqnic_compiler::definition::{Mac, Vlan};
use seqnic_image::names::Direction;
use std::net::IpAddr;

/// Changes of the IP packet in one copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Edits {
    pub destination: Option<IpAddr>,
    pub source: Option<IpAddr>,
    /// Added to the service's port modulo 2^16; 0 is no edit.
    pub port_add: u16,
    pub dscp: Option<u8>,
}

/// Ethernet header of a copy.
#[derive(Debug, Clone)]
pub struct Link<'a> {
    pub destination: Mac,
    pub source: Mac,
    pub vlan: &'a Vlan,
    /// Tag for the device it goes to.
    pub tag: Option<Outgoing>,
    pub mtu: Option<u16>,
}

/// Ones' complement sum of 16-bit words in 16 bits: carries come back at the low end.
pub fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// RFC 1624 equation 3 over edited words (old, new).
fn update(checksum: u16, words: &[(u16, u16)]) -> u16 {
    let sum = words
        .iter()
        .map(|(old, new)| u32::from(!old) + u32::from(*new))
        .sum::<u32>();
    !fold(u32::from(!checksum) + sum)
}

/// TOS or traffic class of the IP packet at `l3`.
pub fn traffic_class(frame: &[u8], l3: usize) -> u8 {
    match frame[l3] >> 4 {
        4 => frame[l3 + 1],
        _ => frame[l3] << 4 | frame[l3 + 1] >> 4,
    }
}

/// A packet being edited: its bytes from the IP header on, and the words changed so far.
struct Packet {
    bytes: Vec<u8>,
    /// Changed words the IPv4 header checksum covers.
    header: Vec<(u16, u16)>,
    /// Changed words the transport checksum covers.
    transport: Vec<(u16, u16)>,
}

impl Packet {
    fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    fn set(&mut self, at: usize, new: u16) -> (u16, u16) {
        let old = self.word(at);
        self.bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
        (old, new)
    }

    /// Puts an address at `at`; it stands in the pseudo header too (RFC 9293 section 3.1).
    fn address(&mut self, at: usize, new: IpAddr) {
        let bytes = match new {
            IpAddr::V4(a) => a.octets().to_vec(),
            IpAddr::V6(a) => a.octets().to_vec(),
        };
        for (i, pair) in bytes.chunks(2).enumerate() {
            let changed = self.set(at + 2 * i, u16::from_be_bytes([pair[0], pair[1]]));
            self.header.push(changed);
            self.transport.push(changed);
        }
    }
}

/// The copy of `frame` that leaves with `link` and `edits`, and its flow; `None` if it is longer than the MTU.
pub fn copy(
    frame: &[u8],
    ethernet: &Ethernet,
    ip: &Ip,
    direction: Direction,
    link: Link,
    edits: Edits,
) -> Option<(Vec<u8>, u16)> {
    let mut packet = Packet {
        bytes: frame[ethernet.l3..].to_vec(),
        header: Vec::new(),
        transport: Vec::new(),
    };
    let v4 = ip.destination.is_ipv4();
    let (source_at, destination_at) = if v4 { (12, 16) } else { (8, 24) };
    if let Some(address) = edits.destination {
        packet.address(destination_at, address);
    }
    if let Some(address) = edits.source {
        packet.address(source_at, address);
    }
    if let Some(dscp) = edits.dscp {
        // IPv4: the low byte of the first word. IPv6: the byte across its first two bytes.
        let (mask, bits) = if v4 {
            (0x00fc, u16::from(dscp) << 2)
        } else {
            (0x0fc0, u16::from(dscp) << 6)
        };
        let changed = packet.set(0, packet.word(0) & !mask | bits);
        packet.header.push(changed);
    }
    let l4 = ip.l4 - ethernet.l3;
    if edits.port_add != 0 && !ip.later_fragment && matches!(ip.protocol, 6 | 17 | 132) {
        let at = match direction {
            Direction::Forward => l4 + 2,
            Direction::Return => l4,
        };
        let changed = packet.set(at, packet.word(at).wrapping_add(edits.port_add));
        packet.transport.push(changed);
    }
    checksums(&mut packet, ip, l4);
    let inside = inside(&packet, ip, l4);
    let size = inside.length + link.tag.map_or(0, |tag| tag.adds());
    if link.mtu.is_some_and(|mtu| size > usize::from(mtu)) {
        return None;
    }
    let mut out = encapsulate::in_front(&link, link.tag, inside);
    out.extend(packet.bytes);
    Some((out, inside.fold))
}

/// Flow of a packet as it came, its IP header at `l3`.
pub fn flow(frame: &[u8], l3: usize, ip: &Ip) -> u16 {
    let packet = Packet {
        bytes: frame[l3..].to_vec(),
        header: Vec::new(),
        transport: Vec::new(),
    };
    inside(&packet, ip, ip.l4 - l3).fold
}

/// What a tunnel must know of the packet as it leaves.
fn inside(packet: &Packet, ip: &Ip, l4: usize) -> Inside {
    let v4 = ip.destination.is_ipv4();
    let (length, class, addresses) = if v4 {
        (packet.word(2), packet.word(0) & 0xff, 12..20)
    } else {
        (packet.word(4) + 40, packet.word(0) >> 4 & 0xff, 8..40)
    };
    let mut fold = u16::from(ip.protocol);
    for at in addresses.step_by(2) {
        fold ^= packet.word(at);
    }
    if !ip.later_fragment && matches!(ip.protocol, 6 | 17 | 132) {
        fold ^= packet.word(l4) ^ packet.word(l4 + 2);
    }
    Inside {
        v4,
        length: usize::from(length),
        traffic_class: class as u8,
        fold,
    }
}

fn checksums(packet: &mut Packet, ip: &Ip, l4: usize) {
    let v4 = ip.destination.is_ipv4();
    if v4 && !packet.header.is_empty() {
        let checksum = update(packet.word(10), &packet.header);
        packet.set(10, checksum);
    }
    if ip.later_fragment || packet.transport.is_empty() {
        return;
    }
    let at = match ip.protocol {
        6 => l4 + 16,
        17 => l4 + 6,
        58 if !v4 => l4 + 2,
        _ => return,
    };
    let old = packet.word(at);
    let udp = ip.protocol == 17;
    if udp && v4 && old == 0 {
        return;
    }
    let new = match update(old, &packet.transport) {
        0 if udp => 0xffff,
        new => new,
    };
    packet.set(at, new);
}
