//! Packets of flow tables as frames: whole, with whole checksums.

use crate::legs::{Fragment, Packet, Transport};
use crate::wrap::Inner;
use etherparse::{
    EtherType, IcmpEchoHeader, Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpDscp,
    IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header, TcpHeader, UdpHeader,
};
use std::net::IpAddr;

pub type Payload = Vec<u8>;

/// Where the payload of a later fragment stood, in units of 8 bytes.
const LATER: u16 = 185;

/// The frame of a packet of leg `n`, as long as its payload makes it.
pub fn frame(packet: &Packet, n: usize, payload: &[u8]) -> Vec<u8> {
    let protocol = protocol(packet);
    let body = match packet.fragment {
        Some(Fragment::Later) => payload.to_vec(),
        _ => transport(packet, n, payload),
    };
    let (mut ethertype, mut bytes) = match (packet.ip_src, packet.ip_dst) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let offset = match packet.fragment {
                Some(Fragment::Later) => LATER,
                _ => 0,
            };
            let mut ip = Ipv4Header {
                dscp: IpDscp::try_new(packet.dscp).unwrap_or_default(),
                total_len: (20 + body.len()) as u16,
                identification: 0x4000 + n as u16,
                more_fragments: packet.fragment == Some(Fragment::First),
                fragment_offset: IpFragOffset::try_new(offset).unwrap_or_default(),
                time_to_live: 61,
                protocol,
                source: source.octets(),
                destination: destination.octets(),
                ..Ipv4Header::default()
            };
            ip.header_checksum = ip.calc_header_checksum();
            (EtherType::IPV4.0, ip.to_bytes().to_vec())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let part = packet.fragment.map(|fragment| Ipv6FragmentHeader {
                next_header: protocol,
                fragment_offset: match fragment {
                    Fragment::First => IpFragOffset::ZERO,
                    Fragment::Later => IpFragOffset::try_new(LATER).unwrap_or_default(),
                },
                more_fragments: fragment == Fragment::First,
                identification: 0x4000 + n as u32,
            });
            let part = part.map(|part| part.to_bytes());
            let part = part.as_ref().map_or(&[][..], |bytes| &bytes[..]);
            let ip = Ipv6Header {
                traffic_class: packet.dscp << 2,
                payload_length: (part.len() + body.len()) as u16,
                next_header: match part.is_empty() {
                    true => protocol,
                    false => IpNumber::IPV6_FRAGMENTATION_HEADER,
                },
                hop_limit: 61,
                source: source.octets(),
                destination: destination.octets(),
                ..Ipv6Header::default()
            };
            (EtherType::IPV6.0, [&ip.to_bytes()[..], part].concat())
        }
        // A flow table with mixed families: the frame stays without IP, which no case expects.
        _ => (0, Vec::new()),
    };
    bytes.extend(body);
    let macs = [mac(&packet.eth_dst), mac(&packet.eth_src)];
    if let Some(tag) = &packet.tag {
        let inner = Inner {
            ethertype,
            macs,
            addresses: (packet.ip_src, packet.ip_dst),
            ports: (packet.sport, packet.dport),
            protocol: protocol.0,
            dscp: packet.dscp,
        };
        (ethertype, bytes) = tag.around(&inner, bytes);
    }
    let mut frame = macs.concat();
    if let Some(vlan) = packet.outer_vlan {
        frame.extend(EtherType::PROVIDER_BRIDGING.0.to_be_bytes());
        frame.extend(vlan.to_be_bytes());
    }
    if let Some(vlan) = packet.vlan {
        frame.extend(EtherType::VLAN_TAGGED_FRAME.0.to_be_bytes());
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(bytes);
    frame
}

fn mac(text: &str) -> [u8; 6] {
    let mut bytes = text
        .split(':')
        .map(|b| u8::from_str_radix(b, 16).unwrap_or_default());
    std::array::from_fn(|_| bytes.next().unwrap_or_default())
}

fn protocol(packet: &Packet) -> IpNumber {
    match (packet.protocol, packet.ip_src) {
        (Transport::Tcp, _) => IpNumber::TCP,
        (Transport::Udp, _) => IpNumber::UDP,
        (Transport::Icmp, IpAddr::V4(_)) => IpNumber::ICMP,
        (Transport::Icmp, IpAddr::V6(_)) => IpNumber::IPV6_ICMP,
    }
}

/// Transport header and payload. The checksum of a first fragment is over what it carries.
fn transport(packet: &Packet, n: usize, payload: &[u8]) -> Vec<u8> {
    let header = match packet.protocol {
        Transport::Tcp => tcp(packet, n, payload),
        Transport::Udp => udp(packet, payload),
        Transport::Icmp => icmp(packet, payload),
    };
    [header, payload.to_vec()].concat()
}

fn tcp(packet: &Packet, n: usize, payload: &[u8]) -> Vec<u8> {
    let mut tcp = TcpHeader::new(packet.sport, packet.dport, 0x1000 + n as u32, 0x2000);
    tcp.acknowledgment_number = 0x0100_0000;
    let flags = packet.flags.as_deref().unwrap_or("a");
    let has = |flag: char| flags.contains(flag);
    tcp.fin = has('f');
    tcp.syn = has('s');
    tcp.rst = has('r') || packet.reset;
    tcp.psh = has('p');
    tcp.ack = has('a');
    tcp.urg = has('u');
    tcp.ece = has('e');
    tcp.cwr = has('c');
    let checksum = match (packet.ip_src, packet.ip_dst) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            tcp.calc_checksum_ipv4_raw(a.octets(), b.octets(), payload)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            tcp.calc_checksum_ipv6_raw(a.octets(), b.octets(), payload)
        }
        _ => Ok(0),
    };
    tcp.checksum = checksum.unwrap_or_default();
    tcp.to_bytes().to_vec()
}

fn udp(packet: &Packet, payload: &[u8]) -> Vec<u8> {
    let mut udp = UdpHeader {
        source_port: packet.sport,
        destination_port: packet.dport,
        length: (8 + payload.len()) as u16,
        checksum: 0,
    };
    let checksum = match (packet.ip_src, packet.ip_dst) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            udp.calc_checksum_ipv4_raw(a.octets(), b.octets(), payload)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            udp.calc_checksum_ipv6_raw(a.octets(), b.octets(), payload)
        }
        _ => Ok(0),
    };
    udp.checksum = checksum.unwrap_or_default();
    udp.to_bytes().to_vec()
}

fn icmp(packet: &Packet, payload: &[u8]) -> Vec<u8> {
    let echo = IcmpEchoHeader {
        id: packet.sport,
        seq: packet.dport,
    };
    match (packet.ip_src, packet.ip_dst) {
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let kind = Icmpv6Type::EchoRequest(echo);
            let header = Icmpv6Header::with_checksum(kind, a.octets(), b.octets(), payload);
            header.map(|h| h.to_bytes().to_vec()).unwrap_or_default()
        }
        _ => Icmpv4Header::with_checksum(Icmpv4Type::EchoRequest(echo), payload)
            .to_bytes()
            .to_vec(),
    }
}
