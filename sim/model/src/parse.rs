//! From frame to headers (`docs/semantics.md` section 1), into a fixed struct, without allocation.

use crate::bytes::{be16, be32, byte, bytes};
use crate::decap::{Taken, take_off};
use crate::tables::Decap;
use seqnic_spec::reason::Reason;
use seqnic_spec::wire;

/// An IP address as a number; IPv4 in the low 32 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Address {
    pub v6: bool,
    pub value: u128,
}

/// What the tables and the editor must know of a frame.
///
/// Fields behind the point where `fault` stopped the parser are zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Headers {
    /// First failing check, in the order of section 1.
    pub fault: Option<Reason>,
    /// Bytes of the frame without FCS.
    pub length: usize,
    /// MACs as numbers, first byte on the wire highest.
    pub dst_mac: u64,
    pub src_mac: u64,
    /// VLAN tags in the frame, 0 to 2.
    pub tags: u8,
    /// Outer and inner VLAN ID, 0 when absent.
    pub vid0: u16,
    pub vid1: u16,
    /// EtherType of the packet: behind the tags, or behind what was taken off.
    pub ethertype: u16,
    /// Tag header or tunnel that was taken off.
    pub taken: Option<Taken>,
    /// Bytes from the start of the frame to what the EtherType says.
    pub l3: u16,
    /// IP version is 6; meaningful with an IP EtherType.
    pub v6: bool,
    pub src: u128,
    pub dst: u128,
    /// Bytes of the IP packet by its own header; with those behind it the frame may be longer.
    pub ip_length: u32,
    /// IPv4 protocol, or the next header that ended the walk.
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class.
    pub traffic_class: u8,
    /// Fragment with an offset: no transport header here.
    pub later_fragment: bool,
    /// Bytes from the start of the frame to the transport header.
    pub l4: u16,
    /// 0 for protocols without ports and in later fragments.
    pub sport: u16,
    pub dport: u16,
    /// ICMP type; 0 for other protocols and in later fragments.
    pub icmp_type: u8,
    /// Flags of the TCP header (`wire::tcp`); 0 for other protocols and in later fragments.
    pub tcp_flags: u8,
}

impl Headers {
    /// Those of a frame nothing of is read yet: field by field, where a copy of the whole would be
    /// written twice.
    #[inline(always)]
    fn start(&mut self, length: usize) {
        self.fault = None;
        self.length = length;
        self.dst_mac = 0;
        self.src_mac = 0;
        self.tags = 0;
        self.vid0 = 0;
        self.vid1 = 0;
        self.ethertype = 0;
        self.taken = None;
        self.l3 = 0;
        self.v6 = false;
        self.src = 0;
        self.dst = 0;
        self.ip_length = 0;
        self.protocol = 0;
        self.ttl = 0;
        self.traffic_class = 0;
        self.later_fragment = false;
        self.l4 = 0;
        self.sport = 0;
        self.dport = 0;
        self.icmp_type = 0;
        self.tcp_flags = 0;
    }

    /// Bytes from the start of the frame to the IP header.
    #[inline(always)]
    pub fn l3(&self) -> usize {
        self.l3.into()
    }

    /// Bytes from the start of the frame to the end of its Ethernet header and tags.
    #[inline(always)]
    fn l2(&self) -> usize {
        ETHERNET + TAG * usize::from(self.tags)
    }

    /// Whether the EtherType is that of IPv4 or IPv6.
    #[inline(always)]
    pub fn is_ip(&self) -> bool {
        matches!(self.ethertype, wire::ETHERTYPE_IPV4 | wire::ETHERTYPE_IPV6)
    }

    /// Destination MAC is a group address: the first bit on the wire (IEEE 802 section 8.2).
    #[inline(always)]
    pub fn to_group(&self) -> bool {
        self.dst_mac >> 40 & 1 == 1
    }

    #[inline(always)]
    pub fn source(&self) -> Address {
        Address {
            v6: self.v6,
            value: self.src,
        }
    }

    #[inline(always)]
    pub fn destination(&self) -> Address {
        Address {
            v6: self.v6,
            value: self.dst,
        }
    }

    /// Whether it opens a TCP connection: SYN and no ACK.
    #[inline(always)]
    pub fn opens(&self) -> bool {
        opens(self.tcp_flags)
    }

    /// Whether it answers one that was opened, or refuses: SYN and ACK, or RST.
    #[inline(always)]
    pub fn answers(&self) -> bool {
        answers(self.tcp_flags)
    }

    /// Whether the packet has ports that can be read and edited.
    #[inline(always)]
    pub fn has_ports(&self) -> bool {
        !self.later_fragment && wire::has_ports(self.protocol)
    }

    /// Bytes from the start of the frame to the transport checksum that covers the addresses;
    /// `None` when there is none. Protocol 58 is ICMPv6 in IPv6 only.
    #[inline(always)]
    pub fn l4_checksum(&self) -> Option<usize> {
        if self.later_fragment || (self.protocol == wire::PROTO_ICMPV6 && !self.v6) {
            return None;
        }
        let offset = wire::pseudo_checksum_offset(self.protocol)?;
        Some(usize::from(self.l4) + offset as usize)
    }
}

/// See [`Headers::opens`].
#[inline(always)]
pub(crate) fn opens(tcp_flags: u8) -> bool {
    tcp_flags & (wire::tcp::SYN | wire::tcp::ACK) == wire::tcp::SYN
}

/// See [`Headers::answers`].
#[inline(always)]
pub(crate) fn answers(tcp_flags: u8) -> bool {
    let both = wire::tcp::SYN | wire::tcp::ACK;
    tcp_flags & wire::tcp::RST != 0 || tcp_flags & both == both
}

const ETHERNET: usize = 14;
const TAG: usize = 4;
const WINDOW: usize = wire::WINDOW_BYTES as usize;
/// From the IP header on.
const VIEW: usize = wire::VIEW_BYTES as usize;
const IPV4_MIN: usize = 20;
const IPV6: usize = 40;
/// What must be in the frame of an extension header before it is looked at.
const EXTENSION: usize = 8;

#[inline(always)]
fn mac(frame: &[u8], at: usize) -> u64 {
    u64::from(be32(frame, at)) << 16 | u64::from(be16(frame, at + 4))
}

/// Bytes from the frame's start to the end of what is read of a packet with its IP header at `l3`.
fn view(l3: usize) -> usize {
    WINDOW.min(l3 + VIEW)
}

/// Headers of `frame` (without FCS, any length), which arrived on a port that takes off what `decap`
/// says. What is wrong with it is in [`Headers::fault`].
pub fn parse(frame: &[u8], decap: &Decap) -> Headers {
    let mut h = Headers::default();
    parse_into(frame, decap, &mut h);
    h
}

/// [`parse`] in place.
#[inline(always)]
pub fn parse_into(frame: &[u8], decap: &Decap, h: &mut Headers) {
    h.start(frame.len());
    h.fault = ethernet(frame, decap, h).err();
}

#[inline(always)]
fn ethernet(frame: &[u8], decap: &Decap, h: &mut Headers) -> Result<(), Reason> {
    // Of known length, so what is read of it needs no further check; here and below.
    let Some(head) = frame.first_chunk::<ETHERNET>() else {
        return Err(Reason::Runt);
    };
    h.dst_mac = mac(head, 0);
    h.src_mac = mac(head, 6);
    h.ethertype = be16(head, 12);
    while matches!(h.ethertype, wire::TPID_C | wire::TPID_S | wire::TPID_OLD) {
        tag(frame, h)?;
    }
    // At most 132.
    h.l3 = h.l2() as u16;
    if let Some(behind) = take_off(frame, h.l2(), h.ethertype, decap)? {
        h.taken = Some(behind.taken);
        h.ethertype = behind.ethertype;
        h.l3 = behind.l3 as u16;
    }
    match h.ethertype {
        wire::ETHERTYPE_IPV4 => ipv4(frame, h),
        wire::ETHERTYPE_IPV6 => ipv6(frame, h),
        _ => Ok(()),
    }
}

/// Takes off a VLAN tag.
fn tag(frame: &[u8], h: &mut Headers) -> Result<(), Reason> {
    if u32::from(h.tags) == wire::MAX_VLAN_TAGS {
        return Err(Reason::VlanDepth);
    }
    let tag = h.l2();
    h.tags += 1;
    if frame.len() < h.l2() {
        return Err(Reason::Runt);
    }
    let vid = be16(frame, tag) & 0x0fff;
    match h.tags {
        1 => h.vid0 = vid,
        _ => h.vid1 = vid,
    }
    h.ethertype = be16(frame, tag + 2);
    Ok(())
}

/// RFC 791 section 3.1.
#[inline(always)]
fn ipv4(frame: &[u8], h: &mut Headers) -> Result<(), Reason> {
    let (len, l3) = (frame.len(), h.l3());
    let Some(ip) = frame.get(l3..).and_then(|ip| ip.first_chunk::<IPV4_MIN>()) else {
        return Err(Reason::Ipv4Header);
    };
    let header = usize::from(ip[0] & 15) * 4;
    let total = usize::from(be16(ip, 2));
    if ip[0] >> 4 != 4
        || header < IPV4_MIN
        || len < l3 + header
        || total < header
        || (len <= WINDOW && l3 + total > len)
    {
        return Err(Reason::Ipv4Header);
    }
    let sum = match header {
        IPV4_MIN => crate::checksum::sum(ip),
        _ => crate::checksum::sum(frame.get(l3..l3 + header).unwrap_or_default()),
    };
    if sum != 0xffff {
        return Err(Reason::Ipv4Checksum);
    }
    h.ip_length = total as u32;
    h.traffic_class = ip[1];
    h.later_fragment = be16(ip, 6) & 0x1fff != 0;
    h.ttl = ip[8];
    h.protocol = ip[9];
    h.src = u128::from(be32(ip, 12));
    h.dst = u128::from(be32(ip, 16));
    transport(frame, h, l3 + header, l3 + total)
}

/// RFC 8200 sections 3 and 4.
fn ipv6(frame: &[u8], h: &mut Headers) -> Result<(), Reason> {
    let (len, l3) = (frame.len(), h.l3());
    if len < l3 + IPV6 {
        return Err(Reason::Ipv6Header);
    }
    let end = l3 + IPV6 + usize::from(be16(frame, l3 + 4));
    if byte(frame, l3) >> 4 != 6 || (len <= WINDOW && end > len) {
        return Err(Reason::Ipv6Header);
    }
    h.v6 = true;
    h.ip_length = (end - l3) as u32;
    h.traffic_class = (be16(frame, l3) >> 4) as u8;
    h.ttl = byte(frame, l3 + 7);
    h.src = u128::from_be_bytes(bytes(frame, l3 + 8));
    h.dst = u128::from_be_bytes(bytes(frame, l3 + 24));

    let mut next = byte(frame, l3 + 6);
    let mut pos = l3 + IPV6;
    let mut walked = 0;
    while wire::EXT_GENERIC.contains(&next) || next == wire::EXT_FRAGMENT || next == wire::EXT_AH {
        if walked == wire::MAX_EXTENSION_HEADERS || pos + EXTENSION > view(l3) {
            return Err(Reason::TooDeep);
        }
        if pos + EXTENSION > len.min(end) {
            return Err(Reason::Ipv6Header);
        }
        walked += 1;
        let kind = next;
        let length = usize::from(byte(frame, pos + 1));
        next = byte(frame, pos);
        match kind {
            wire::EXT_FRAGMENT => {
                h.later_fragment = be16(frame, pos + 2) >> 3 != 0;
                pos += 8;
            }
            wire::EXT_AH => pos += (length + 2) * 4,
            _ => pos += (length + 1) * 8,
        }
        if h.later_fragment {
            break;
        }
    }
    h.protocol = next;
    transport(frame, h, pos, end)
}

/// Transport header at `pos`, the IP packet ending at `end` (bytes from the frame's start).
#[inline(always)]
fn transport(frame: &[u8], h: &mut Headers, pos: usize, end: usize) -> Result<(), Reason> {
    if h.later_fragment {
        return Ok(());
    }
    let past = pos + wire::min_l4_bytes(h.protocol) as usize;
    if past > view(h.l3()) {
        return Err(Reason::TooDeep);
    }
    if past > frame.len().min(end) {
        return Err(Reason::L4Header);
    }
    // At most the window, just checked.
    h.l4 = pos as u16;
    if wire::has_ports(h.protocol) {
        h.sport = be16(frame, pos);
        h.dport = be16(frame, pos + 2);
        if h.protocol == wire::PROTO_TCP {
            h.tcp_flags = byte(frame, pos + wire::tcp::FLAGS_AT as usize);
        }
    } else if matches!(h.protocol, wire::PROTO_ICMP | wire::PROTO_ICMPV6) {
        h.icmp_type = byte(frame, pos);
    }
    Ok(())
}
