//! Protocol numbers and the limits of the parser.

/// Bytes of a frame the header path looks at. Ports and checksums must lie inside.
pub const WINDOW_BYTES: u32 = 192;
/// Bytes from the IP header on that are looked at, where the window does not end before.
pub const VIEW_BYTES: u32 = 114;
/// Farthest place of the IP header the tables are asked about: the longest IPv4 header behind it is
/// still in the window.
pub const MAX_L3: u32 = WINDOW_BYTES - 60;
/// Longest frame, without FCS, the pipeline takes in.
pub const MAX_FRAME_BYTES: u32 = 9216;
/// VLAN tags the parser takes off.
pub const MAX_VLAN_TAGS: u32 = 2;
/// IPv6 extension headers the parser walks (RFC 8200 section 4).
pub const MAX_EXTENSION_HEADERS: u32 = 4;
/// Most copies one step makes, the packet itself included.
pub const MAX_COPIES: u32 = 15;

pub const ETHERTYPE_IPV4: u16 = 0x0800;
pub const ETHERTYPE_ARP: u16 = 0x0806;
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// RFC 3032 section 5: unicast.
pub const ETHERTYPE_MPLS: u16 = 0x8847;
/// RFC 8300 section 11.1.
pub const ETHERTYPE_NSH: u16 = 0x894f;
/// IEEE 802.1Q customer tag.
pub const TPID_C: u16 = 0x8100;
/// IEEE 802.1ad service tag.
pub const TPID_S: u16 = 0x88a8;
/// Pre-standard double tagging, still sent by old switches.
pub const TPID_OLD: u16 = 0x9100;

pub const PROTO_ICMP: u8 = 1;
pub const PROTO_TCP: u8 = 6;
pub const PROTO_UDP: u8 = 17;
pub const PROTO_GRE: u8 = 47;
pub const PROTO_ICMPV6: u8 = 58;
pub const PROTO_SCTP: u8 = 132;

/// IPv6 extension headers with a length byte in units of 8 bytes: hop-by-hop, routing,
/// destination options, mobility, HIP, shim6 (IANA "IPv6 Extension Header Types").
pub const EXT_GENERIC: [u8; 6] = [0, 43, 60, 135, 139, 140];
/// Fragment header, always 8 bytes.
pub const EXT_FRAGMENT: u8 = 44;
/// Authentication header, length in units of 4 bytes less 2 (RFC 4302 section 2.2).
pub const EXT_AH: u8 = 51;

/// Bytes a transport header must have for the packet to be directed.
#[inline]
pub const fn min_l4_bytes(proto: u8) -> u32 {
    match proto {
        PROTO_TCP => 20,
        PROTO_UDP => 8,
        PROTO_SCTP => 12,
        PROTO_ICMP | PROTO_ICMPV6 => 4,
        _ => 0,
    }
}

/// Whether `proto` has source and destination port in its first four bytes.
#[inline]
pub const fn has_ports(proto: u8) -> bool {
    matches!(proto, PROTO_TCP | PROTO_UDP | PROTO_SCTP)
}

/// Where in the transport header a checksum covering the IP addresses stands (RFC 9293, 768, 4443).
/// SCTP's CRC-32C covers no addresses, ICMP for IPv4 has no pseudo header.
#[inline]
pub const fn pseudo_checksum_offset(proto: u8) -> Option<u32> {
    match proto {
        PROTO_TCP => Some(16),
        PROTO_UDP => Some(6),
        PROTO_ICMPV6 => Some(2),
        _ => None,
    }
}

/// ICMP types (IPv4) that report an error about another packet (RFC 792, 1122 section 3.2.2).
pub const ICMP_ERRORS: [u8; 5] = [3, 4, 5, 11, 12];
/// ICMPv6 error types (RFC 4443 section 2.1).
pub const ICMPV6_ERRORS: [u8; 4] = [1, 2, 3, 4];
/// Router and neighbour discovery (RFC 4861 section 4).
pub const ICMPV6_ND: std::ops::RangeInclusive<u8> = 133..=137;

pub const DHCP_PORTS: [u16; 2] = [67, 68];
pub const DHCPV6_PORTS: [u16; 2] = [546, 547];

/// UDP destination port of VXLAN (RFC 7348 section 5).
pub const VXLAN_PORT: u16 = 4789;
/// UDP destination port of VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe section 3.1).
pub const GPE_PORT: u16 = 4790;
/// First two bytes of a GRE header with a key and nothing else (RFC 2890 section 2).
pub const GRE_KEYED: u16 = 0x2000;
/// Flags of VXLAN: the network identifier is valid.
pub const VXLAN_FLAGS: u8 = 0x08;
/// Flags of VXLAN-GPE: identifier and next protocol are valid.
pub const GPE_FLAGS: u8 = 0x0c;
/// Next protocol of VXLAN-GPE: NSH.
pub const GPE_NSH: u8 = 4;

/// Next protocols of NSH (RFC 8300 section 2.2).
pub mod nsh {
    pub const IPV4: u8 = 1;
    pub const IPV6: u8 = 2;
    pub const ETHERNET: u8 = 3;
    /// Bytes of base and service path header.
    pub const BYTES: u32 = 8;
    /// Bytes with the context headers of metadata type 1.
    pub const MD1_BYTES: u32 = 24;
}

/// TTL of the NSH a copy leaves with.
pub const NSH_TTL: u8 = 63;
/// TTL or hop limit of the outer IP headers and of the MPLS labels the engine makes.
pub const TUNNEL_TTL: u8 = 64;
/// Most bytes in front of the IP header of a copy: Ethernet, two VLAN tags, IPv6, UDP, VXLAN-GPE, NSH.
pub const MAX_PREFIX: u32 = 14 + 4 * MAX_VLAN_TAGS + 40 + 8 + 8 + nsh::MD1_BYTES;

/// TCP header (RFC 9293 section 3.1).
pub mod tcp {
    /// Byte with the flags.
    pub const FLAGS_AT: u32 = 13;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const ACK: u8 = 0x10;
}
