//! Protocol numbers and the limits of the parser.

/// Bytes of a frame the header path looks at. Ports and checksums must lie inside.
pub const WINDOW_BYTES: u32 = 128;
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
/// IEEE 802.1Q customer tag.
pub const TPID_C: u16 = 0x8100;
/// IEEE 802.1ad service tag.
pub const TPID_S: u16 = 0x88a8;
/// Pre-standard double tagging, still sent by old switches.
pub const TPID_OLD: u16 = 0x9100;

pub const PROTO_ICMP: u8 = 1;
pub const PROTO_TCP: u8 = 6;
pub const PROTO_UDP: u8 = 17;
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
