//! Tag headers and tunnels around packets, as devices send them back; right in every field.

use crate::frame::fix_ipv4_checksum;
use etherparse::{IpNumber, Ipv4Header, Ipv6Header};
use seqnic_compiler::definition::{MdType, Tag};
use std::net::IpAddr;

/// A header in front of the IP packet.
#[derive(Debug, Clone)]
pub struct Wrap {
    pub tag: Tag,
    /// Label, VNI, key or service index as it is on the wire.
    pub number: u32,
    /// What does not matter: service path, and network identifier of VXLAN-GPE.
    pub other: u32,
    /// Outer source and destination, of one family.
    pub ends: (IpAddr, IpAddr),
    /// NSH carries an Ethernet frame.
    pub ethernet: bool,
    /// Context words of NSH of metadata type 2.
    pub context: usize,
}

const ETHERNET: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

impl Wrap {
    /// EtherType and bytes in front of an IP packet of `ethertype` and `length`.
    pub fn around(&self, ethertype: u16, length: usize) -> (u16, Vec<u8>) {
        match self.tag {
            Tag::Dscp | Tag::Vlan => (ethertype, Vec::new()),
            Tag::Mpls => {
                let entry = self.number << 12 | 1 << 8 | 63;
                (0x8847, entry.to_be_bytes().to_vec())
            }
            Tag::Nsh(md) => (0x894f, self.nsh(md, ethertype)),
            Tag::Vxlan => {
                let mut inside = vec![8, 0, 0, 0];
                inside.extend((self.number << 8).to_be_bytes());
                inside.extend(ETHERNET);
                inside.extend(ethertype.to_be_bytes());
                self.udp(4789, inside, length)
            }
            Tag::Gpe(md) => {
                let mut inside = vec![12, 0, 0, 4];
                inside.extend((self.other << 8).to_be_bytes());
                inside.extend(self.nsh(md, ethertype));
                self.udp(4790, inside, length)
            }
            Tag::Gre => {
                let mut inside = vec![0x20, 0];
                inside.extend(ethertype.to_be_bytes());
                inside.extend(self.number.to_be_bytes());
                self.ip(47, inside, length)
            }
        }
    }

    fn nsh(&self, md: MdType, ethertype: u16) -> Vec<u8> {
        let (kind, context) = match md {
            MdType::One => (1, 4),
            MdType::Two => (2, self.context),
        };
        let next = match (self.ethernet, ethertype) {
            (true, _) => 3,
            (false, 0x0800) => 1,
            (false, _) => 2,
        };
        let length = 2 + context as u8;
        let mut header = vec![0x0f, 0xc0 | length, kind, next];
        header.extend((self.other << 8 | self.number & 0xff).to_be_bytes());
        header.extend(std::iter::repeat_n(0x5a, 4 * context));
        if self.ethernet {
            header.extend(ETHERNET);
            header.extend(ethertype.to_be_bytes());
        }
        header
    }

    fn udp(&self, port: u16, inside: Vec<u8>, length: usize) -> (u16, Vec<u8>) {
        let mut header = 0xc123_u16.to_be_bytes().to_vec();
        header.extend(port.to_be_bytes());
        header.extend(((8 + inside.len() + length) as u16).to_be_bytes());
        header.extend([0, 0]);
        header.extend(inside);
        self.ip(17, header, length)
    }

    fn ip(&self, protocol: u8, inside: Vec<u8>, length: usize) -> (u16, Vec<u8>) {
        let payload = (inside.len() + length) as u16;
        let (ethertype, mut bytes) = match self.ends {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = Ipv4Header {
                    total_len: payload.wrapping_add(20),
                    dont_fragment: true,
                    time_to_live: 61,
                    protocol: IpNumber(protocol),
                    source: source.octets(),
                    destination: destination.octets(),
                    ..Ipv4Header::default()
                };
                let mut bytes = header.to_bytes().to_vec();
                fix_ipv4_checksum(&mut bytes, 0);
                (0x0800, bytes)
            }
            (source, destination) => {
                let v6 = |a: IpAddr| match a {
                    IpAddr::V4(a) => a.to_ipv6_mapped(),
                    IpAddr::V6(a) => a,
                };
                let header = Ipv6Header {
                    payload_length: payload,
                    next_header: IpNumber(protocol),
                    hop_limit: 61,
                    source: v6(source).octets(),
                    destination: v6(destination).octets(),
                    ..Ipv6Header::default()
                };
                (0x86dd, header.to_bytes().to_vec())
            }
        };
        bytes.extend(inside);
        (ethertype, bytes)
    }
}
