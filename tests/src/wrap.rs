//! Tag headers and tunnels of flow tables, written from their standards and docs/semantics.md section 4,
//! "Tags": no engine has a hand in it.

use etherparse::{IpDscp, IpNumber, Ipv4Header, Ipv6Header};
use serde::Deserialize;
use std::net::IpAddr;

/// What stands in front of an IP packet.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Tag {
    Mpls(Mpls),
    Nsh(Nsh),
    Vxlan(Vxlan),
    Gpe(Gpe),
    Gre(Gre),
}

/// RFC 3032: one entry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mpls {
    pub label: u32,
    /// Bottom of the stack.
    #[serde(default = "yes")]
    pub bottom: bool,
    #[serde(default = "hops")]
    pub ttl: u8,
}

/// RFC 8300. Metadata is zeros of type 1, and none of type 2.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nsh {
    /// 1 or 2.
    pub md: u8,
    pub spi: u32,
    pub si: u8,
    #[serde(default = "path_hops")]
    pub ttl: u8,
}

/// RFC 7348.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vxlan {
    pub vni: u32,
    pub src: IpAddr,
    pub dst: IpAddr,
}

/// draft-ietf-nvo3-vxlan-gpe, with NSH in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpe {
    pub vni: u32,
    pub nsh: Nsh,
    pub src: IpAddr,
    pub dst: IpAddr,
}

/// RFC 2784 with the key of RFC 2890.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gre {
    pub key: u32,
    pub src: IpAddr,
    pub dst: IpAddr,
}

fn yes() -> bool {
    true
}

fn hops() -> u8 {
    64
}

fn path_hops() -> u8 {
    63
}

/// What headers in front of a packet are made from.
#[derive(Debug)]
pub struct Inner {
    pub ethertype: u16,
    /// Destination and source.
    pub macs: [[u8; 6]; 2],
    pub addresses: (IpAddr, IpAddr),
    pub ports: (u16, u16),
    pub protocol: u8,
    pub dscp: u8,
}

impl Tag {
    /// EtherType and bytes of an IP packet with its tag.
    pub fn around(&self, inner: &Inner, packet: Vec<u8>) -> (u16, Vec<u8>) {
        match self {
            Tag::Mpls(tag) => {
                let entry = tag.label << 12 | u32::from(tag.bottom) << 8 | u32::from(tag.ttl);
                (0x8847, join(entry.to_be_bytes(), packet))
            }
            Tag::Nsh(tag) => (0x894f, tag.around(inner, packet)),
            Tag::Vxlan(tag) => {
                let mut header = vec![0x08, 0, 0, 0];
                header.extend((tag.vni << 8).to_be_bytes());
                header.extend(inner.macs.concat());
                header.extend(inner.ethertype.to_be_bytes());
                udp(inner, (tag.src, tag.dst), 4789, join(header, packet))
            }
            Tag::Gpe(tag) => {
                let mut header = vec![0x0c, 0, 0, 4];
                header.extend((tag.vni << 8).to_be_bytes());
                let packet = tag.nsh.around(inner, packet);
                udp(inner, (tag.src, tag.dst), 4790, join(header, packet))
            }
            Tag::Gre(tag) => {
                let mut header = vec![0x20, 0];
                header.extend(inner.ethertype.to_be_bytes());
                header.extend(tag.key.to_be_bytes());
                let packet = join(header, packet);
                ip(inner, (tag.src, tag.dst), IpNumber::GRE, packet)
            }
        }
    }
}

impl Nsh {
    fn around(&self, inner: &Inner, packet: Vec<u8>) -> Vec<u8> {
        let words: u32 = if self.md == 1 { 6 } else { 2 };
        let next = if inner.ethertype == 0x0800 { 1 } else { 2 };
        let base = u32::from(self.ttl) << 22 | words << 16 | u32::from(self.md) << 8 | next;
        let path = self.spi << 8 | u32::from(self.si);
        let mut header = base.to_be_bytes().to_vec();
        header.extend(path.to_be_bytes());
        header.resize(4 * words as usize, 0);
        join(header, packet)
    }
}

fn join(header: impl Into<Vec<u8>>, packet: Vec<u8>) -> Vec<u8> {
    let mut bytes = header.into();
    bytes.extend(packet);
    bytes
}

/// 16-bit words of an address.
fn words(address: IpAddr) -> Vec<u16> {
    let bytes = match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    };
    let pairs = bytes.chunks(2);
    pairs
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect()
}

fn udp(inner: &Inner, ends: (IpAddr, IpAddr), port: u16, packet: Vec<u8>) -> (u16, Vec<u8>) {
    let (source, destination) = inner.addresses;
    let fold = words(source).into_iter().chain(words(destination));
    let fold = fold.fold(0, |a, b| a ^ b);
    let fold = fold ^ inner.ports.0 ^ inner.ports.1 ^ u16::from(inner.protocol);
    let mut header = (0xc000 | fold & 0x3fff).to_be_bytes().to_vec();
    header.extend(port.to_be_bytes());
    header.extend((8 + packet.len() as u16).to_be_bytes());
    header.extend([0, 0]);
    ip(inner, ends, IpNumber::UDP, join(header, packet))
}

fn ip(
    inner: &Inner,
    ends: (IpAddr, IpAddr),
    protocol: IpNumber,
    packet: Vec<u8>,
) -> (u16, Vec<u8>) {
    match ends {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = Ipv4Header {
                dscp: IpDscp::try_new(inner.dscp).unwrap_or_default(),
                total_len: 20 + packet.len() as u16,
                dont_fragment: true,
                time_to_live: 64,
                protocol,
                source: source.octets(),
                destination: destination.octets(),
                ..Ipv4Header::default()
            };
            header.header_checksum = header.calc_header_checksum();
            (0x0800, join(header.to_bytes().to_vec(), packet))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = Ipv6Header {
                traffic_class: inner.dscp << 2,
                payload_length: packet.len() as u16,
                next_header: protocol,
                hop_limit: 64,
                source: source.octets(),
                destination: destination.octets(),
                ..Ipv6Header::default()
            };
            (0x86dd, join(header.to_bytes(), packet))
        }
        // Ends of two families: a frame without IP, which no case expects.
        _ => (0, packet),
    }
}
