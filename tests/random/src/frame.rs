//! Frames from their parts, right in every length and checksum; [`crate::mangle`] breaks them.

use crate::wrap::Wrap;
use etherparse::checksum::Sum16BitWords;
use etherparse::{
    IpFragOffset, IpNumber, Ipv4Header, Ipv4Options, Ipv6Header, TcpHeader, UdpHeader,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a frame is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    pub destination_mac: [u8; 6],
    pub source_mac: [u8; 6],
    /// VLAN tags, outermost first: TPID and tag control information.
    pub tags: Vec<(u16, u16)>,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    pub source_port: u16,
    pub destination_port: u16,
    pub icmp_type: u8,
    /// TCP flags as on the wire.
    pub tcp_flags: u8,
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// IPv4 options in bytes, a multiple of 4 up to 40.
    pub options: Vec<u8>,
    /// IPv6 extension headers in order: type and bytes, whose first byte is set here.
    pub extensions: Vec<(u8, Vec<u8>)>,
    /// Fragment offset in units of 8 bytes, and whether more follow.
    pub fragment: Option<(u16, bool)>,
    pub payload: Vec<u8>,
    /// Header in front of the IP packet.
    pub wrap: Option<Wrap>,
    /// Bytes behind the IP packet.
    pub trailer: usize,
}

/// The addresses in both families' forms.
enum Pair {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Parts {
    /// The frame; 60 bytes at least, as Ethernet has it. Mixed families become the destination's.
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        frame.extend(self.destination_mac);
        frame.extend(self.source_mac);
        for (tpid, tci) in &self.tags {
            frame.extend(tpid.to_be_bytes());
            frame.extend(tci.to_be_bytes());
        }
        let pair = match (self.source, self.destination) {
            (IpAddr::V4(s), IpAddr::V4(d)) => Pair::V4(s, d),
            (IpAddr::V6(s), IpAddr::V6(d)) => Pair::V6(s, d),
            (IpAddr::V6(_), IpAddr::V4(d)) => Pair::V4(Ipv4Addr::new(198, 51, 100, 99), d),
            (IpAddr::V4(_), IpAddr::V6(d)) => Pair::V6(Ipv6Addr::LOCALHOST, d),
        };
        let transport = self.transport(&pair);
        let mut packet = Vec::new();
        let ethertype: u16 = match pair {
            Pair::V4(source, destination) => {
                self.ipv4(&mut packet, source, destination, &transport);
                0x0800
            }
            Pair::V6(source, destination) => {
                self.ipv6(&mut packet, source, destination, &transport);
                0x86dd
            }
        };
        let (ethertype, header) = match &self.wrap {
            Some(wrap) => wrap.around(ethertype, packet.len()),
            None => (ethertype, Vec::new()),
        };
        frame.extend(ethertype.to_be_bytes());
        frame.extend(header);
        frame.extend(packet);
        frame.extend(std::iter::repeat_n(0xa5, self.trailer));
        while frame.len() < 60 {
            frame.push(0);
        }
        frame
    }

    fn ipv4(&self, frame: &mut Vec<u8>, source: Ipv4Addr, destination: Ipv4Addr, rest: &[u8]) {
        let mut header = Ipv4Header {
            total_len: (20 + self.options.len() + rest.len()) as u16,
            identification: 0x1234,
            time_to_live: self.ttl,
            protocol: IpNumber(self.protocol),
            source: source.octets(),
            destination: destination.octets(),
            ..Ipv4Header::default()
        };
        header.options = Ipv4Options::try_from(self.options.as_slice()).unwrap_or_default();
        if let Some((offset, more)) = self.fragment {
            header.fragment_offset = IpFragOffset::try_new(offset).unwrap_or_default();
            header.more_fragments = more;
        }
        let at = frame.len();
        frame.extend(header.to_bytes());
        frame[at + 1] = self.tos;
        fix_ipv4_checksum(frame, at);
        frame.extend(rest);
    }

    fn ipv6(&self, frame: &mut Vec<u8>, source: Ipv6Addr, destination: Ipv6Addr, rest: &[u8]) {
        let mut chain: Vec<(u8, Vec<u8>)> = self.extensions.clone();
        if let Some((offset, more)) = self.fragment {
            let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
            chain.push((44, vec![0, 0, high, low, 0, 0, 0x12, 0x34]));
        }
        let extensions: usize = chain.iter().map(|(_, b)| b.len()).sum();
        let first = chain.first().map_or(self.protocol, |(kind, _)| *kind);
        let header = Ipv6Header {
            traffic_class: self.tos,
            payload_length: (extensions + rest.len()) as u16,
            next_header: IpNumber(first),
            hop_limit: self.ttl,
            source: source.octets(),
            destination: destination.octets(),
            ..Ipv6Header::default()
        };
        frame.extend(header.to_bytes());
        for i in 0..chain.len() {
            let next = chain.get(i + 1).map_or(self.protocol, |(kind, _)| *kind);
            if let Some(byte) = chain[i].1.first_mut() {
                *byte = next;
            }
            frame.extend(&chain[i].1);
        }
        frame.extend(rest);
    }

    /// Transport header and payload; of a later fragment the payload alone.
    fn transport(&self, pair: &Pair) -> Vec<u8> {
        if matches!(self.fragment, Some((offset, _)) if offset != 0) {
            return self.payload.clone();
        }
        let mut bytes = match self.protocol {
            6 => {
                let header =
                    TcpHeader::new(self.source_port, self.destination_port, 0x0102_0304, 4096);
                let mut bytes = header.to_bytes().to_vec();
                bytes[13] = self.tcp_flags;
                bytes
            }
            17 => {
                let header = UdpHeader {
                    source_port: self.source_port,
                    destination_port: self.destination_port,
                    length: (8 + self.payload.len()) as u16,
                    checksum: 0,
                };
                header.to_bytes().to_vec()
            }
            132 => {
                let mut bytes = Vec::new();
                bytes.extend(self.source_port.to_be_bytes());
                bytes.extend(self.destination_port.to_be_bytes());
                bytes.extend([0x11; 8]);
                bytes
            }
            1 | 58 => vec![self.icmp_type, 0, 0, 0, 0x12, 0x34, 0, 1],
            _ => Vec::new(),
        };
        bytes.extend(&self.payload);
        let pseudo = match pair {
            Pair::V4(source, destination) => Sum16BitWords::new()
                .add_4bytes(source.octets())
                .add_4bytes(destination.octets()),
            Pair::V6(source, destination) => Sum16BitWords::new()
                .add_16bytes(source.octets())
                .add_16bytes(destination.octets()),
        }
        .add_2bytes([0, self.protocol])
        .add_2bytes((bytes.len() as u16).to_be_bytes());
        let v6 = matches!(pair, Pair::V6(..));
        let (at, sum) = match self.protocol {
            6 => (16, pseudo),
            17 => (6, pseudo),
            58 if v6 => (2, pseudo),
            1 | 58 => (2, Sum16BitWords::new()),
            _ => return bytes,
        };
        let sum = sum.add_slice(&bytes).ones_complement().to_be();
        // RFC 768: a computed 0 is sent as all ones.
        let sum = if self.protocol == 17 && sum == 0 {
            0xffff
        } else {
            sum
        };
        bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

/// Makes the header checksum of an IPv4 header at `l3` right, if the header is in the frame.
pub fn fix_ipv4_checksum(frame: &mut [u8], l3: usize) {
    let Some(first) = frame.get(l3) else { return };
    let header = usize::from(first & 15) * 4;
    if header < 20 || frame.len() < l3 + header {
        return;
    }
    frame[l3 + 10..l3 + 12].fill(0);
    let sum = Sum16BitWords::new()
        .add_slice(&frame[l3..l3 + header])
        .ones_complement()
        .to_be();
    frame[l3 + 10..l3 + 12].copy_from_slice(&sum.to_be_bytes());
}
