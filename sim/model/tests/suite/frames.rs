//! Frames for the tests. Checksums are computed in full, apart from the engine's own arithmetic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const ENGINE: [u8; 6] = [2, 1, 0, 0, 0, 1];
pub const CLIENT: [u8; 6] = [2, 3, 0, 0, 0, 3];
pub const BROADCAST: [u8; 6] = [0xff; 6];

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const SCTP: u8 = 132;
pub const ICMP: u8 = 1;
pub const ICMPV6: u8 = 58;

/// Full ones' complement sum.
pub fn full_sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for (i, byte) in part.iter().enumerate() {
            sum += u32::from(*byte) << if i % 2 == 0 { 8 } else { 0 };
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    sum as u16
}

pub fn mac(value: u64) -> [u8; 6] {
    value.to_be_bytes()[2..].try_into().unwrap()
}

pub fn eth(dst: [u8; 6], tags: &[(u16, u16)], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    eth_from(CLIENT, dst, tags, ethertype, payload)
}

pub fn eth_from(
    src: [u8; 6],
    dst: [u8; 6],
    tags: &[(u16, u16)],
    ethertype: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = [dst, src].concat();
    for (tpid, tci) in tags {
        frame.extend(tpid.to_be_bytes());
        frame.extend(tci.to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// An IP packet being built.
#[derive(Debug, Clone)]
pub struct Packet {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub protocol: u8,
    pub ttl: u8,
    pub traffic_class: u8,
    /// IPv4: fragment field and options. IPv6: extension headers, (type, bytes) with the next
    /// header still to be filled in.
    pub fragment: u16,
    pub options: Vec<u8>,
    pub extensions: Vec<(u8, Vec<u8>)>,
    /// From the transport header on.
    pub segment: Vec<u8>,
}

impl Packet {
    pub fn new(src: &str, dst: &str, protocol: u8, segment: Vec<u8>) -> Packet {
        Packet {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            protocol,
            ttl: 64,
            traffic_class: 0,
            fragment: 0,
            options: Vec::new(),
            extensions: Vec::new(),
            segment,
        }
    }

    /// With a right transport checksum, as a first or only fragment.
    pub fn summed(mut self) -> Packet {
        if let Some(at) = checksum_at(self.protocol, self.src.is_ipv6()) {
            self.segment[at..at + 2].fill(0);
            let pseudo = pseudo(self.src, self.dst, self.protocol, self.segment.len());
            let mut sum = !full_sum(&[&pseudo, &self.segment]);
            if sum == 0 && self.protocol == UDP {
                sum = 0xffff;
            }
            self.segment[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        self
    }

    pub fn ethertype(&self) -> u16 {
        if self.src.is_ipv6() { 0x86dd } else { 0x0800 }
    }

    /// The IP packet.
    pub fn bytes(&self) -> Vec<u8> {
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => self.v4(src, dst),
            (IpAddr::V6(src), IpAddr::V6(dst)) => self.v6(src, dst),
            _ => panic!("one family"),
        }
    }

    fn v4(&self, src: Ipv4Addr, dst: Ipv4Addr) -> Vec<u8> {
        let header = 20 + self.options.len();
        let mut ip = vec![0x40 | (header / 4) as u8, self.traffic_class];
        ip.extend(((header + self.segment.len()) as u16).to_be_bytes());
        ip.extend([0x12, 0x34]);
        ip.extend(self.fragment.to_be_bytes());
        ip.extend([self.ttl, self.protocol, 0, 0]);
        ip.extend(src.octets());
        ip.extend(dst.octets());
        ip.extend(&self.options);
        let sum = !full_sum(&[&ip]);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        ip.extend(&self.segment);
        ip
    }

    fn v6(&self, src: Ipv6Addr, dst: Ipv6Addr) -> Vec<u8> {
        let mut nexts: Vec<u8> = self.extensions.iter().map(|(kind, _)| *kind).collect();
        nexts.push(self.protocol);
        let mut rest = Vec::new();
        for ((_, bytes), next) in self.extensions.iter().zip(&nexts[1..]) {
            rest.push(*next);
            rest.extend(&bytes[1..]);
        }
        rest.extend(&self.segment);
        let class = u32::from(self.traffic_class) << 20;
        let mut ip = (0x6000_0000 | class | 0xabcde).to_be_bytes().to_vec();
        ip.extend((rest.len() as u16).to_be_bytes());
        ip.extend([nexts[0], self.ttl]);
        ip.extend(src.octets());
        ip.extend(dst.octets());
        ip.extend(rest);
        ip
    }

    /// The frame to the engine's MAC.
    pub fn frame(&self, tags: &[(u16, u16)]) -> Vec<u8> {
        eth(ENGINE, tags, self.ethertype(), &self.bytes())
    }
}

/// Place of the checksum with a pseudo header in the transport header.
pub fn checksum_at(protocol: u8, v6: bool) -> Option<usize> {
    match protocol {
        TCP => Some(16),
        UDP => Some(6),
        ICMPV6 if v6 => Some(2),
        _ => None,
    }
}

pub fn pseudo(src: IpAddr, dst: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    let mut pseudo = Vec::new();
    for address in [src, dst] {
        match address {
            IpAddr::V4(a) => pseudo.extend(a.octets()),
            IpAddr::V6(a) => pseudo.extend(a.octets()),
        }
    }
    pseudo.extend((length as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, protocol]);
    pseudo
}

pub fn tcp(sport: u16, dport: u16, data: &[u8]) -> Vec<u8> {
    let mut segment = ports(sport, dport);
    segment.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0x20, 0, 0, 0, 0, 0]);
    segment.extend(data);
    segment
}

pub fn udp(sport: u16, dport: u16, data: &[u8]) -> Vec<u8> {
    let mut segment = ports(sport, dport);
    segment.extend((8 + data.len() as u16).to_be_bytes());
    segment.extend([0, 0]);
    segment.extend(data);
    segment
}

pub fn sctp(sport: u16, dport: u16) -> Vec<u8> {
    let mut segment = ports(sport, dport);
    segment.extend([1, 2, 3, 4, 5, 6, 7, 8]);
    segment
}

fn ports(sport: u16, dport: u16) -> Vec<u8> {
    [sport.to_be_bytes(), dport.to_be_bytes()].concat()
}

pub fn icmp(kind: u8) -> Vec<u8> {
    vec![kind, 0, 0x12, 0x34, 0, 1, 0, 2]
}

/// Headers of a frame on a port that takes nothing off.
pub fn parse(frame: &[u8]) -> seqnic_model::parse::Headers {
    seqnic_model::parse::parse(frame, &seqnic_model::tables::Decap::default())
}
